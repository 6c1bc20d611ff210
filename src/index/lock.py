"""Lock files that lie beside the environment's folder, never in it.

Rules that keep it right:
1. flock belongs to the open file: it goes with its process, however that dies.
2. A lock counts only while its file still has its name: somebody may delete everything below the index directory, so
   whoever gets the lock compares the inode with the one the name has now, and starts over when they differ.
3. One thread per process holds a lock; within that thread it may be taken again.
"""

import errno
import fcntl
import os
import threading
import time
from types import TracebackType

from ..model.errors import Kind, MailError
from .errors import IndexUnavailable


def take(path: str, timeout: float) -> int | None:
    """Descriptor of the locked file, None after the time-out. OSError when the file cannot be made."""
    deadline = time.monotonic() + timeout
    pause = 0.0005
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(descriptor)
            named = os.stat(path)
            if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
                return descriptor
            os.close(descriptor)
            continue
        except FileNotFoundError:
            os.close(descriptor)
            continue
        except OSError as problem:
            os.close(descriptor)
            if problem.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.05)


def give(descriptor: int) -> None:
    """Unlock and close; the unlocking reaches a copy of the descriptor that a forked child may hold."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        return os.open(path, flags, 0o600)


class AccountLock:
    """The write lock of one account in this process; shared by everybody who has the account open here."""

    __slots__ = ("__weakref__", "_depth", "_descriptor", "_path", "_threads")

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.RLock()
        self._depth = 0
        self._descriptor = -1

    def acquire(self, timeout: float) -> None:
        """Take it, or once more in the thread that has it."""
        started = time.monotonic()
        if not self._threads.acquire(timeout=timeout):
            raise MailError(Kind.INUSE, "The account is busy, try again")
        try:
            if not self._depth:
                descriptor = take(self._path, timeout - (time.monotonic() - started))
                if descriptor is None:
                    raise MailError(Kind.INUSE, "The account is busy, try again")
                self._descriptor = descriptor
            self._depth += 1
        except OSError as problem:
            self._threads.release()
            raise IndexUnavailable(f"{self._path}: {problem.strerror}") from problem
        except BaseException:
            self._threads.release()
            raise

    def release(self) -> None:
        """Give it back as often as it was taken."""
        self._depth -= 1
        if not self._depth:
            descriptor, self._descriptor = self._descriptor, -1
            give(descriptor)
        self._threads.release()


class Held:
    """`with` form of an AccountLock."""

    __slots__ = ("_lock", "_timeout")

    def __init__(self, lock: AccountLock, timeout: float) -> None:
        self._lock = lock
        self._timeout = timeout

    def __enter__(self) -> None:
        self._lock.acquire(self._timeout)

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, where: TracebackType | None
    ) -> None:
        self._lock.release()
