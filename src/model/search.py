"""The search tree: what a protocol parses and the account layer evaluates.

Protocols turn sequence numbers into UIDs, `$` into UIDs and charset text into `str` before they hand a tree on.
Texts are compared by i;unicode-casemap (RFC 5051), substring match. The tree is plain data and can be pickled.
"""

import datetime
import enum
from dataclasses import dataclass

from .uids import UidSet


class DateField(enum.Enum):
    """Which date a date key looks at."""

    INTERNAL = "internal"
    SENT = "sent"


class DateTest(enum.Enum):
    """BEFORE, ON and SINCE, all by calendar day without regard to time zone (RFC 3501 6.4.4)."""

    BEFORE = "before"
    ON = "on"
    SINCE = "since"


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class InUids:
    """Messages in this set (from a sequence set or UID set)."""

    uids: UidSet


@dataclass(frozen=True, slots=True)
class HasFlags:
    """All bits of `mask` are set (system flags)."""

    mask: int


@dataclass(frozen=True, slots=True)
class HasKeyword:
    """The keyword, compared without case, is set."""

    name: str


@dataclass(frozen=True, slots=True)
class HeaderText:
    """A header field of that name (lower case) has `text` in its decoded value; "" asks for its presence."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class BodyText:
    """`text` occurs in a decoded text part of the body."""

    text: str


@dataclass(frozen=True, slots=True)
class AnyText:
    """`text` occurs in the decoded header or a decoded text part (TEXT)."""

    text: str


@dataclass(frozen=True, slots=True)
class OnDate:
    """A date key."""

    field: DateField
    test: DateTest
    day: datetime.date


@dataclass(frozen=True, slots=True)
class Larger:
    """RFC822.SIZE above `octets`."""

    octets: int


@dataclass(frozen=True, slots=True)
class Smaller:
    """RFC822.SIZE below `octets`."""

    octets: int


@dataclass(frozen=True, slots=True)
class ModseqFrom:
    """mod-sequence at or above `modseq` (RFC 7162 3.1.5)."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    key: "SearchKey"


@dataclass(frozen=True, slots=True)
class And:
    """All of the keys."""

    keys: tuple["SearchKey", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of the keys."""

    keys: tuple["SearchKey", ...]


SearchKey = (
    All | InUids | HasFlags | HasKeyword | HeaderText | BodyText | AnyText | OnDate | Larger | Smaller
    | ModseqFrom | Not | And | Or
)
