"""One mailbox, shared by all sessions of this process that have it open, and the place where its store folder and its
index meet. R: on the reactor thread; B: inside `Blocking` with the account's key.

Rules that keep it right:

1. Whoever changes the store or merges into the index holds the account's write lock (`changing`, `Account.locked`),
   from before the look at the index until after the merge.
2. The store comes first. When it has taken a change and the index then fails, the change stands: the folder's watch is
   told to forget what it knows, and the next sync finds the change again.
3. A mailbox object stands for one (mailbox id, UIDVALIDITY). When its folder is gone or has become another, it is
   `gone` for good, and whoever opens the name again gets a new object.
4. Views live on the reactor thread; from other threads they are only woken through the doorbell.
"""

import contextlib
import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..index.head import Head
from ..index.records import Merge
from ..index.snapshot import Snapshot
from ..model.errors import Kind, MailError
from ..model.facts import Fact
from ..model.flags import MAX_KEYWORDS, FlagOp
from ..model.store import Folder, FolderHeader, OpenMessage, Pop3Names
from . import flagging, recording, removal, transfer
from .kept import Kept
from .maildrop import MaildropLock
from .notify import FolderWatch, IndexState
from .resting import Resting
from .results import Copied, Expunged, StoreResult
from .synchronise import synchronise
from .view import View, gone_error

if TYPE_CHECKING:
    from .account import Account

UNBUILT = 1
"""Generation of an index that was begun and is to be filled at once: to readers it is no index yet, since its
emptiness would tell them that all messages are gone."""
TRIES = 3
"""How often an index that is lost again at once is built again within one operation."""
SMALL = 10_000
"""Messages of a mailbox whose snapshots are packed as soon as it is quiet; larger ones wait until room is needed."""
LOCATED = 64
"""Messages whose files are looked up together."""
NEAR = 4
"""A message so few places behind the last one is the next one."""


class Mailbox:
    """See the module."""

    def __init__(self, account: "Account", name: str, folder: Folder, header: FolderHeader) -> None:
        self.account = account
        self.name = name
        """Modified UTF-7; follows renames."""
        self.id = header.guid
        self.uidvalidity = header.uidvalidity
        self.index = account.index.mailbox(header.guid)
        self.gone = False
        """Deleted, or replaced under the same name."""
        self.suspect = False
        """The index may not be what it was: look at the whole folder at the next sync."""
        self.ceiling = 0
        """The modseq ceiling that this process wrote to the store last."""
        self.unused = 0
        """How often `upkeep` found no view here."""
        self.quiet = 0
        """How often `upkeep` found that no view was used."""
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()
        self._views: list[View] = []
        self._holders = 0
        self.kept = Kept(self)
        self._located: tuple[IndexState, dict[int, bytes]] = ((0, 0), {})
        self._asked = 0
        self.folder = folder
        self.watch = FolderWatch(folder, self.wake, self.state)
        self._inode = _inode(folder.path)

    def rebind(self, name: str, folder: Folder) -> None:
        """The folder was renamed and lies there now."""
        watching = self.watch.live
        self.watch.stop()
        self.name, self.folder = name, folder
        self.watch = FolderWatch(folder, self.wake, self.state)
        self._inode = _inode(folder.path)
        if watching and self.account.watcher is not None:
            self.watch.start(self.account.watcher)

    # ── reading (R) ──

    def state(self) -> IndexState:
        """Which state the index is in (any thread)."""
        return recording.state_of(self.head())

    def refresh(self) -> Snapshot | None:
        """The newest snapshot (any thread); the last one while the index is lost, None when there never was one."""
        newest = self._newest()
        if newest is not None:
            self._snapshot = newest
        return self._snapshot

    def head(self) -> Head | None:
        """The index's head (any thread); None while there is none, or one that is not built yet."""
        head = self.index.head()
        return None if head is None or head.generation <= UNBUILT else head

    def _newest(self) -> Snapshot | None:
        snapshot = self.index.snapshot(self._snapshot)
        return None if snapshot is None or snapshot.head.generation <= UNBUILT else snapshot

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keyword names by number."""
        head = self.head()
        return () if head is None else head.keywords

    @property
    def keywords_full(self) -> bool:
        """No new keyword finds a place: PERMANENTFLAGS has no \\*."""
        names = self.keywords
        return len(names) >= MAX_KEYWORDS and all(names)

    @property
    def unclaimed(self) -> bool:
        """Some messages are \\Recent for the next session that claims them."""
        head = self.head()
        return head is not None and head.recent > 0

    @property
    def present(self) -> bool:
        """The folder is still where it was."""
        return not self.gone and _inode(self.folder.path) == self._inode

    @property
    def stale(self) -> bool:
        """`sync` should run: something changed, or may have, that the index does not know."""
        return not self.gone and self.outdated(self.head())

    def outdated(self, head: Head | None) -> bool:
        """The same, with the index's head read by the caller just now."""
        if head is None or self.suspect or self.watch.pending or not self.present:
            return True
        if self.watch.covered:
            return False
        epoch = self.watch.epoch
        try:
            fingerprint = self.folder.fingerprint()
        except MailError:
            return True
        if head.settled and head.fingerprint == fingerprint.key:
            self.watch.scanned(epoch)
            return False
        return True

    def sizes(self, uids: Sequence[int]) -> list[int | None]:
        """RFC822.SIZE where known."""
        return self.index.sizes(uids)

    def dates(self, uids: Sequence[int]) -> list[int | None]:
        """INTERNALDATE where known, seconds."""
        return self.index.dates(uids)

    def facts(self, fact: Fact, uids: Sequence[int]) -> list[bytes | None]:
        """Ready bytes where known; not for HEADERS."""
        return self.index.facts(fact, uids)

    def header_blocks(self, fields: frozenset[bytes], uids: Sequence[int]) -> list[bytes | None]:
        """Header fields in message order where known."""
        return self.index.header_blocks(fields, uids)

    # ── views ──

    def views(self) -> int:
        """How many there are in this process."""
        return len(self._views)

    def open_views(self) -> "tuple[View, ...]":
        """Those of this process (any thread)."""
        return tuple(self._views)

    def try_view(self, readonly: bool, on_change: Callable[[], None]) -> View | None:
        """A view when neither the store nor a write to the index is needed for it (R)."""
        if self.stale or (not readonly and self.unclaimed):
            return None
        self._begin()
        # Asked again: the watch and the marker are there now, and before them something may have happened.
        snapshot = None if self.stale or (not readonly and self.unclaimed) else self.refresh()
        if snapshot is None:
            self._end()
            return None
        return self._attach(View(self, snapshot, readonly, on_change))

    def view(self, readonly: bool, on_change: Callable[[], None]) -> View:
        """A view, after a sync where one is needed; claims \\Recent unless `readonly` (B)."""
        with self.account.locked():
            self._begin()
            try:
                if self.stale:
                    synchronise(self)
                if self.gone:
                    raise gone_error()
                recent = (0, 0) if readonly or not self.unclaimed else recording.claim(self)
                snapshot = self.refresh()
                if snapshot is None:
                    raise _unreadable()
            except BaseException:
                self._end()
                raise
            return self._attach(View(self, snapshot, readonly, on_change, recent))

    def keep_open(self) -> View:
        """A read-only view that claims nothing, of the mailbox as the index has it (R): for POP3, after `mailbox`."""
        self._begin()
        snapshot = self.refresh()
        if snapshot is None:
            self._end()
            raise _unreadable()
        return self._attach(View(self, snapshot, True, _deaf))

    def _begin(self) -> None:
        """Before the snapshot of a new view is read: the watch and the marker (see viewers.py) must be there."""
        with self._lock:
            self.unused = 0
            self._holders += 1
            if self._holders == 1:
                self.account.viewers.add(self.id)
        self.kept.begin()
        if self.account.watcher is not None:
            self.watch.start(self.account.watcher)

    def _attach(self, view: View) -> View:
        with self._lock:
            self._views.append(view)
        return view

    def _end(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self.account.viewers.remove(self.id)

    def detach(self, view: View) -> None:
        """The view was closed (R)."""
        with self._lock:
            if view in self._views:
                self._views.remove(view)
        self._end()

    def wake(self) -> None:
        """Something happened here: tell all views (R)."""
        for view in tuple(self._views):
            view.on_change()

    @property
    def small(self) -> bool:
        """Packing its snapshots takes the reactor no time that anybody would notice."""
        return self._snapshot is None or self._snapshot.head.messages <= SMALL

    def rest(self) -> None:
        """Nobody has used the views for some time: keep their snapshots packed (R)."""
        packed: dict[int, Resting] = {}
        for view in tuple(self._views):
            view.rest(packed)
        self._snapshot = None
        self._located = ((0, 0), {})

    # ── B ──

    @property
    def untidy(self) -> bool:
        """`tidy` has something to do (R)."""
        if self.gone:
            return False
        if self.kept.due:
            return True
        if not self.watch.covered or self.watch.pending:
            return False
        head = self.head()
        try:
            fingerprint = self.folder.fingerprint()
        except MailError:
            return False
        return head is not None and fingerprint.settled and head.fingerprint != fingerprint.key

    def tidy(self) -> None:
        """Remove kept files that are no longer needed. And while a watch covers the folder, all that happened until
        two seconds ago was named by it: if no name is open, the folder as it is now is what the index knows, and its
        fingerprint spares whoever comes without a watch a full scan."""
        self.kept.release()
        with contextlib.suppress(MailError), self.account.locked():
            if self.untidy:
                fingerprint = self.folder.fingerprint()
                if fingerprint.settled and self.watch.covered and not self.watch.pending:
                    recording.merge(self, Merge(fingerprint=fingerprint))

    @contextlib.contextmanager
    def changing(self) -> Iterator[Snapshot]:
        """Hold the account's write lock with the index fit to be changed; other sessions hear of it afterwards."""
        with self.account.locked():
            if self.gone:
                raise gone_error()
            snapshot = self._newest()
            for _ in range(TRIES):
                if snapshot is not None and not self.suspect and not self.watch.pending:
                    break
                synchronise(self)
                snapshot = self._newest()
            if self.gone:
                raise gone_error()
            if snapshot is None:
                raise _unreadable()
            self._snapshot = snapshot
            recording.reserve(self, snapshot.head)
            yield snapshot
        self.account.ring(self.id)

    def locate(self, uids: Sequence[int], snapshot: Snapshot) -> dict[int, bytes]:
        """Locators of messages that this newest snapshot has (account lock held). One that is missing does not mean
        that the message is gone: the index may have been lost since."""
        if len(uids) == 1:
            locator = self._locator(uids[0], recording.state_of(snapshot.head))
            if locator is not None:
                return {uids[0]: locator}
        for _ in range(TRIES):
            found = self.index.locators_of(uids)
            if len(found) == len(uids) or self.gone:
                break
            self.suspect = True
            synchronise(self)
        return found

    def _locator(self, uid: int, state: IndexState) -> bytes | None:
        """Where the index says that the message is. When messages are asked for one after the other, the next ones
        are looked up too, and remembered while nobody else writes to the index."""
        known, located = self._located
        if uid not in located or known != state:
            uids = array("I") if self._snapshot is None else self._snapshot.uids
            place = bisect_left(uids, uid)
            ahead = LOCATED if 0 < place - self._asked <= NEAR else 1
            self._asked = place + ahead - 1
            located = self.index.locators_of((uid, *uids[place + 1 : place + ahead]))
            self._located = state, located
        return located.get(uid)

    def remember(self, changes: Merge, before: IndexState, after: IndexState) -> None:
        """We merged these changes; what is remembered of other messages stays right."""
        state, located = self._located
        if state == before and after[0] <= before[0] + 1:
            for change in changes.changed:
                if change.uid in located:
                    located[change.uid] = change.locator
            for uid in changes.vanished:
                located.pop(uid, None)
            self._located = after, located

    def sync(self, claimant: View | None = None) -> None:
        """Bring the index in step with the store, and claim \\Recent for that view."""
        if self.gone:
            return
        with self.account.locked():
            before = self.head()
            if self.stale:
                synchronise(self)
            if claimant is not None and not self.gone and self.unclaimed:
                claimant.claim(*recording.claim(self))
            changed = self.gone or self.head() != before
        self.kept.release()
        if changed:
            self.account.ring(self.id)

    def store(
        self, uids: Sequence[int], op: FlagOp, system: int, keywords: Sequence[str], unchanged_since: int | None = None
    ) -> StoreResult:
        """Change flags. UIDs that are not there come back as `gone`."""
        return flagging.store(self, uids, op, system, keywords, unchanged_since)

    def expunge(self, uids: Sequence[int] | None = None, *, caller: View | None = None) -> Expunged:
        """Remove those with \\Deleted; None: all of them. `caller`'s own view needs no copy kept."""
        return removal.expunge(self, uids, caller)

    def remove(self, uids: Sequence[int], *, caller: View | None = None) -> Expunged:
        """Remove these whether or not they have \\Deleted (POP3)."""
        return removal.remove(self, uids, caller)

    def copy(self, uids: Sequence[int], target: str) -> Copied:
        """All or none. TRYCREATE; EXPUNGED when one of them is gone."""
        return transfer.copy(self, uids, self.account.target(target))

    def move(self, uids: Sequence[int], target: str, *, caller: View | None = None) -> Copied:
        """Each message is in exactly one mailbox at every moment. TRYCREATE."""
        return transfer.move(self, uids, self.account.target(target), caller)

    def open(self, uid: int, pid: int | None = None) -> OpenMessage:
        """EXPUNGED, UNREADABLE (needs no key). Also a message that was expunged but is kept for process `pid`
        (None: this one)."""
        locator = self._locator(uid, self.state())
        if locator is None and self.head() is None:
            self.sync()
            locator = self._locator(uid, self.state())
        if locator is not None:
            try:
                return self.folder.open(locator)
            except MailError as error:
                if error.kind not in (Kind.EXPUNGED, Kind.NONEXISTENT):
                    raise
        return self.folder.open_expunged(self.account.viewers.pid if pid is None else pid, uid)

    def corrected(self, uid: int, size: int, vsize: int) -> None:
        """The true sizes of a message whose name or index row says something else."""
        self.correct({uid: (size, vsize)})

    def correct(self, sizes: Mapping[int, tuple[int, int]]) -> None:
        """The same for several: UID to (octets of the file, RFC822.SIZE)."""
        with self.account.locked():
            recording.correct_sizes(self, sizes)

    def pop3_names(self) -> Pop3Names:
        """What the uidlist says to POP3 alone."""
        return self.folder.pop3_names()

    def lock_maildrop(self) -> MaildropLock:
        """MailError(INUSE) when another POP3 session has it."""
        return MaildropLock(f"{self.account.spec.index}.maildrop-{self.id}")


def _unreadable() -> MailError:
    return MailError(Kind.UNAVAILABLE, "The mailbox cannot be read at the moment")


def _deaf() -> None:
    """What a view that is never told anything is woken with."""


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
