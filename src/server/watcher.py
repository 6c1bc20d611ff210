"""Sees what other programs do to mail folders: inotify, or polling where that fails. Implements model.events.Watcher.

Rules that keep it right:

1. `watch` and `Watch.close` are for any thread; callbacks come on the reactor thread, gathered over a few
   milliseconds, and none comes after `close` has returned on that thread.
2. When anything may have been missed - the kernel's queue ran over, a folder was moved or removed, a poll found a
   newer time - the callback gets None: look at everything.
3. One inotify instance serves the whole process. When the kernel gives no instance or no more watches, or the folder
   lies on a network file system, whose other clients inotify does not see, that folder is polled, and the log says so
   once with the setting to raise.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from inotify_simple import INotify, flags, parse_events

from ..config.checks import file_system, is_network
from . import events
from .events import EventLog
from .offload import Offload

Changed = Callable[[frozenset[bytes] | None], None]

GATHER = 0.002
POLL = 2.0
SETTLED = 2_000_000_000
"""Nanoseconds after which a folder's time tells of every change."""
READ = 65_536

_INTERESTING = (
    flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE
    | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.EXCL_UNLINK
)
_LOST = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT | flags.IGNORED
_SYSCTL = {errno.ENOSPC: "fs.inotify.max_user_watches", errno.EMFILE: "fs.inotify.max_user_instances"}


class FolderWatch:
    """One watch set; implements model.events.Watch."""

    __slots__ = ("changed", "closed", "descriptors", "names", "paths", "seen", "watcher")

    def __init__(self, watcher: "FolderWatcher", paths: tuple[str, ...], changed: Changed) -> None:
        self.watcher = watcher
        self.paths = paths
        self.changed = changed
        self.closed = False
        self.descriptors: dict[int, bytes] = {}
        """Watch descriptor to the prefix of its names; empty when polled."""
        self.names: set[bytes] | None = set()
        """What was seen since the last callback; None: everything."""
        self.seen: tuple[int, ...] = ()
        """When polled: the folders' times."""

    def close(self) -> None:
        """Stop."""
        self.watcher.remove(self)


class FolderWatcher:
    """All watches of this process."""

    def __init__(self, reactor: Any, offload: Offload, log: EventLog, poll: float = POLL) -> None:
        self._reactor = reactor
        self._offload = offload
        self._log = log
        self._poll = poll
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._devices: dict[int, str] = {}
        self._by_descriptor: dict[int, set[FolderWatch]] = {}
        self._polled: set[FolderWatch] = set()
        self._pending: set[FolderWatch] = set()
        self._flushing = False
        self._polling = False
        self._inotify: INotify | None = None
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            self._degraded("", error)
        else:
            reactor.addReader(self)

    # --- for any thread ---------------------------------------------------------------------------------------------

    def watch(self, paths: Sequence[str], changed: Changed) -> FolderWatch:
        """See model.events.Watcher."""
        watch = FolderWatch(self, tuple(paths), changed)
        if self._inotify is None or any(self._on_network(path) for path in watch.paths) or not self._add(watch):
            watch.seen = _times(watch.paths)
            with self._lock:
                self._polled.add(watch)
                start, self._polling = not self._polling, True
            if start:
                self._reactor.callFromThread(self._reactor.callLater, self._poll, self._look)
        return watch

    def remove(self, watch: FolderWatch) -> None:
        """End a watch."""
        with self._lock:
            watch.closed = True
            self._polled.discard(watch)
            self._pending.discard(watch)
            self._drop(watch)

    def _add(self, watch: FolderWatch) -> bool:
        """False when the kernel refuses."""
        inotify = self._inotify
        if inotify is None:
            return False
        with self._lock:
            for path in watch.paths:
                try:
                    descriptor = inotify.add_watch(path, _INTERESTING)
                except OSError as error:
                    # A folder that is not there is polled until somebody makes it or ends the watch.
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                        self._degraded(path, error)
                    self._drop(watch)
                    return False
                folder = os.path.basename(path)
                watch.descriptors[descriptor] = b"new/" if folder == "new" else b""
                self._by_descriptor.setdefault(descriptor, set()).add(watch)
        return True

    def _drop(self, watch: FolderWatch) -> None:
        for descriptor in watch.descriptors:
            users = self._by_descriptor.get(descriptor)
            if users is None:
                continue
            users.discard(watch)
            if not users:
                del self._by_descriptor[descriptor]
                if self._inotify is not None:
                    try:
                        self._inotify.rm_watch(descriptor)
                    except OSError:  # the folder is gone already
                        continue
        watch.descriptors.clear()

    def _on_network(self, path: str) -> bool:
        try:
            device = os.stat(path).st_dev
        except OSError:
            return False
        kind = self._devices.get(device)
        if kind is None:
            try:
                with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                    kind = file_system(os.path.realpath(path), file.read())
            except OSError:
                kind = ""
            self._devices[device] = kind
        if is_network(kind):
            self._say(kind, f"{path} lies on a network file system ({kind}), where inotify does not see other machines")
            return True
        return False

    def _degraded(self, path: str, error: OSError) -> None:
        setting = _SYSCTL.get(error.errno or 0)
        text = f"raise the sysctl {setting}" if setting else f"{error.strerror}: {path}"
        self._say(setting or str(error.errno), text)

    def _say(self, cause: str, text: str) -> None:
        if cause not in self._told:
            self._told.add(cause)
            self._log.emit(events.WATCH_DEGRADED, reason=text, seconds=self._poll)

    # --- on the reactor thread --------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """For the reactor."""
        return -1 if self._inotify is None else int(self._inotify.fileno())

    def logPrefix(self) -> str:
        """For the reactor."""
        return "watcher"

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""

    def close(self) -> None:
        """Let go of the kernel's watches."""
        if self._inotify is not None:
            self._reactor.removeReader(self)
            self._inotify.close()
            self._inotify = None

    def doRead(self) -> None:
        """The reactor: the kernel has seen something."""
        if self._inotify is None:
            return
        try:
            data = os.read(self._inotify.fileno(), READ)
        except (BlockingIOError, InterruptedError):
            return
        with self._lock:
            for descriptor, mask, _cookie, name in parse_events(data):
                if mask & flags.Q_OVERFLOW:
                    for users in self._by_descriptor.values():
                        for watch in users:
                            watch.names = None
                            self._pending.add(watch)
                    continue
                for watch in self._by_descriptor.get(descriptor, ()):
                    if mask & _LOST:
                        watch.names = None
                    elif watch.names is not None:
                        watch.names.add(watch.descriptors[descriptor] + os.fsencode(name))
                    self._pending.add(watch)
                if mask & flags.IGNORED:
                    for watch in self._by_descriptor.pop(descriptor, ()):
                        watch.descriptors.pop(descriptor, None)
            flush = bool(self._pending) and not self._flushing
            self._flushing = self._flushing or flush
        if flush:
            self._reactor.callLater(GATHER, self._flush)

    def _flush(self) -> None:
        with self._lock:
            self._flushing = False
            pending, self._pending = self._pending, set()
            told = []
            for watch in pending:
                names, watch.names = watch.names, set()
                told.append((watch, None if names is None else frozenset(names)))
        for watch, changes in told:
            self._tell(watch, changes)

    def _tell(self, watch: FolderWatch, names: frozenset[bytes] | None) -> None:
        if not watch.closed:
            try:
                watch.changed(names)
            except Exception as error:  # one mailbox's fault must not cost another its notice
                self._log.bug(error)

    def _look(self) -> None:
        """Poll, in a thread: a network file system may hang."""
        with self._lock:
            watches = list(self._polled)
            self._polling = bool(watches)
        if watches:
            self._offload.run(lambda: [(watch, _times(watch.paths)) for watch in watches], None, self._looked)

    def _looked(self, value: list[tuple[FolderWatch, tuple[int, ...]]] | None, error: BaseException | None) -> None:
        self._reactor.callLater(self._poll, self._look)
        for watch, times in value or ():
            if times != watch.seen:
                # A time of just now does not tell of a second change in the same moment: look again next time.
                watch.seen = times if max(times, default=0) < time.time_ns() - SETTLED else ()
                self._tell(watch, None)


def _times(paths: Sequence[str]) -> tuple[int, ...]:
    times = []
    for path in paths:
        try:
            times.append(os.stat(path).st_mtime_ns)
        except OSError:
            times.append(-1)
    return tuple(times)
