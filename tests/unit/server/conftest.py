"""Stand-ins for the reactor and a transport, so that no test here needs sockets or time."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import pytest


class Call:
    def __init__(self, when: float, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when, self.call, self.args = when, call, args
        self.cancelled = self.called = False

    def cancel(self) -> None:
        self.cancelled = True

    def active(self) -> bool:
        return not (self.cancelled or self.called)


class FakeReactor:
    """Time moves only by `advance`; readers and writers are only noted."""

    running = True

    def __init__(self) -> None:
        self.time = 1000.0
        self.calls: list[tuple[float, int, Call]] = []
        self.order = itertools.count()
        self.readers: set[Any] = set()

    def seconds(self) -> float:
        return self.time

    def callLater(self, delay: float, call: Callable[..., Any], *args: Any) -> Call:
        made = Call(self.time + delay, call, args)
        heapq.heappush(self.calls, (made.when, next(self.order), made))
        return made

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:
        self.callLater(0, call, *args)

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def advance(self, seconds: float = 0.0) -> None:
        end = self.time + seconds
        while self.calls and self.calls[0][0] <= end:
            when, _, call = heapq.heappop(self.calls)
            self.time = max(self.time, when)
            if call.active():
                call.called = True
                call.call(*call.args)
        self.time = end


class FakeTransport:
    """Keeps what is written; `full` makes it hold the producer back like a client that does not read."""

    def __init__(self) -> None:
        self.written = b""
        self.producer: Any = None
        self.reading = True
        self.half_closed = self.closed = self.aborted = False
        self.full = False

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written += data
        if self.full and self.producer is not None:
            self.producer.pauseProducing()

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def loseConnection(self) -> None:
        self.closed = True

    def abortConnection(self) -> None:
        self.aborted = True

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written


@pytest.fixture
def reactor() -> FakeReactor:
    return FakeReactor()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture(scope="session")
def make_pem() -> Callable[..., Any]:
    """Makes self-signed certificates, one key for all."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from culverhouse.server.pem import Pem

    key = ec.generate_private_key(ec.SECP256R1())

    def make(*names: str, shown_for: tuple[str, ...] = ()) -> Pem:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
            .not_valid_after(now + datetime.timedelta(1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pem(names[0], certificate.public_bytes(serialization.Encoding.PEM), private, shown_for)

    return make
