"""What the operations on a mailbox give back: plain values, all of them safe to send to another process."""

from dataclasses import dataclass, field

from ..model.facts import Fact
from ..model.store import Spool


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A finished spool (see `Account.spool`) that is to become a message."""

    spool: Spool
    flags: int = 0
    """System flags; bits of keywords are ignored, keywords go by name."""
    keywords: tuple[str, ...] = ()
    internaldate: int | None = None
    """Seconds since 1970; None: now."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where the messages of one APPEND lie now (RFC 4315 APPENDUID), in the order they were given."""

    uidvalidity: int
    uids: list[int]


@dataclass(frozen=True, slots=True)
class Copied:
    """(source, target) UIDs of a COPY or MOVE (RFC 4315 COPYUID); messages that were gone are left out."""

    uidvalidity: int
    pairs: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What a STORE did."""

    changed: list[tuple[int, int, int]]
    """(uid, flags, modseq) of every message that was addressed and is there, also where nothing had to change."""
    modified: list[int]
    """UIDs left alone because of UNCHANGEDSINCE (RFC 7162 3.1.3)."""
    gone: list[int]
    """UIDs that are no longer in the mailbox and not in the view either."""
    no_room: bool
    """Some new keyword found no place in the mailbox's keyword table."""


@dataclass(frozen=True, slots=True)
class Expunged:
    """UIDs that are gone now, ascending, and the mailbox's modseq after it."""

    uids: list[int]
    highestmodseq: int


@dataclass(frozen=True, slots=True)
class Filled:
    """What a FillFacts job did."""

    written: int
    """Rows now in the index."""
    unreadable: tuple[int, ...] = ()
    """UIDs whose file cannot be read; reported with its path through the account's reports."""
    gone: tuple[int, ...] = ()
    """UIDs whose message is no longer there."""
    loose: dict[int, dict[Fact, bytes]] = field(default_factory=dict)
    """Facts that the index could not take: of expunged messages still in view, or of all while it is unavailable."""
    loose_sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The same for (RFC822.SIZE, INTERNALDATE)."""
