"""One selected session's view of a mailbox: its picture of the messages, joined to the mailbox that it looks at.

The picture (picture.py) belongs to the reactor thread. Methods marked B run inside `Blocking` with the account's key;
the engine that called one waits for its answer, so they may touch this view's ghosts and beliefs, and nothing else of
the picture. Messages that are expunged but still in view are served here: their flags are this session's own, their
facts come from jobs (`learn`), their bytes from the file that the store kept for this process.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..model.errors import Kind, MailError
from ..model.facts import Fact
from ..model.flags import FlagOp, keyword_bit
from ..model.store import OpenMessage
from ..model.uids import UidSet
from .picture import Picture, Row
from .resting import Resting
from .results import Copied, Expunged, Filled, StoreResult
from .updates import Expunge, Update, Vanished

if TYPE_CHECKING:
    from ..index.head import Head
    from ..index.snapshot import Snapshot
    from .mailbox import Mailbox


class View:
    """R unless said otherwise."""

    __slots__ = (
        "__weakref__", "_closed", "_loose", "_loose_sizes", "_picture", "_resting", "mailbox", "on_change", "qresync",
        "readonly",
    )  # fmt: skip

    def __init__(
        self, mailbox: "Mailbox", snapshot: "Snapshot", readonly: bool, on_change: Callable[[], None],
        recent: tuple[int, int] = (0, 0),
    ) -> None:  # fmt: skip
        self.mailbox = mailbox
        self.readonly = readonly
        self.qresync = False
        """Set by the protocol when the client enabled QRESYNC: `updates` then says Vanished instead of Expunge."""
        self.on_change = on_change
        self._picture = Picture(snapshot, recent)
        if readonly:
            # RFC 3501 6.3.2: EXAMINE shows \Recent but takes it from nobody.
            self._picture.adopt_recent(snapshot.head.first_recent)
        self._resting: Resting | None = None
        self._loose: dict[int, dict[Fact, bytes]] = {}
        self._loose_sizes: dict[int, tuple[int, int]] = {}
        self._closed = False

    # ── what the client was told ──

    @property
    def gone(self) -> bool:
        """The mailbox was deleted or replaced (new UIDVALIDITY): nothing in this view can be trusted any more,
        the protocol must leave the selected state (or say BYE)."""
        return self.mailbox.gone

    @property
    def uids(self) -> "array[int]":
        """UIDs in the client's order; never changed in place (may be shared)."""
        return self._awake().uids

    @property
    def exists(self) -> int:
        """Number of messages in the view, those included whose expunge was not told yet."""
        return len(self._awake().uids)

    @property
    def recent(self) -> int:
        """Number of messages with \\Recent in this session."""
        return self._awake().recent

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keyword names by number, as told."""
        return self._picture.keywords

    @property
    def keywords_full(self) -> bool:
        """No new keyword finds a place: PERMANENTFLAGS has no \\*."""
        return self.mailbox.keywords_full

    @property
    def uidvalidity(self) -> int:
        """Of the mailbox."""
        return self.mailbox.uidvalidity

    @property
    def uidnext(self) -> int:
        """As of the snapshot that was told."""
        return self._awake().told.head.uidnext

    @property
    def highestmodseq(self) -> int:
        """Of the snapshot that was told."""
        return self._awake().told.head.highestmodseq

    def is_recent(self, uid: int) -> bool:
        """Has \\Recent in this session."""
        return self._picture.is_recent(uid)

    def seq_of(self, uid: int) -> int | None:
        """Sequence number, from 1."""
        return self._awake().seq_of(uid)

    def uid_of(self, seq: int) -> int | None:
        """UID at a sequence number."""
        uids = self._awake().uids
        return uids[seq - 1] if 1 <= seq <= len(uids) else None

    def resolve(self, runs: Sequence[tuple[int | None, int | None]], by_uid: bool) -> list[int]:
        """The UIDs, ascending, that a sequence set names (None is `*`). Raises ValueError for a sequence number
        outside the view; UIDs that do not exist are left out, `n:*` always has the last one (RFC 3501 6.4.8)."""
        return self._awake().resolve(runs, by_uid)

    def first_unseen(self) -> int | None:
        """Sequence number of the first message without \\Seen."""
        return self._awake().first_unseen()

    def flags_of(self, uid: int) -> int | None:
        """Flags as told; of expunged messages the last ones. None: not in the view."""
        row = self._awake().row_of(uid)
        return None if row is None else row[0]

    def modseq_of(self, uid: int) -> int | None:
        """Modseq that belongs to `flags_of`."""
        row = self._awake().row_of(uid)
        return None if row is None else row[1]

    def rows(self, uids: Sequence[int]) -> list[Row]:
        """(seq, uid, flags, modseq) of those of these ascending UIDs that are in the view; the fast way."""
        return self._awake().rows(uids)

    def columns(self) -> tuple["array[int]", "array[int]", "array[int]"]:
        """UIDs, flags and modseqs of all messages, for searching."""
        return self._awake().columns()

    def changed_since(self, modseq: int) -> list[Row]:
        """`rows` of messages with a higher modseq (CHANGEDSINCE, QRESYNC)."""
        picture = self._awake()
        uids = {uid for uid, _, _ in picture.told.changed_since(modseq)}
        uids.update(picture.unsettled_uids())
        return [row for row in picture.rows(sorted(uids)) if row[3] > modseq]

    def vanished_since(self, modseq: int, known: UidSet | None) -> UidSet:
        """UIDs (among `known`) that were expunged since; more than that when the log does not reach back
        (RFC 7162 3.2.5.1 allows it). Never one that is still in the view."""
        picture = self._awake()
        gone = self.mailbox.index.vanished_since(modseq, known)
        if gone is None:
            gone = known if known is not None else UidSet([(1, picture.told.head.uidnext - 1)])
            gone = gone & UidSet([(1, picture.told.head.uidnext - 1)])
        return gone - UidSet.of(picture.uids)

    # ── news ──

    @property
    def stale(self) -> bool:
        """`sync` should run (B) before `updates`: other programs changed the folder, or new mail has to be claimed
        as \\Recent for this session."""
        mailbox = self.mailbox
        head = mailbox.head()
        return not mailbox.gone and (self._unclaimed(head) or mailbox.outdated(head))

    @property
    def pending(self) -> bool:
        """`updates(True)` may have something to say; cheap."""
        return not self.gone and self._behind(self.mailbox.head())

    @property
    def unchanged(self) -> bool:
        """Neither `stale` nor `pending` nor `gone`: nothing to do for a NOOP, at the price of one question."""
        mailbox = self.mailbox
        head = mailbox.head()
        return not (mailbox.gone or self._behind(head) or self._unclaimed(head) or mailbox.outdated(head))

    def _unclaimed(self, head: "Head | None") -> bool:
        return not self.readonly and head is not None and head.recent > 0

    def _behind(self, head: "Head | None") -> bool:
        told = self._resting.head if self._resting is not None else self._picture.told.head
        return self._picture.unsettled or (head is not None and head is not told and head != told)

    def updates(self, expunges: bool) -> list[Update]:
        """Advance to the newest snapshot and say what changed. Without `expunges` (FETCH, STORE, SEARCH by
        sequence number, RFC 3501 7.4.1) messages that are gone stay in the view. Thousands of flag changes come in
        several answers: ask until there is none."""
        if self.mailbox.gone or self._closed:
            return []
        mailbox = self.mailbox
        if self._resting is not None and not self._picture.unsettled:
            head = mailbox.head()
            if head is None or head == self._resting.head:
                return []
        newest = mailbox.refresh()
        picture = self._awake()
        if newest is None or (newest is picture.told and not picture.unsettled):
            return []
        mailbox.account.wakeful.touch(mailbox, newest.head.messages)
        if newest.head.highestmodseq < picture.told.head.highestmodseq:
            # An older state of the index came back: it says nothing about what is gone until it was reconciled.
            mailbox.suspect = True
            return []
        updates = picture.advance(newest, expunges, self.qresync)
        for update in updates:
            if isinstance(update, Expunge):
                mailbox.kept.told((update.uid,))
            elif isinstance(update, Vanished):
                mailbox.kept.told(update.uids)
        return updates

    def told(self, uid: int, flags: int, modseq: int) -> None:
        """The client was told (or, after .SILENT, believes) these flags: they are not echoed by `updates`, any
        other value is."""
        self._awake().believe(uid, flags, modseq)

    def ghosts(self) -> frozenset[int]:
        """UIDs of messages that are gone and whose expunge was not told yet."""
        return frozenset(self._picture.ghosts)

    def holds(self, uid: int) -> bool:
        """It is in the client's list, or may be (any thread)."""
        return self._resting is not None or self._picture.seq_of(uid) is not None

    # ── doing (B) ──

    def sync(self) -> None:
        """Reconcile with the store and claim \\Recent for this session (B)."""
        self.mailbox.sync(None if self.readonly else self)

    def store(
        self, uids: Sequence[int], op: FlagOp, system: int, keywords: Sequence[str], unchanged_since: int | None = None
    ) -> StoreResult:
        """Change flags; messages that are expunged but still in view change in this view only (B)."""
        result = self.mailbox.store(uids, op, system, keywords, unchanged_since)
        if not result.gone:
            return result
        picture = self._awake()
        change = system | self._keyword_bits(keywords)
        changed, modified, gone = list(result.changed), list(result.modified), []
        for uid in result.gone:
            row = picture.row_of(uid)
            if row is None:
                gone.append(uid)
            elif unchanged_since is not None and row[1] > unchanged_since:
                modified.append(uid)
            else:
                flags = op.apply(row[0], change)
                picture.believe(uid, flags, row[1])
                changed.append((uid, flags, row[1]))
        changed.sort()
        modified.sort()
        return StoreResult(changed, modified, gone, result.no_room)

    def expunge(self, uids: Sequence[int] | None = None) -> Expunged:
        """Remove those with \\Deleted (among `uids`) for good (B)."""
        return self.mailbox.expunge(uids, caller=self)

    def copy(self, uids: Sequence[int], target: str) -> Copied:
        """TRYCREATE when there is no such mailbox; EXPUNGED when a message is gone, then nothing was copied (B)."""
        return self.mailbox.copy(uids, target)

    def move(self, uids: Sequence[int], target: str) -> Copied:
        """TRYCREATE; messages that are gone are left out (B)."""
        return self.mailbox.move(uids, target, caller=self)

    def open(self, uid: int) -> OpenMessage:
        """Also expunged messages that are still in view. EXPUNGED, UNREADABLE (B; needs no key, it only reads)."""
        return self.mailbox.open(uid)

    # ── facts ──

    def sizes(self, uids: Sequence[int]) -> list[int | None]:
        """RFC822.SIZE; None: ask a FillFacts job."""
        sizes = self.mailbox.sizes(uids)
        if self._loose_sizes:
            sizes = [
                self._loose_sizes[uid][0] if size is None and uid in self._loose_sizes else size
                for uid, size in zip(uids, sizes, strict=True)
            ]
        return sizes

    def dates(self, uids: Sequence[int]) -> list[int | None]:
        """INTERNALDATE in seconds; None: ask a FillFacts job."""
        dates = self.mailbox.dates(uids)
        if self._loose_sizes:
            dates = [
                self._loose_sizes[uid][1] if date is None and uid in self._loose_sizes else date
                for uid, date in zip(uids, dates, strict=True)
            ]
        return dates

    def facts(self, fact: Fact, uids: Sequence[int]) -> list[bytes | None]:
        """Ready bytes; None: ask a FillFacts job."""
        return self._with_loose(fact, uids, self.mailbox.facts(fact, uids))

    def header_blocks(self, fields: frozenset[bytes], uids: Sequence[int]) -> list[bytes | None]:
        """These header fields (lower case names) in message order; None: ask a FillFacts job."""
        return self._with_loose(Fact.HEADERS, uids, self.mailbox.header_blocks(fields, uids))

    def _with_loose(self, fact: Fact, uids: Sequence[int], known: list[bytes | None]) -> list[bytes | None]:
        if not self._loose:
            return known
        loose = self._loose
        return [
            loose.get(uid, {}).get(fact) if value is None else value for uid, value in zip(uids, known, strict=True)
        ]

    def learn(self, filled: Filled) -> None:
        """Keep a job's loose facts until the next job's."""
        self._loose = filled.loose
        self._loose_sizes = filled.loose_sizes

    # ── its life ──

    def close(self) -> None:
        """The session left the mailbox. Never fails."""
        if not self._closed:
            self._closed = True
            self.mailbox.detach(self)

    def claim(self, low: int, high: int) -> None:
        """These UIDs are \\Recent here and nowhere else; told by the next `updates` (any thread)."""
        self._picture.claimed(low, high)

    def rest(self, packed: dict[int, Resting]) -> None:
        """Pack the told snapshot; `packed` shares the packed form among views of one snapshot."""
        picture = self._picture
        if self._resting is None and picture.plain:
            snapshot = picture.told
            self._resting = packed.get(id(snapshot)) or packed.setdefault(id(snapshot), Resting(snapshot))
            picture.drop()
            self._loose, self._loose_sizes = {}, {}

    def _awake(self) -> Picture:
        resting = self._resting
        self.mailbox.quiet = 0
        if resting is not None:
            self._picture.restore(resting.wake(self.mailbox.refresh()))
            self._resting = None
        return self._picture

    def _keyword_bits(self, names: Sequence[str]) -> int:
        """Of those names that the client was told of; a ghost's new keywords go the way of the ghost."""
        numbers = {name.lower(): number for number, name in enumerate(self._picture.keywords) if name}
        return sum({keyword_bit(numbers[name.lower()]) for name in names if name.lower() in numbers})


def gone_error() -> MailError:
    """What an operation on a mailbox that is no longer there gets."""
    return MailError(Kind.NONEXISTENT, "The mailbox was deleted")
