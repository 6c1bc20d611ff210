"""The account's write lock: between threads, between processes, re-entrant, and true even when its file is deleted."""

import os
import subprocess
import sys
import threading
import time

import pytest

from culverhouse.index.account import AccountIndex
from culverhouse.index.env import Environments
from culverhouse.index.lock import give, take
from culverhouse.model.errors import Kind, MailError

HOLDER = """
import sys
from culverhouse.index.lock import take
assert take(sys.argv[1], 5) is not None
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def index(tmp_path):
    return AccountIndex(str(tmp_path / "deep" / "user"), Environments())


def test_it_may_be_taken_again_by_the_same_thread(index):
    with index.lock(), index.lock():
        with AccountIndex(index.path, index._environment._registry).lock(0.1):
            pass
        assert take(f"{index.path}.write", 0) is None
    descriptor = take(f"{index.path}.write", 0)
    assert descriptor is not None
    give(descriptor)


def test_another_thread_waits_and_gives_up(index):
    failed = []

    def other():
        try:
            with index.lock(0.05):
                pass
        except MailError as error:
            failed.append(error.kind)

    with index.lock():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert failed == [Kind.INUSE]
    with index.lock(0.05):
        pass


def test_another_process_holds_it_until_it_dies(index):
    with index.lock():
        pass
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{index.path}.write"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MailError) as refused, index.lock(0.1):
            pass
        assert refused.value.kind is Kind.INUSE
        holder.kill()
        holder.wait()
        with index.lock(5):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_deleted_lock_file_is_made_again(index):
    path = f"{index.path}.write"
    with index.lock():
        os.unlink(path)
        descriptor = take(path, 0)
        assert descriptor is not None
        give(descriptor)
    with index.lock(0.1):
        assert os.path.exists(path)


def test_who_waited_for_a_deleted_file_takes_the_new_one(tmp_path):
    path = str(tmp_path / "lock")
    first = take(path, 0)
    got = []
    waiting = threading.Thread(target=lambda: got.append(take(path, 5)))
    waiting.start()
    time.sleep(0.02)
    os.unlink(path)
    give(first)
    waiting.join()
    assert os.fstat(got[0]).st_ino == os.stat(path).st_ino
    give(got[0])


def test_a_forked_child_does_not_keep_it(index):
    with index.lock():
        child = os.fork()
        if not child:
            time.sleep(0.5)
            os._exit(0)
    with index.lock(0.2):
        pass
    os.waitpid(child, 0)


def test_it_is_given_back_after_an_error(index):
    with pytest.raises(KeyError), index.lock():
        raise KeyError
    descriptor = take(f"{index.path}.write", 0)
    assert descriptor is not None
    give(descriptor)


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "user.write").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        take(str(tmp_path / "user.write"), 0)
