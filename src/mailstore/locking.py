"""Dotlocks as Dovecot takes them, made safe for the threads of one process as well.

A lock is the file `<name>.lock` beside what it guards, with `pid:host` in it. It is stale, and taken away, when its
process on this host is dead or its pid was given to a younger process, when it bears our own pid though we don't hold
it, or when nothing is known of its process and neither lock nor guarded file changed for `stale` seconds.

Rules that keep it right:
1. The content appears together with the name: the file is written under another name and linked.
2. A stale lock is removed only by who holds the kernel's lock on that file and finds it still under its name.
3. Threads of one process first pass a gate of their own; the thread that holds a lock may take it again.
4. A lock held long is touched (`touch`), and a holder that lost its lock learns it from `check`. The file stays open
   meanwhile, so that no other file can get its inode.
"""

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator

from ..model.errors import Kind, MailError
from . import durable

WAIT = 30.0
"""Seconds after which a waiter gives up with INUSE."""
_TOUCH = 5.0


class Gate:
    """What the threads of this process share about one lock: the right to take it, and how deep it is held."""

    def __init__(self) -> None:
        self.turn = threading.RLock()
        self.depth = 0
        self.users = 0
        self.descriptor = -1
        self.path = b""
        """Where the lock lies; whoever renames its directory says so here."""
        self.touched = 0.0


_gates: dict[bytes, Gate] = {}
_registry = threading.Lock()


class DotLock:
    """The lock `path` (which ends in `.lock`) that guards `guarded`."""

    def __init__(self, path: bytes, guarded: bytes, stale: float = 120.0, mode: int = 0o600) -> None:
        self.path = path
        self.guarded = guarded
        self.stale = stale
        self.mode = mode

    @contextlib.contextmanager
    def held(self, wait: float = WAIT) -> Iterator[Gate]:
        """Hold it for the block. MailError(INUSE) when that takes more than `wait` seconds."""
        with _registry:
            gate = _gates.setdefault(self.path, Gate())
            gate.users += 1
        try:
            deadline = time.monotonic() + wait
            if not gate.turn.acquire(timeout=max(wait, 0.001)):
                raise _in_use()
            try:
                if gate.depth == 0:
                    self._take(gate, deadline)
                gate.depth += 1
                try:
                    yield gate
                finally:
                    gate.depth -= 1
                    if gate.depth == 0:
                        self._drop(gate)
            finally:
                gate.turn.release()
        finally:
            with _registry:
                gate.users -= 1
                if gate.users == 0:
                    _gates.pop(self.path, None)

    def touch(self, gate: Gate) -> None:
        """Say that we are alive, when that was not said for some seconds."""
        now = time.monotonic()
        if now - gate.touched > _TOUCH:
            gate.touched = now
            self.check(gate)
            with contextlib.suppress(OSError):
                os.utime(gate.descriptor)

    def check(self, gate: Gate) -> None:
        """MailError(UNAVAILABLE) when somebody took the lock away, for example while the machine slept."""
        if not _same(gate.descriptor, gate.path):
            raise MailError(Kind.UNAVAILABLE, "The mailbox's lock was lost, try again")

    # -- taking --

    def _take(self, gate: Gate, deadline: float) -> None:
        draft = durable.temporary(os.path.dirname(self.path))
        descriptor = -1
        pause = 0.002
        try:
            while True:
                if descriptor < 0:
                    descriptor = _write_owner(draft, self.mode)
                if _link(draft, self.path):
                    break
                if self._remove_stale():
                    continue
                if time.monotonic() + pause > deadline:
                    raise _in_use()
                time.sleep(pause)
                pause = min(pause * 1.5, 0.1)
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            raise
        finally:
            if descriptor >= 0:
                durable.discard(draft)
        gate.descriptor = descriptor
        gate.path = self.path
        gate.touched = time.monotonic()

    def _remove_stale(self) -> bool:
        """Take somebody else's lock away when it is stale; False when it is not. Two who find it stale are told apart
        by a kernel lock on that very file: the second finds that the name leads elsewhere by then."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        try:
            if not self._is_stale(descriptor):
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same(descriptor, self.path):
                durable.unlink(self.path, "lock-override")
            return True
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)

    def _is_stale(self, descriptor: int) -> bool:
        state = os.fstat(descriptor)
        owner = _owner(os.pread(descriptor, 512, 0))
        if owner is not None:
            return owner == os.getpid() or not _alive(owner, state.st_mtime)
        changed = state.st_ctime
        with contextlib.suppress(OSError):
            changed = max(changed, os.stat(self.guarded).st_ctime)
        return time.time() > changed + self.stale

    def _drop(self, gate: Gate) -> None:
        if _same(gate.descriptor, gate.path):
            durable.discard(gate.path)
        os.close(gate.descriptor)
        gate.descriptor = -1


def _in_use() -> MailError:
    return MailError(Kind.INUSE, "The mailbox is locked by another program, try again later")


def _same(descriptor: int, path: bytes) -> bool:
    """Whether the name leads to the open file. While it is open, no other file can have its inode."""
    try:
        one, two = os.fstat(descriptor), os.lstat(path)
    except OSError:
        return False
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


def _write_owner(path: bytes, mode: int) -> int:
    """Make a lock file; open."""
    descriptor = durable.create(path, mode)
    try:
        durable.write(descriptor, os.fsencode(f"{os.getpid()}:{durable.HOST}"), "lock-write")
    except OSError:
        os.close(descriptor)
        durable.discard(path)
        raise
    return descriptor


def _link(draft: bytes, path: bytes) -> bool:
    """Whether `path` is ours now."""
    try:
        durable.link(draft, path, "lock")
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links. A rename could take somebody's lock away between look and act, so the
        # name is made first.
        try:
            os.close(durable.create(path, 0o600))
        except FileExistsError:
            return False
        durable.rename(draft, path, "lock-rename")
    return True


def _owner(content: bytes) -> int | None:
    """The process on this host that made the lock, when it says so."""
    number, colon, host = content.rstrip(b"\n").partition(b":")
    if not colon or host != os.fsencode(durable.HOST) or not number.isdigit() or len(number) > 9:
        return None
    return int(number) or None


def _alive(process: int, since: float) -> bool:
    """Whether the process that wrote something at `since` still runs; one that began later only has its number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    began = _began(process)
    return began is None or began <= since + 2


def _began(process: int) -> float | None:
    """When a process began, by the kernel's account."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as file:
            boot = next(int(line[6:]) for line in file if line.startswith(b"btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return boot + ticks / os.sysconf("SC_CLK_TCK")
