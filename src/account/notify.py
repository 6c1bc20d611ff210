"""What a watch on a mailbox's folder told since the index was last brought in step with it.

Rules that keep it right:
1. Names only say where to look. Whoever syncs takes them and then looks; what changes later is named again.
2. `covered` means: this watch has seen everything since a complete and stable scan (or a settled fingerprint that was
   equal). Only then may a sync look at the names alone. Lost names end it until the next full scan.
3. Our own renames come back as names too. They are dropped by looking whether the name is in the state in which we
   left it, never by counting: what another program did to the file after us is then still seen. And only while the
   index holds what we wrote into it last: when somebody else has written to it, it may know other names.
4. Names come on the reactor thread and are taken in a pool thread; the lock is held for set operations only.
"""

import threading
from collections.abc import Callable, Iterable

from ..model.events import Watch, Watcher
from ..model.store import Folder

ECHOES = 4096
"""So many of our own names are remembered."""
MANY = 10_000
"""More names than that are not remembered: a scan is cheaper."""
LOOKS = 64
"""So many names are looked at on the reactor thread at once; more are left to the next sync."""


IndexState = tuple[int, int]
"""Generation and highest modseq of a mailbox in the index: no two states of it have the same."""


class FolderWatch:
    """Names to look at in one folder; usable without a live watch, it then always asks for a full look."""

    def __init__(self, folder: Folder, changed: Callable[[], None], state: Callable[[], IndexState]) -> None:
        """`changed` is called on the reactor thread when there is something to sync; `state` tells that of the index
        now."""
        self._folder = folder
        self._changed = changed
        self._state = state
        self._written: IndexState = (0, 0)
        self._watch: Watch | None = None
        self._lock = threading.Lock()
        self._names: set[bytes] = set()
        self._echoes: dict[bytes, bool] = {}
        self.covered = False
        self.epoch = 0
        """Grows whenever a name may have been lost; read it before looking at the folder, see `scanned`."""

    @property
    def live(self) -> bool:
        """A watch is running."""
        return self._watch is not None

    @property
    def pending(self) -> bool:
        """Names wait to be looked at."""
        return bool(self._names)

    def start(self, watcher: Watcher) -> None:
        """Begin to watch, when not watching yet (any thread)."""
        if self._watch is None:
            self._watch = watcher.watch(self._folder.watch_paths(), self._tell)
            self.lose()

    def stop(self) -> None:
        """End the watch."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        self.lose()

    def lose(self) -> None:
        """Something may have changed that no name tells of: the next sync scans."""
        with self._lock:
            self.covered = False
            self.epoch += 1
            self._names.clear()
            self._echoes.clear()

    def take(self) -> frozenset[bytes] | None:
        """The names to look at; None when only a full scan will do. They count as looked at from now on."""
        with self._lock:
            if not self.covered:
                self._names.clear()
                return None
            names = frozenset(self._names)
            self._names.clear()
        return names - self._unchanged(names)

    def put_back(self, names: Iterable[bytes]) -> None:
        """Looking at them failed: they are still to be looked at."""
        with self._lock:
            self._names.update(names)

    def scanned(self, epoch: int) -> None:
        """The index holds what a full, stable look showed that began after `epoch` was read: from then on the watch
        covers the folder, unless it began or lost a name meanwhile."""
        with self._lock:
            self.covered = self._watch is not None and epoch == self.epoch

    def ours(self, states: Iterable[tuple[bytes, bool]], before: IndexState, after: IndexState) -> None:
        """We left these names existing (True) or gone (False), and wrote so into the index, which was in the state
        `before` and is now in that `after`."""
        with self._lock:
            echoes = self._echoes
            if before != self._written or after[0] > before[0] + 1:
                echoes.clear()
            self._written = after
            for name, exists in states:
                echoes.pop(name, None)
                echoes[name] = exists
            for name in list(echoes)[: max(0, len(echoes) - ECHOES)]:
                del echoes[name]
            told = self._names & echoes.keys()
        if told:
            unchanged = self._unchanged(told)
            with self._lock:
                self._names -= unchanged

    def _unchanged(self, names: Iterable[bytes]) -> set[bytes]:
        """Those in the state in which we left them."""
        if not self._echoes or self._state() != self._written:
            return set()
        exists = self._folder.exists
        ours = [(name, state) for name in names if (state := self._echoes.get(name)) is not None]
        return {name for name, state in ours if exists(name) == state}

    def _tell(self, names: frozenset[bytes] | None) -> None:
        """The watcher's callback (reactor thread)."""
        if names is None:
            self.lose()
        else:
            if len(names) <= LOOKS:
                names = names - self._unchanged(names)
            if not names:
                return
            with self._lock:
                self._names.update(names)
                many = len(self._names) > MANY
            if many:
                self.lose()
        self._changed()
