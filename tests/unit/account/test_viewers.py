"""Markers of the processes that have a mailbox in view, and the lock of a POP3 session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from culverhouse.account.account import Account
from culverhouse.account.maildrop import MaildropLock
from culverhouse.account.viewers import Viewers
from culverhouse.model.errors import Kind, MailError


def test_markers(tmp_path: Path) -> None:
    one, two = Viewers(str(tmp_path / "index")), Viewers(str(tmp_path / "index"))
    two.pid = os.getppid()
    assert one.of("a") == []
    one.add("a")
    two.add("a")
    two.add("ab")
    assert sorted(one.of("a")) == sorted([one.pid, two.pid])
    one.remove("a")
    one.remove("a")
    assert one.of("a") == [two.pid]


def test_markers_of_dead_processes_go(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    viewers = Viewers(str(tmp_path / "index"))
    viewers.add("a")
    folder = tmp_path / "index.viewers"
    (folder / f"a-{dead.pid}").touch()
    (folder / "a-0x7").touch()
    assert viewers.of("a") == [viewers.pid]
    assert sorted(os.listdir(folder)) == sorted([f"a-{viewers.pid}", "a-0x7"])


def test_a_place_without_markers_hinders_nobody(tmp_path: Path) -> None:
    (tmp_path / "index.viewers").write_bytes(b"")
    viewers = Viewers(str(tmp_path / "index"))
    viewers.add("a")
    viewers.clean()
    assert viewers.of("a") == []


def test_one_pop3_session_at_a_time(account: Account) -> None:
    mailbox = account.mailbox("INBOX")
    lock = mailbox.lock_maildrop()
    with pytest.raises(MailError) as caught:
        mailbox.lock_maildrop()
    assert caught.value.kind is Kind.INUSE
    account.mailbox("Sent").lock_maildrop().release()
    lock.release()
    lock.release()
    mailbox.lock_maildrop().release()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    code = (
        f"import fcntl, os, time; fd = os.open({path!r}, os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(fd, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(MailError):
            MaildropLock(path)
        holder.kill()
        holder.wait()
    MaildropLock(path).release()
