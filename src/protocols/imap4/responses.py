"""What the server says, as values; render.py alone turns them into bytes. FETCH rows, which come by the hundred
thousand, are not made of these: rows.py renders them column by column."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...model.uids import UidSet

OK, NO, BAD, BYE = "OK", "NO", "BAD", "BYE"


@dataclass(frozen=True, slots=True)
class Status:
    """resp-cond-state; `code` without its brackets, `tag` None: untagged."""

    condition: str
    text: str
    code: str = ""
    tag: bytes | None = None


@dataclass(frozen=True, slots=True)
class Continuation:
    """continue-req; `data` is base64 or text already."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Capability:
    """capability-data"""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Enabled:
    """enable-data (RFC 5161)"""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Id:
    """id-response (RFC 2971); no pairs: NIL."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    """One personal namespace (RFC 2342)."""

    prefix: str
    separator: str


@dataclass(frozen=True, slots=True)
class Flags:
    """FLAGS"""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """message-data"""

    count: int


@dataclass(frozen=True, slots=True)
class Recent:
    """message-data"""

    count: int


@dataclass(frozen=True, slots=True)
class Expunge:
    """message-data"""

    seq: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """expunged-resp (RFC 7162 7)"""

    uids: UidSet
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """mailbox-list, of LIST or LSUB, with LIST-EXTENDED's extended items (RFC 5258)."""

    name: str
    separator: str
    attributes: tuple[str, ...] = ()
    childinfo: tuple[str, ...] = ()
    command: str = "LIST"


@dataclass(frozen=True, slots=True)
class MailboxData:
    """STATUS"""

    name: str
    items: Sequence[tuple[str, int]] = field(default=())


@dataclass(frozen=True, slots=True)
class Esearch:
    """esearch-response (RFC 4731, RFC 7162 3.1.10); `results` in the order asked, values ready for the wire."""

    tag: bytes
    by_uid: bool
    results: Sequence[tuple[str, str]]


Response = (
    Status | Continuation | Capability | Enabled | Id | Namespace | Flags | Exists | Recent | Expunge | Vanished
    | Listed | MailboxData | Esearch
)
