"""Certificates and the TLS filter, against OpenSSL's own client in memory."""

import hashlib
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from culverhouse.server.pem import Pem
from culverhouse.server.tls import BadCertificate, Certificates, TlsFailed, TlsFilter, check


class Client:
    """The standard library's client over memory buffers, joined to a filter."""

    def __init__(self, certificates: Certificates, name: str = "", version: Any = None) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if version is not None:
            context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name or None)
        self.received = b""
        self.handshakes = 0
        self.filter = TlsFilter(certificates, self.incoming.write)  # type: ignore[arg-type]

    def deliver(self, piece: int = 1 << 20) -> None:
        """What the client has written, in pieces."""
        raw = self.outgoing.read()
        for start in range(0, len(raw), piece):
            for plain in self.filter.receive(raw[start : start + piece]):
                if plain:
                    self.received += plain
                else:
                    self.handshakes += 1

    def shake(self, piece: int = 1 << 20) -> "Client":
        for _ in range(5):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.deliver(piece)
            else:
                self.deliver(piece)
                return self
        raise AssertionError("no handshake")

    def read(self) -> bytes:
        data = b""
        while True:
            try:
                got = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                return data
            if not got:
                return data
            data += got


@pytest.fixture(scope="module")
def certificates(make_pem: Callable[..., Pem]) -> Certificates:
    return Certificates([make_pem("mail.example", "*.wild.example"), make_pem("other.example")])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("piece", [1, 100, 1 << 20])
def test_bytes_pass_both_ways_however_they_are_cut(certificates: Certificates, version: Any, piece: int) -> None:
    client = Client(certificates, version=version).shake(piece)
    assert client.handshakes == 1
    assert client.filter.ready
    assert client.filter.version == version.name.replace("_", ".")
    client.tls.write(b"a NOOP\r\n")
    client.deliver(piece)
    assert client.received == b"a NOOP\r\n"
    large = bytes(range(256)) * 1000
    client.filter.write(large)
    client.filter.write(b"end")
    assert client.read() == large + b"end"


def test_a_large_upload_arrives_whole(certificates: Certificates) -> None:
    client = Client(certificates).shake()
    large = bytes(range(256)) * 2000
    client.tls.write(large)
    client.deliver(65_536)
    assert client.received == large


@pytest.mark.parametrize(("name", "shown"), [
    ("", "mail.example"), ("mail.example", "mail.example"), ("MAIL.example.", "mail.example"),
    ("a.wild.example", "mail.example"), ("a.b.wild.example", "mail.example"), ("other.example", "other.example"),
    ("unknown.example", "mail.example"),
])
def test_the_certificate_follows_the_name(certificates: Certificates, name: str, shown: str) -> None:
    assert certificates.choose(name).names[0] == shown
    client = Client(certificates, name.rstrip(".")).shake()
    der = client.tls.getpeercert(binary_form=True)
    assert der is not None
    expected = certificates.choose(name).end_point
    assert hashlib.sha256(der).digest() == expected


def test_configured_names_win_over_the_certificates_own(make_pem: Callable[..., Pem]) -> None:
    made = Certificates([make_pem("a.example"), make_pem("b.example", shown_for=("C.example",))])
    assert made.choose("c.example").names == ("c.example",)
    assert made.choose("b.example") is made.default


def test_channel_bindings(certificates: Certificates) -> None:
    newer = Client(certificates, version=ssl.TLSVersion.TLSv1_3).shake().filter.channel_bindings()
    assert len(newer["tls-exporter"]) == 32
    assert newer["tls-server-end-point"] == certificates.default.end_point
    older = Client(certificates, version=ssl.TLSVersion.TLSv1_2).shake().filter.channel_bindings()
    assert set(older) == {"tls-server-end-point"}


def test_plain_text_instead_of_a_handshake_fails(certificates: Certificates) -> None:
    with pytest.raises(TlsFailed):
        list(TlsFilter(certificates, lambda raw: None).receive(b"a LOGIN bob secret\r\n" * 3))


def test_tls_1_1_is_refused(certificates: Certificates) -> None:
    # A ClientHello of TLS 1.1 with one suite: record header, handshake header, version, random, no session, suites.
    hello = b"\x03\x02" + bytes(32) + b"\0" + b"\0\x02\xc0\x13" + b"\x01\0"
    handshake = b"\x01" + len(hello).to_bytes(3, "big") + hello
    record = b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake
    sent: list[bytes] = []
    with pytest.raises(TlsFailed):
        list(TlsFilter(certificates, sent.append).receive(record))
    assert sent[0][0] == 0x15  # an alert says why


def test_a_broken_record_fails(certificates: Certificates) -> None:
    client = Client(certificates).shake()
    client.tls.write(b"x" * 100)
    raw = bytearray(client.outgoing.read())
    raw[-1] ^= 1
    with pytest.raises(TlsFailed):
        list(client.filter.receive(bytes(raw)))


def test_the_peers_goodbye_is_noticed_and_answered(certificates: Certificates) -> None:
    client = Client(certificates).shake()
    client.tls.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.deliver()
    assert client.received == b"last"
    assert client.filter.closed
    client.filter.finish()
    client.tls.unwrap()


def test_what_is_wrong_with_certificates_is_said_for_all(make_pem: Callable[..., Pem]) -> None:
    good = make_pem("a.example")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    stranger = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    wrong = check([good, Pem("x", b"junk", good.key), Pem("y", good.certificate, b"junk"),
                   Pem("z", good.certificate, stranger)])
    assert [text.partition(":")[0] for text in wrong] == ["x", "y", "z"]
    assert check([good], ciphers="NO-SUCH-CIPHER")
    with pytest.raises(BadCertificate):
        Certificates([])


def test_a_pem_never_prints_its_key(make_pem: Callable[..., Pem]) -> None:
    assert "PRIVATE" not in repr(make_pem("a.example"))
