"""All LMDB environments of a process: opened once, closed when long unused, synced when left alone.

Rules that keep it right:
1. One `Environments` per process: LMDB breaks when a process has one file open twice.
2. An environment does not go through a fork: a forked child never touches what its parent had open (even closing it
   would spoil the parent's reader slots), and cannot use those environments itself. Whoever wants an index in a child
   starts it by exec.
"""

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable

import lmdb

from .environment import Environment

_QUIET = 30.0
"""Seconds without a write after which an environment is synced."""


def check_engine() -> None:
    """Only the wheel's LMDB has the checks that keep a damaged file from being believed: RuntimeError without it."""
    if not lmdb.version(subpatch=True)[3]:
        raise RuntimeError(
            "this lmdb module runs on an LMDB without py-lmdb's hardening patches (a build with LMDB_FORCE_SYSTEM or "
            "LMDB_PURE?): install the binary wheel, pip install --only-binary :all: 'lmdb>=3.0,<4'"
        )


class Environments:
    """All environments of this process; handed to every AccountIndex.

    `note`, when given, is called with an account's path before its pages are read and with None after: a supervisor
    that can see what it wrote knows which index a worker was reading when it died.
    """

    def __init__(
        self, limit: int = 64, map_size: int = 16 << 30, note: Callable[[str | None], None] | None = None
    ) -> None:
        """Keep at most `limit` open (more while that many are in use). RuntimeError without a hardened LMDB."""
        check_engine()
        self.limit = limit
        self.map_size = map_size
        self.note = note
        self.guard = threading.Lock()
        self.recent: OrderedDict[Environment, None] = OrderedDict()
        """The open ones, the least recently used first."""
        self.writes: dict[int, float] = {}
        """Thread to the time its write transaction was asked for."""
        self.written: dict[str, float] = {}
        """Path to the time of the last write that was not synced."""
        self._all: weakref.WeakValueDictionary[str, Environment] = weakref.WeakValueDictionary()
        self._forsaken: list[Environment] = []
        _registries.add(self)

    def at(self, path: str) -> Environment:
        """The environment of this path, the same object for everybody."""
        path = os.path.realpath(path)
        with self.guard:
            environment = self._all.get(path)
            if environment is None:
                environment = self._all[path] = Environment(path, self)
            return environment

    @property
    def write_started(self) -> float | None:
        """When the oldest write transaction now running was asked for (time.monotonic), None when none runs."""
        return min(list(self.writes.values()), default=None)

    def maintain(self, quiet: float = _QUIET) -> None:
        """Sync what was written and then left alone for `quiet` seconds. To be called now and then, in a pool
        thread."""
        now = time.monotonic()
        for path, moment in list(self.written.items()):
            if now - moment >= quiet and self.written.get(path) == moment:
                del self.written[path]
                if not self.at(path).sync():
                    self.written.setdefault(path, now)

    def close_oldest(self) -> None:
        """Close the least recently used ones above the limit."""
        with self.guard:
            surplus = len(self.recent) - self.limit
            oldest = list(self.recent) if surplus > 0 else []
        for environment in oldest:
            if surplus <= 0:
                break
            surplus -= environment.close_if_unused()

    def close(self) -> None:
        """Flush what was written and close all that are not in use (at shutdown, in a pool or the main thread)."""
        self.maintain(0.0)
        with self.guard:
            environments = list(self.recent)
        for environment in environments:
            environment.close_if_unused()

    def after_fork(self) -> None:
        """In the child of a fork: start empty, and keep alive for ever what must not be closed here."""
        self.guard = threading.Lock()
        for environment in list(self._all.values()):
            environment.forsake()
            self._forsaken.append(environment)
        self.recent = OrderedDict()
        self.writes = {}
        self.written = {}


_registries: "weakref.WeakSet[Environments]" = weakref.WeakSet()


def _after_fork() -> None:
    for registry in list(_registries):
        registry.after_fork()


os.register_at_fork(after_in_child=_after_fork)
