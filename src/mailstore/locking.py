"""Dotlocks as Dovecot takes them, made safe for the threads of one process as well.

A lock is the file `<name>.lock` beside what it guards, with `pid:host` in it. It is stale, and taken away, when its
process on this host is dead or its pid was given to a younger process, when it bears our own pid though we don't hold
it, or when nothing is known of its process and neither lock nor guarded file changed for `stale` seconds.

Rules that keep it right:
1. The content appears together with the name: the file is written under another name and linked.
2. A stale lock is moved aside, looked at, and put back when it turns out to be a new one.
3. Threads of one process first pass a gate of their own; the thread that holds a lock may take it again.
4. A lock held long is touched (`touch`), and a holder that lost its lock learns it from `check`.
"""

import contextlib
import errno
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
        self.inode: tuple[int, int] | None = None
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
                os.utime(self.path)

    def check(self, gate: Gate) -> None:
        """MailError(UNAVAILABLE) when somebody took the lock away, for example while the machine slept."""
        if _identity(self.path) != gate.inode:
            raise MailError(Kind.UNAVAILABLE, "The mailbox's lock was lost, try again")

    # -- taking --

    def _take(self, gate: Gate, deadline: float) -> None:
        draft = durable.temporary(os.path.dirname(self.path))
        written = False
        pause = 0.002
        watcher = _Watched()
        try:
            while True:
                if not written:
                    _write_owner(draft, self.mode)
                    written = True
                if _link(draft, self.path):
                    break
                if watcher.is_stale(self.path, self.guarded, self.stale) and self._remove_stale(watcher.seen):
                    continue
                if time.monotonic() + pause > deadline:
                    raise _in_use()
                time.sleep(pause)
                pause = min(pause * 1.5, 0.1)
        finally:
            if written:
                durable.discard(draft)
        gate.inode = _identity(self.path)
        gate.touched = time.monotonic()

    def _remove_stale(self, seen: "tuple[int, int] | None") -> bool:
        aside = durable.temporary(os.path.dirname(self.path))
        try:
            durable.rename(self.path, aside, "lock-override")
        except FileNotFoundError:
            return True
        if _identity(aside) != seen:
            # Somebody was faster, and this is the lock of a living process.
            with contextlib.suppress(OSError):
                os.link(aside, self.path, follow_symlinks=False)
            durable.discard(aside)
            return False
        durable.discard(aside)
        return True

    def _drop(self, gate: Gate) -> None:
        if _identity(self.path) == gate.inode:
            durable.discard(self.path)
        gate.inode = None


class _Watched:
    """What a waiter has seen of somebody else's lock."""

    def __init__(self) -> None:
        self.seen: tuple[int, int] | None = None

    def is_stale(self, path: bytes, guarded: bytes, stale: float) -> bool:
        """Whether the lock that lies there now may be taken away."""
        try:
            state = os.lstat(path)
        except FileNotFoundError:
            return False
        self.seen = (state.st_dev, state.st_ino)
        owner = _owner(path)
        if owner is not None:
            return owner == os.getpid() or not _alive(owner, state.st_mtime)
        changed = state.st_ctime
        with contextlib.suppress(OSError):
            changed = max(changed, os.stat(guarded).st_ctime)
        return time.time() > changed + stale


def _in_use() -> MailError:
    return MailError(Kind.INUSE, "The mailbox is locked by another program, try again later")


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _write_owner(path: bytes, mode: int) -> None:
    try:
        descriptor = durable.create(path, mode)
        try:
            durable.write(descriptor, os.fsencode(f"{os.getpid()}:{durable.HOST}"), "lock-write")
        finally:
            os.close(descriptor)
    except OSError:
        durable.discard(path)
        raise


def _link(draft: bytes, path: bytes) -> bool:
    """Whether `path` is ours now."""
    durable.step("lock")
    try:
        os.link(draft, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links: the content comes a moment after the name.
        try:
            _write_owner(path, 0o600)
        except FileExistsError:
            return False
    return True


def _owner(path: bytes) -> int | None:
    """The process on this host that made the lock, when it says so."""
    try:
        with open(path, "rb") as file:
            content = file.read(512)
    except OSError:
        return None
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
