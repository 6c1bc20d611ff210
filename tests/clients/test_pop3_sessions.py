"""POP3 beside other sessions of the same mailbox, through a server with two workers and real sockets."""

import contextlib
import imaplib
import os
import poplib
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.serving import PASSWORD, Served, deliver


@pytest.fixture
def maildir(server: Served) -> Path:
    """The INBOX of bob, who has ten messages and no session."""
    folder = server.maildir("bob")
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("cur", "new"):
        for path in (folder / name).iterdir():
            path.unlink()
    for number in range(10):
        deliver(folder, b"Subject: %d\n\nbody %d\n" % (number, number))
    return folder


def pop3(server: Served, user: str = "bob") -> poplib.POP3:
    client = poplib.POP3("127.0.0.1", server.pop3, timeout=20)
    try:
        client.user(user)
        client.pass_(PASSWORD)
    except BaseException:
        client.close()
        raise
    return client


def patiently(server: Served) -> poplib.POP3:
    """Log in as soon as the maildrop is free."""
    end = time.monotonic() + 20
    while True:
        try:
            return pop3(server)
        except (OSError, EOFError, poplib.error_proto):
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def imap(server: Served) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", server.imap)
    client.login("bob", PASSWORD)
    client.select()
    return client


def subjects(client: poplib.POP3) -> list[bytes]:
    return [client.top(number, 0)[1][0] for number in range(1, client.stat()[0] + 1)]


def test_one_session_at_a_time_in_whichever_worker(server: Served, maildir: Path) -> None:
    first = pop3(server)
    for _ in range(12):
        with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
            pop3(server)
    first.quit()
    pop3(server).quit()


def test_the_lock_dies_with_the_connection(server: Served, maildir: Path) -> None:
    first = pop3(server)
    first.dele(1)
    assert first.sock is not None
    first.sock.shutdown(socket.SHUT_RDWR)
    first.close()
    second = patiently(server)
    assert second.stat()[0] == 10
    second.quit()


def test_the_lock_dies_with_its_process(server: Served, maildir: Path) -> None:
    first = pop3(server)
    first.dele(1)
    for pid in workers(server):
        os.kill(pid, signal.SIGKILL)
    second = patiently(server)
    assert second.stat()[0] == 10
    second.quit()
    with contextlib.suppress(OSError):
        first.close()


def workers(server: Served) -> list[int]:
    """The server's children that serve mail."""
    assert server.process is not None
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                command = (entry / "cmdline").read_bytes()
                if int(fields[1]) == server.process.pid and b"worker" in command:
                    found.append(int(entry.name))
    assert found
    return found


def test_imap_goes_on_meanwhile(server: Served, maildir: Path) -> None:
    session = pop3(server)
    before = subjects(session)
    sizes = session.list()[1]
    other = imap(server)
    other.store("1:3", "+FLAGS", "(\\Deleted)")
    assert other.expunge()[0] == "OK"
    other.append("INBOX", "", "", b"Subject: new\r\n\r\nnew\r\n")
    assert session.stat()[0] == 10
    assert session.list()[1] == sizes
    for number in range(1, 11):
        try:
            assert session.retr(number)[1][0] == before[number - 1]
        except poplib.error_proto:
            assert number <= 3, "only an expunged message may be refused"
    session.dele(1)
    session.dele(4)
    session.quit()
    other.noop()
    later = pop3(server)
    assert subjects(later) == [*before[4:], b"Subject: new"]
    later.quit()
    other.logout()


def test_another_program_removes_a_message_meanwhile(server: Served, maildir: Path) -> None:
    session = pop3(server)
    before = subjects(session)
    files = [*(maildir / "new").iterdir(), *(maildir / "cur").iterdir()]
    next(path for path in files if b"Subject: 4\n" in path.read_bytes()).unlink()
    number = before.index(b"Subject: 4") + 1
    with pytest.raises(poplib.error_proto):
        session.retr(number)
    for other in set(range(1, 11)) - {number}:
        assert session.retr(other)[1][0] == before[other - 1]
    session.dele(number)
    session.quit()


def test_what_was_read_is_seen_and_what_was_new_stays_recent(server: Served, maildir: Path) -> None:
    session = pop3(server)
    session.retr(2)
    session.top(3, 1)
    session.quit()
    client = imaplib.IMAP4("127.0.0.1", server.imap)
    client.login("bob", PASSWORD)
    client.select(readonly=True)
    assert client.search(None, "SEEN")[1] == [b"2"]
    assert client.response("RECENT")[1] in ([b"10"], [b"9"]), "POP3 takes nobody's \\Recent"
    client.logout()


def test_uidls_do_not_change_when_the_index_is_lost(server: Served, maildir: Path) -> None:
    session = pop3(server)
    before = session.uidl()[1]
    session.quit()
    for path in sorted(server.index.rglob("*"), reverse=True):
        if "bob" in path.parts and path.is_file():
            path.unlink()
    session = pop3(server)
    assert session.uidl()[1] == before
    session.quit()


def test_commands_behind_stls_are_not_executed(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.pop3), timeout=10) as raw:
        file = raw.makefile("rb")
        assert file.readline().startswith(b"+OK")
        raw.sendall(b"STLS\r\nCAPA\r\n")
        answer = file.read()
    assert b"IMPLEMENTATION" not in answer
    assert answer.count(b"\r\n") <= 1
