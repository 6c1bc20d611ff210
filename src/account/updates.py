"""What a session is told about its mailbox, in the order in which it may be told (RFC 3501 7.2 to 7.4).

An `Expunge` carries the sequence number that is right at its place in the list: a protocol writes the updates out
one after the other and nothing else in between.
"""

from dataclasses import dataclass

from ..model.uids import UidSet


@dataclass(frozen=True, slots=True)
class KeywordsChanged:
    """The mailbox's keyword names grew (FLAGS and PERMANENTFLAGS); comes before any flags that use them."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlagsChanged:
    """A message's flags are no longer what the session was told last; `recent` is \\Recent in this session."""

    seq: int
    uid: int
    flags: int
    modseq: int
    recent: bool = False


@dataclass(frozen=True, slots=True)
class Expunge:
    """A message is gone; later sequence numbers go down by one."""

    seq: int
    uid: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """The same for a session with QRESYNC (RFC 7162 3.2.10), all messages at once."""

    uids: UidSet


@dataclass(frozen=True, slots=True)
class Exists:
    """The number of messages grew, or that of recent ones changed."""

    count: int
    recent: int


Update = KeywordsChanged | FlagsChanged | Expunge | Vanished | Exists
