"""One server per test module, with mail in it."""

import mailbox
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Served, deliver, serving

REAL = Path(__file__).resolve().parents[3] / "shared" / "mail" / "real-1996.mbox"


def messages() -> list[bytes]:
    """Real mail where it is at hand, and a few messages of our own."""
    own = [
        b"From: Anna <anna@example.org>\nTo: alice@example.org\nSubject: plain\nDate: Mon, 1 Jun 2026 10:00:00 +0200\n"
        b"Message-ID: <plain@example.org>\n\nHello Alice,\nthis is plain.\n",
        "From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\nTo: alice@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        "Date: Tue, 2 Jun 2026 10:00:00 +0200\nMessage-ID: <umlaut@example.org>\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße aus Köln\n".encode(),
        b"From: list@example.org\nTo: alice@example.org\nSubject: attachment\nDate: Wed, 3 Jun 2026 10:00:00 +0200\n"
        b"Message-ID: <mixed@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\n\ntext\n--b\nContent-Type: application/octet-stream; name=x.bin\n"
        b"Content-Transfer-Encoding: base64\n\nAAECAwQF\n--b--\n",
    ]
    if REAL.exists():
        box = mailbox.mbox(REAL, create=False)
        own += [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118 - a mailbox is no dict
        box.close()
    elif os.environ.get("CULVERHOUSE_CI"):
        pytest.fail(f"{REAL} is missing")
    return own


def fill(server: Served, user: str = "alice") -> list[bytes]:
    """Deliver all messages into the user's INBOX; returns them."""
    maildir = server.maildir(user)
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    for number, message in enumerate(sent := messages()):
        deliver(maildir, message, number=number)
    time.sleep(0.01)
    return sent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("server"), ("alice", "bob", "carol"), workers=2) as started:
        fill(started)
        yield started
