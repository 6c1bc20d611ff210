"""Dotlocks as Dovecot takes them."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from culverhouse.mailstore import durable, locking
from culverhouse.mailstore.locking import DotLock
from culverhouse.model.errors import Kind, MailError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.lock"


def lock(path: Path, stale: float = 120) -> DotLock:
    return DotLock(os.fsencode(path), os.fsencode(path.with_suffix("")), stale)


def in_use(one: DotLock, wait: float = 0) -> None:
    with pytest.raises(MailError) as caught, one.held(wait):
        pass
    assert caught.value.kind is Kind.INUSE


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_file_says_who_holds_it(path: Path) -> None:
    with lock(path).held():
        assert path.read_text() == f"{os.getpid()}:{socket.gethostname()}"
        assert [entry.name for entry in path.parent.iterdir()] == ["list.lock"]
    assert not path.exists()


def test_a_thread_may_take_its_lock_again(path: Path) -> None:
    one = lock(path)
    with one.held():
        with lock(path).held(0) as gate:
            assert gate.depth == 2
        assert path.exists()
    assert not path.exists()


def test_another_thread_waits(path: Path) -> None:
    outcome: list[str] = []

    def other() -> None:
        try:
            with lock(path).held(0.05):
                outcome.append("taken")
        except MailError as error:
            outcome.append(error.kind.value)

    with lock(path).held():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert outcome == ["inuse"]
    other()
    assert outcome == ["inuse", "taken"]


def test_the_lock_of_a_living_process_is_respected(path: Path) -> None:
    path.write_text(f"{os.getppid()}:{socket.gethostname()}")
    os.utime(path, (1, 1))
    # Its parent is older than the lock's own time says, so the lock must be young.
    os.utime(path)
    in_use(lock(path, stale=0))
    assert path.exists()


@pytest.mark.parametrize("newline", ["", "\n"])
def test_the_lock_of_a_dead_process_is_taken_at_once(path: Path, newline: str) -> None:
    path.write_text(f"{dead_process()}:{socket.gethostname()}{newline}")
    with lock(path).held(0):
        assert path.read_text().startswith(f"{os.getpid()}:")
    assert list(path.parent.iterdir()) == []


def test_our_own_number_in_a_lock_we_do_not_hold_is_a_dead_ones(path: Path) -> None:
    # A container's first process has the same number after each start.
    path.write_text(f"{os.getpid()}:{socket.gethostname()}")
    with lock(path).held(0):
        pass
    assert not path.exists()


def test_a_number_that_was_given_to_a_younger_process_is_a_dead_ones(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        path.write_text(f"{child.pid}:{socket.gethostname()}")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        with lock(path).held(0):
            pass
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()


@pytest.mark.parametrize("content", ["1234:another-host", "", "garbage", "0:x", "-5:x"])
def test_a_lock_of_unknown_origin_is_stale_after_its_time(path: Path, content: str) -> None:
    path.write_text(content)
    in_use(lock(path))
    assert path.exists()
    with lock(path, stale=-1).held(0):
        pass
    assert not path.exists()


def test_a_lock_taken_since_it_was_found_stale_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two find one stale lock; the slower must not remove what the faster took meanwhile."""
    path.write_text(f"{dead_process()}:{socket.gethostname()}")
    judge = DotLock._is_stale

    def slow(self: DotLock, descriptor: int) -> bool:
        stale = judge(self, descriptor)
        if stale:
            path.unlink()
            path.write_text(f"{os.getppid()}:{socket.gethostname()}")
        return stale

    monkeypatch.setattr(DotLock, "_is_stale", slow)
    in_use(lock(path))
    assert path.read_text().startswith(f"{os.getppid()}:")


def test_a_change_of_what_is_guarded_keeps_a_lock_alive(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("1:another-host")
    now = time.time()
    monkeypatch.setattr(locking.time, "time", lambda: now + 121)
    path.with_suffix("").write_text("guarded")
    state = os.stat(path.with_suffix(""))
    monkeypatch.setattr(locking.time, "time", lambda: state.st_ctime + 119)
    in_use(lock(path))
    monkeypatch.setattr(locking.time, "time", lambda: state.st_ctime + 121)
    with lock(path).held(0):
        pass


def test_a_lock_taken_away_is_noticed_and_not_removed(path: Path) -> None:
    one = lock(path)
    with one.held() as gate:
        path.unlink()
        path.write_text("1:another-host")
        with pytest.raises(MailError) as caught:
            one.check(gate)
        assert caught.value.kind is Kind.UNAVAILABLE
    assert path.read_text() == "1:another-host"


def test_a_lock_held_long_is_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = lock(path)
    with one.held() as gate:
        os.utime(path, (1, 1))
        one.touch(gate)
        assert os.stat(path).st_mtime == 1
        gate.touched -= 60
        one.touch(gate)
        assert os.stat(path).st_mtime > 1


def test_a_failure_inside_releases_the_lock(path: Path) -> None:
    with pytest.raises(KeyError), lock(path).held():
        raise KeyError
    assert not path.exists()
    assert not locking._gates


def test_without_a_directory_there_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock(tmp_path / "gone" / "x.lock").held(0):
        pass


def test_a_file_system_without_hard_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on(step: str) -> None:
        if step == "lock":
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(durable, "step", on)
    with lock(path).held() as gate:
        assert path.read_text() == f"{os.getpid()}:{socket.gethostname()}"
        lock(path).check(gate)
        assert [entry.name for entry in path.parent.iterdir()] == ["list.lock"]
    path.write_text("1:another-host")
    in_use(lock(path))
    assert [entry.name for entry in path.parent.iterdir()] == ["list.lock"]


def test_waiters_leave_nothing_behind(path: Path) -> None:
    path.write_text(f"{os.getppid()}:{socket.gethostname()}")
    in_use(lock(path), 0.02)
    assert [entry.name for entry in path.parent.iterdir()] == ["list.lock"]


def test_processes_take_turns(path: Path) -> None:
    """Each adds one to a number that it read before; no addition is lost."""
    number = path.parent / "number"
    number.write_text("0")
    program = (
        "import sys, time\n"
        "from culverhouse.mailstore.locking import DotLock\n"
        f"lock = DotLock({os.fsencode(path)!r}, b'/nowhere')\n"
        "for _ in range(20):\n"
        "    with lock.held():\n"
        f"        old = int(open({str(number)!r}).read())\n"
        f"        open({str(number)!r}, 'w').write(str(old + 1))\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert number.read_text() == "60"
