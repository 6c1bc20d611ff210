"""One selected session's picture of a mailbox: sequence numbers, flags as told, and what is still to be told.

(rules: see the class)
"""

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..model.facts import Fact
from ..model.flags import FlagOp
from ..model.store import OpenMessage
from ..model.uids import UidSet
from .results import Copied, Expunged, Filled, StoreResult
from .updates import Update

if TYPE_CHECKING:
    from .mailbox import Mailbox


class View:
    """R: on the reactor thread; B: inside `Blocking` with the account's key."""

    mailbox: "Mailbox"
    readonly: bool
    qresync: bool
    """Set by the protocol when the client enabled QRESYNC: `updates` then says Vanished instead of Expunge."""

    # -- what the client was told (R) --
    @property
    def gone(self) -> bool:
        """The mailbox was deleted or replaced (new UIDVALIDITY): nothing in this view can be trusted any more,
        the protocol must leave the selected state (or say BYE)."""
        raise NotImplementedError

    @property
    def uids(self) -> "array[int]":
        """UIDs in the client's order; never changed in place (may be shared)."""
        raise NotImplementedError

    @property
    def exists(self) -> int:
        """Number of messages in the view, those included whose expunge was not told yet."""
        raise NotImplementedError

    @property
    def recent(self) -> int:
        """Number of messages with \\Recent in this session."""
        raise NotImplementedError

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keyword names by number, as told."""
        raise NotImplementedError

    @property
    def uidvalidity(self) -> int:
        """Of the mailbox."""
        raise NotImplementedError

    @property
    def uidnext(self) -> int:
        """As of the snapshot that was told."""
        raise NotImplementedError

    @property
    def highestmodseq(self) -> int:
        """Of the snapshot that was told."""
        raise NotImplementedError

    def is_recent(self, uid: int) -> bool:
        """Has \\Recent in this session."""
        raise NotImplementedError

    def seq_of(self, uid: int) -> int | None:
        """Sequence number, from 1."""
        raise NotImplementedError

    def uid_of(self, seq: int) -> int | None:
        """UID at a sequence number."""
        raise NotImplementedError

    def resolve(self, runs: Sequence[tuple[int | None, int | None]], by_uid: bool) -> list[int]:
        """The UIDs, ascending, that a sequence set names (None is `*`). Raises ValueError for a sequence number
        outside the view; UIDs that do not exist are left out, `n:*` always has the last one (RFC 3501 6.4.8)."""
        raise NotImplementedError

    def first_unseen(self) -> int | None:
        """Sequence number of the first message without \\Seen."""
        raise NotImplementedError

    def flags_of(self, uid: int) -> int | None:
        """Flags as told; of expunged messages the last ones. None: not in the view."""
        raise NotImplementedError

    def modseq_of(self, uid: int) -> int | None:
        """Modseq that belongs to `flags_of`."""
        raise NotImplementedError

    def rows(self, uids: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """(seq, uid, flags, modseq) of those of these ascending UIDs that are in the view; the fast way."""
        raise NotImplementedError

    def changed_since(self, modseq: int) -> list[tuple[int, int, int, int]]:
        """`rows` of messages with a higher modseq (CHANGEDSINCE, QRESYNC)."""
        raise NotImplementedError

    def vanished_since(self, modseq: int, known: UidSet | None) -> UidSet:
        """UIDs (among `known`) that were expunged since; more than that when the log does not reach back
        (RFC 7162 3.2.5.1 allows it). Never one that is still in the view."""
        raise NotImplementedError

    # -- news (R) --
    @property
    def stale(self) -> bool:
        """`sync` should run (B) before `updates`: other programs changed the folder, or new mail has to be claimed
        as \\Recent for this session."""
        raise NotImplementedError

    def updates(self, expunges: bool) -> list[Update]:
        """Advance to the newest snapshot and say what changed. Without `expunges` (FETCH, STORE, SEARCH by
        sequence number, RFC 3501 7.4.1) messages that are gone stay in the view."""
        raise NotImplementedError

    def pending(self) -> bool:
        """`updates(True)` may have something to say; cheap."""
        raise NotImplementedError

    def told(self, uid: int, flags: int, modseq: int) -> None:
        """The client was told (or, after .SILENT, believes) these flags: they are not echoed by `updates`, any
        other value is."""
        raise NotImplementedError

    # -- doing (B) --
    def sync(self) -> None:
        """Reconcile with the store and claim \\Recent for this session."""
        raise NotImplementedError

    def store(
        self, uids: Sequence[int], op: FlagOp, system: int, keywords: Sequence[str], unchanged_since: int | None = None
    ) -> StoreResult:
        """Change flags; messages that are expunged but still in view change in this view only."""
        raise NotImplementedError

    def expunge(self, uids: Sequence[int] | None = None) -> Expunged:
        """Remove those with \\Deleted (among `uids`) for good."""
        raise NotImplementedError

    def copy(self, uids: Sequence[int], target: str) -> Copied:
        """TRYCREATE when there is no such mailbox; EXPUNGED when a message is gone (then nothing was copied)."""
        raise NotImplementedError

    def move(self, uids: Sequence[int], target: str) -> Copied:
        """Messages that are gone are left out."""
        raise NotImplementedError

    def open(self, uid: int) -> OpenMessage:
        """Also expunged messages that are still in view. EXPUNGED, UNREADABLE. (B, needs no key: it only reads.)"""
        raise NotImplementedError

    # -- facts (R) --
    def sizes(self, uids: Sequence[int]) -> list[int | None]:
        """RFC822.SIZE; None: ask a FillFacts job."""
        raise NotImplementedError

    def dates(self, uids: Sequence[int]) -> list[int | None]:
        """INTERNALDATE in seconds; None: ask a FillFacts job."""
        raise NotImplementedError

    def facts(self, fact: Fact, uids: Sequence[int]) -> list[bytes | None]:
        """Ready bytes; None: ask a FillFacts job."""
        raise NotImplementedError

    def header_blocks(self, fields: frozenset[bytes], uids: Sequence[int]) -> list[bytes | None]:
        """These header fields (lower case names) in message order; None: ask a FillFacts job."""
        raise NotImplementedError

    def learn(self, filled: Filled) -> None:
        """Keep a job's loose facts until the next job's."""
        raise NotImplementedError

    def close(self) -> None:
        """The session left the mailbox (R). Never fails."""
        raise NotImplementedError


OnChange = Callable[[], None]
