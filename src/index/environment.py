"""The LMDB environment of one account: looked at before every use, opened again when it was lost.

Rules that keep it right:
1. Before each transaction the (device, inode) of data.mdb and lock.mdb are compared with those that were opened, and
   the size with the largest one seen: whoever deletes, replaces or cuts an environment is noticed before a page is
   read. A writer looks again once it has LMDB's write lock.
2. An environment in use by a thread is never closed under it: it is detached, and closed by its last user.
3. No transaction lives longer than the call of its action, and an action neither waits nor touches a file.
4. No lmdb.Error leaves: a reader gets None, a writer IndexUnavailable. Damage is moved aside and reported.
"""

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import lmdb

from ..model.store import Report
from . import folder
from .errors import IndexDamaged, IndexUnavailable, IndexUnsynced
from .lock import AccountLock

if TYPE_CHECKING:
    from .env import Environments

    Txn = lmdb.Transaction[bytes]

T = TypeVar("T")

_TRANSIENT = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ENOENT, errno.EFBIG, 0,
})  # fmt: skip
_DAMAGE = (
    lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.IncompatibleError,
    lmdb.PageFullError, lmdb.CursorFullError, lmdb.BadTxnError, lmdb.NotFoundError, lmdb.BadValsizeError,
)  # fmt: skip
_ATTEMPTS = 4
_STILL_OPEN = 50
_REPORTS = 1000


class Opened:
    """One opened environment; `condemned` holds the mailboxes whose rows were found damaged."""

    __slots__ = ("condemned", "data", "detached", "environment", "floor", "lock", "users")

    def __init__(self, environment: lmdb.Environment, data: tuple[int, int], lock: tuple[int, int], size: int) -> None:
        self.environment = environment
        self.data = data
        self.lock = lock
        self.floor = size
        self.users = 0
        self.detached = False
        self.condemned: set[int] = set()


class Environment:
    """The environment of one path: what is open now, and how to get on when it is lost."""

    def __init__(self, path: str, registry: "Environments") -> None:
        self.path = path
        self.lock = AccountLock(f"{path}.write")
        self.reports: deque[Report] = deque(maxlen=_REPORTS)
        self._reported: set[tuple[str, str]] = set()
        self._registry = registry
        self._data_path = f"{path}/data.mdb"
        self._lock_path = f"{path}/lock.mdb"
        self._clean_path = f"{path}/clean"
        self._opened: Opened | None = None
        self._forsaken: Opened | None = None
        self._opening = threading.Lock()
        self.write_started: float | None = None
        """time.monotonic() when the write transaction that runs now was asked for."""

    # ── transactions ──

    def read(self, action: "Callable[[Txn, Opened], T | None]") -> T | None:
        """What the action makes of a read transaction; None when there is nothing (readable). Any thread."""
        registry = self._registry
        for _ in range(_ATTEMPTS):
            try:
                opened = self._lease(create=False)
            except IndexUnavailable as problem:
                self.report("index-unavailable", str(problem))
                return None
            if opened is None:
                if os.path.exists(self._data_path):
                    continue
                return None
            if registry.note is not None:
                registry.note(self.path)
            try:
                with opened.environment.begin() as txn:
                    return action(txn, opened)
            except lmdb.Error as problem:
                if not self._failed(opened, problem):
                    return None
            finally:
                if registry.note is not None:
                    registry.note(None)
                self._release(opened)
        return None

    def write(self, action: "Callable[[Txn, Opened], T]") -> T:
        """Run the action in a write transaction and commit. It may be run again from the start when the environment
        was lost under it; whatever it raises undoes the transaction. Pool threads only."""
        registry = self._registry
        thread = threading.get_ident()
        cause: Exception | None = None
        for _ in range(_ATTEMPTS):
            opened = self._lease(create=True)
            if opened is None:
                continue
            registry.writes[thread] = self.write_started = time.monotonic()
            if registry.note is not None:
                registry.note(self.path)
            try:
                txn = opened.environment.begin(write=True)
                try:
                    if not self._same(opened):
                        self._detach(opened)
                        continue
                    if folder.is_clean(self.path):
                        txn.abort()
                        folder.unclean(self.path)
                        continue
                    result = action(txn, opened)
                    txn.commit()
                    registry.written[self.path] = time.monotonic()
                    return result
                finally:
                    txn.abort()
            except lmdb.Error as problem:
                cause = problem
                if not self._failed(opened, problem):
                    break
            except OSError as problem:
                raise IndexUnavailable(f"{self.path}: {problem}") from problem
            finally:
                registry.writes.pop(thread, None)
                self.write_started = None
                if registry.note is not None:
                    registry.note(None)
                self._release(opened)
        raise IndexUnavailable(f"{self.path}: {cause or 'replaced again and again'}") from cause

    def sync(self) -> bool:
        """Bring all to the disk and say so for the next boot; False when that could not be. Pool threads only."""
        try:
            opened = self._lease(create=False)
            if opened is None:
                return True
            try:
                opened.environment.reader_check()
                return folder.mark_clean(self.path, opened.environment)
            except lmdb.Error as problem:
                self._failed(opened, problem)
                return False
            finally:
                self._release(opened)
        except (OSError, IndexUnavailable):
            return False

    def report(self, event: str, detail: str) -> None:
        """Note what was found or done, once per opening; the account layer collects it."""
        if (event, detail) not in self._reported and len(self._reported) < _REPORTS:
            self._reported.add((event, detail))
            self.reports.append(Report(event, self.path, detail))

    def drain_reports(self) -> list[Report]:
        """What was noted since the last call."""
        drained: list[Report] = []
        while self.reports:
            drained.append(self.reports.popleft())
        return drained

    # ── opening, leasing, letting go ──

    def _lease(self, *, create: bool) -> Opened | None:
        """The open environment, counted as used; None when there is none (and, with `create`, when one appeared
        and went again meanwhile)."""
        registry = self._registry
        with registry.guard:
            opened = self._opened
            if opened is not None:
                opened.users += 1
                registry.recent.move_to_end(self)
        if opened is not None:
            if self._same(opened):
                return opened
            self._detach(opened)
            self._release(opened)
        return self._open(create)

    def _same(self, opened: Opened) -> bool:
        """The files that were opened are still there, and none was cut."""
        floor = opened.floor
        try:
            data = os.stat(self._data_path)
            lock = os.stat(self._lock_path)
        except OSError:
            return False
        if (data.st_dev, data.st_ino) != opened.data or (lock.st_dev, lock.st_ino) != opened.lock:
            return False
        if data.st_size < floor:
            self._damaged(opened, "data.mdb was cut while it was open")
            return False
        if data.st_size > floor:
            opened.floor = data.st_size
        return True

    def _open(self, create: bool) -> Opened | None:
        if not os.path.exists(self._data_path):
            if not create:
                return None
            folder.make(self.path, self._registry.map_size)
        # Held for the time of an open, so that everybody can wait for it.
        with self._opening:
            with self._registry.guard:
                if self._opened is not None:
                    self._opened.users += 1
                    return self._opened
            try:
                opened = self._open_existing()
            except IndexDamaged as damage:
                self._aside(None, damage, timeout=5.0 if create else 0.0)
                return None
            except OSError as problem:
                raise IndexUnavailable(f"{self.path}: {problem}") from problem
            if opened is None:
                return None
            opened.users = 1
            with self._registry.guard:
                self._opened = opened
                self._registry.recent[self] = None
                self._reported.clear()
        self._registry.close_oldest()
        return opened

    def _open_existing(self) -> Opened | None:
        """Open what lies there. IndexDamaged when it is not to be trusted, None when it was replaced meanwhile."""
        try:
            before = os.stat(self._data_path)
            folder.check_size(self.path)
            environment = self._open_lmdb()
        except FileNotFoundError:
            return None
        except lmdb.Error as problem:
            if _code(problem) in _TRANSIENT:
                raise IndexUnavailable(f"{self.path}: {problem}") from problem
            raise IndexDamaged(str(problem)) from problem
        try:
            folder.check_pages(self.path, environment)
            if not folder.trusted(self.path, environment):
                raise IndexUnsynced("not synced before the last boot")
            folder.check_schema(environment)
            environment.reader_check()
            data = os.stat(self._data_path)
            lock = os.stat(self._lock_path)
            if (data.st_dev, data.st_ino) != (before.st_dev, before.st_ino):
                environment.close()
                return None
            return Opened(environment, (data.st_dev, data.st_ino), (lock.st_dev, lock.st_ino), data.st_size)
        except lmdb.Error as problem:
            environment.close()
            if _code(problem) in _TRANSIENT and not isinstance(problem, _DAMAGE):
                raise IndexUnavailable(f"{self.path}: {problem}") from problem
            raise IndexDamaged(str(problem)) from problem
        except FileNotFoundError:
            environment.close()
            return None
        except BaseException:
            environment.close()
            raise

    def _open_lmdb(self) -> lmdb.Environment:
        """LMDB's open; one that was detached in this process may still have to be closed by its last user."""
        for _ in range(_STILL_OPEN):
            try:
                return folder.open_environment(self.path, self._registry.map_size)
            except lmdb.Error as problem:
                if _code(problem) or self._forsaken is not None:
                    raise
            time.sleep(0.001)
        return folder.open_environment(self.path, self._registry.map_size)

    def _release(self, opened: Opened) -> None:
        with self._registry.guard:
            opened.users -= 1
            close = opened.detached and not opened.users
        if close:
            opened.environment.close()

    def _detach(self, opened: Opened) -> None:
        """Nobody gets this one any more; its last user closes it. The caller is a user of it."""
        with self._registry.guard:
            opened.detached = True
            if self._opened is opened:
                self._opened = None
                self._registry.recent.pop(self, None)

    def close_if_unused(self) -> bool:
        """Close what is open unless a thread uses it."""
        with self._registry.guard:
            opened = self._opened
            if opened is None or opened.users:
                return False
            self._opened = None
            self._registry.recent.pop(self, None)
            opened.detached = True
        opened.environment.close()
        return True

    def forsake(self) -> None:
        """After a fork, in the child: forget the parent's environment without touching it."""
        self._forsaken, self._opened = self._opened or self._forsaken, None
        self._opening = threading.Lock()
        self.lock = AccountLock(f"{self.path}.write")

    # ── failures ──

    def _failed(self, opened: Opened, problem: lmdb.Error) -> bool:
        """Act on an LMDB error; True when a writer may try again."""
        if isinstance(problem, lmdb.ReadersFullError):
            with contextlib.suppress(lmdb.Error):
                return opened.environment.reader_check() > 0
            return False
        if isinstance(problem, lmdb.MapFullError):
            # Readers that died keep old pages from being used again; only without them the map is really full.
            with contextlib.suppress(lmdb.Error):
                if opened.environment.reader_check():
                    return True
            self._damaged(opened, "the map is full")
            return True
        if isinstance(problem, _DAMAGE):
            self._damaged(opened, str(problem))
            return True
        if _code(problem) in _TRANSIENT:
            self.report("index-unavailable", str(problem))
            return False
        # What is left (a panic after a failed write, a reader slot that went wrong) is cured by opening again.
        self._detach(opened)
        return True

    def _damaged(self, opened: Opened, detail: str) -> None:
        self._detach(opened)
        self._aside(opened.data, IndexDamaged(detail))

    def _aside(self, inode: tuple[int, int] | None, damage: IndexDamaged, timeout: float = 0.0) -> None:
        keep = not isinstance(damage, IndexUnsynced)
        aside = folder.move_aside(self.path, inode, keep=keep, timeout=timeout)
        done = f"moved to {aside}" if aside else "another process moves it"
        self.report("index-damaged" if keep else "index-unsynced", f"{damage}; {done if keep else 'it is built anew'}")


def _code(problem: lmdb.Error) -> int:
    """The errno in an LMDB error; 0 for one that py-lmdb itself raised: an environment that is still open here, and
    is closed once its last user has left."""
    return getattr(problem, "code", 0)
