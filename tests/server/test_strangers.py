"""What strangers send to a listening port: nothing of it is a bug, and nobody else notices."""

import contextlib
import random
import socket
import ssl
import threading

import pytest

from tests.server.conftest import Running
from tests.server.test_processes import logs_in

CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def noise(seed: int) -> bytes:
    """Bytes that begin like something and go on like nothing."""
    dice = random.Random(seed)
    starts = [
        b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"a LOGIN {99999999999999}\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n", b"USER " + b"x" * 3000 + b"\r\n",
        b"a AUTHENTICATE SCRAM-SHA-256 biws\r\n", b"AUTH PLAIN =\r\n", b"a STARTTLS\r\n",
        b"STLS\r\n", b"EHLO x\r\n", b"\x80" * 50,
    ]  # fmt: skip
    middle = dice.randbytes(dice.choice([0, 1, 50, 5000]))
    return dice.choice(starts) + middle + dice.choice([b"", b"\r\n", b"\r\n" * 60])


@pytest.mark.parametrize("secure", [False, True])
def test_noise_is_no_bug(shared: Running, secure: bool) -> None:
    for seed in range(60):
        port = (shared.imaps, shared.pop3s)[seed % 2] if secure and seed % 3 else random.Random(seed).choice(
            [shared.imap, shared.imaps, shared.pop3, shared.pop3s]
        )
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as link:
            if secure and seed % 3:
                link = CONTEXT.wrap_socket(link)
            link.sendall(noise(seed))
            link.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                while link.recv(10_000):
                    pass
            link.close()
    assert logs_in(shared)
    assert not shared.lines("bug")


def test_a_hundred_clients_at_once_all_get_in(shared: Running) -> None:
    worked = []

    def client() -> None:
        worked.append(logs_in(shared))

    threads = [threading.Thread(target=client) for _ in range(90)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One maildrop has one session at a time (RFC 1939 3), so who comes second may be told to wait.
    assert any(worked)
    assert len(worked) == 90
    assert not shared.lines("bug")
    assert len(shared.lines("process-ended")) == 0


def test_clients_that_vanish_at_any_moment_leave_nothing(shared: Running) -> None:
    import struct

    for seed in range(60):
        dice = random.Random(seed)
        with socket.create_connection(("127.0.0.1", shared.imap), timeout=5) as link:
            commands = [
                b"a LOGIN alice secret\r\n", b"b SELECT INBOX\r\n", b"c APPEND INBOX {10+}\r\n01234", b"d IDLE\r\n",
            ]
            link.sendall(b"".join(commands[: dice.randrange(5)])[: dice.randrange(90)])
            if dice.random() < 0.5:  # a reset instead of an end
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    from culverhouse.server import control
    from tests.server.conftest import until

    run = str(shared.folder / "run")
    until(lambda: True if not control.ask(run, {"command": "who"})["sessions"] else None, 10, "sessions of nobody")
    assert not shared.lines("bug")
