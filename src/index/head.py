"""The head of a mailbox: one record with everything that SELECT and STATUS ask for, and the directory of its chunks.

Layout: checksum (xxh3 over key and rest) | fixed fields | fingerprint | names (guid, keywords, header sets, POP3
format) | directory. The directory is six columns, one entry per chunk: digest of the hot value (u64), first UID
(u32), digests of the locator and the cold value (u64 each), highest modseq (u64), count (u16).

Rules that keep it right:
1. A chunk's value is believed only when its digest is the one in the head that was read in the same transaction; a
   stale but whole page is noticed that way.
2. Everything is in the machine's own byte order, as LMDB's file itself is; the schema record holds the order.
3. A head is immutable, and two heads with equal bytes are the same.
"""

from array import array
from functools import lru_cache
from itertools import accumulate, pairwise
from struct import Struct, error
from typing import NamedTuple

from .schema import checked, sealed

_FIXED = Struct("=QIIIIIQIQQIQQ?II")
_FIELDS = 16
_NONE = 0xFFFF
"""Length of a fingerprint that is not there."""
_LENGTHS = Struct("=HI")
_BODY = _FIXED.size + _LENGTHS.size
_U32 = Struct("=I")
_ENTRY = 4 + 2 + 8 + 8 + 8 + 8


class Directory:
    """The chunks of a mailbox as six parallel arrays, ascending by first UID. A chunk covers the UIDs from its
    first UID to the next chunk's; the first chunk also covers what lies below it."""

    __slots__ = ("cold", "counts", "firsts", "hot", "locators", "modseqs")

    def __init__(self, packed: bytes = b"", chunks: int = 0) -> None:
        self.hot = array("Q", packed[: 8 * chunks])
        self.firsts = array("I", packed[8 * chunks : 12 * chunks])
        self.locators = array("Q", packed[12 * chunks : 20 * chunks])
        self.cold = array("Q", packed[20 * chunks : 28 * chunks])
        self.modseqs = array("Q", packed[28 * chunks : 36 * chunks])
        self.counts = array("H", packed[36 * chunks : 38 * chunks])

    def copy(self) -> "Directory":
        """One that may be changed."""
        made = Directory.__new__(Directory)
        made.hot = self.hot[:]
        made.firsts = self.firsts[:]
        made.locators = self.locators[:]
        made.cold = self.cold[:]
        made.modseqs = self.modseqs[:]
        made.counts = self.counts[:]
        return made

    def pack(self) -> bytes:
        """The six columns as bytes; the hot digests first, since snapshots compare those."""
        return b"".join((
            self.hot.tobytes(), self.firsts.tobytes(), self.locators.tobytes(), self.cold.tobytes(),
            self.modseqs.tobytes(), self.counts.tobytes(),
        ))  # fmt: skip


class Head(NamedTuple):
    """One mailbox's counters and identity at one moment. The fixed fields come first, in the record's order."""

    generation: int
    """Grows with every write to the mailbox's head or columns."""
    uidvalidity: int
    uidnext: int
    messages: int
    unseen: int
    deleted: int
    size: int
    """Sum of the known RFC822.SIZEs."""
    size_unknown: int
    """Messages whose size is not known."""
    highestmodseq: int
    first_recent: int
    """Messages from this UID on were shown to no session yet."""
    recent: int
    """How many those are."""
    ceiling: int
    """No modseq above it is given out before the store holds a higher one."""
    vanished_floor: int
    """The vanished log knows everything after this modseq."""
    settled: bool
    """The fingerprint was settled when it was taken."""
    vanished_rows: int
    chunks: int
    fingerprint: bytes | None
    """Key of the folder's fingerprint when it was last reconciled."""
    guid: str
    keywords: tuple[str, ...]
    """Names by number, `""` where a number has none."""
    header_sets: tuple[frozenset[bytes], ...]
    """Field names (lower case) kept per message, by version: `header_sets[version - 1]`. Each holds the ones before."""
    pop3_format: str | None
    packed: bytes
    """The directory's bytes."""

    def directory(self) -> Directory:
        """The chunk directory."""
        return Directory(self.packed, self.chunks)


def pack_head(key: bytes, head: Head) -> bytes:
    """The head's record."""
    fingerprint = head.fingerprint
    names = _encode_names(head.guid, head.keywords, head.header_sets, head.pop3_format)
    return sealed(key, b"".join((
        _FIXED.pack(*head[:_FIELDS]), _LENGTHS.pack(_NONE if fingerprint is None else len(fingerprint), len(names)),
        fingerprint or b"", names, head.packed,
    )))  # fmt: skip


def unpack_head(key: bytes, record: bytes) -> Head | None:
    """The head in this record, None when it is damaged."""
    body = checked(key, record)
    if body is None:
        return None
    try:
        fixed = _FIXED.unpack_from(body)
        length, names = _LENGTHS.unpack_from(body, _FIXED.size)
        fingerprint = None if length == _NONE else body[_BODY : _BODY + length]
        start = _BODY + (0 if fingerprint is None else length)
        guid, keywords, header_sets, pop3_format = _decode_names(body[start : start + names])
    except (error, ValueError, IndexError):
        return None
    head = Head._make((*fixed, fingerprint, guid, keywords, header_sets, pop3_format, body[start + names :]))
    return head if len(head.packed) == head.chunks * _ENTRY else None


def _pack_names(names: tuple[bytes, ...]) -> bytes:
    return b"".join((_U32.pack(len(names)), *(_U32.pack(len(name)) + name for name in names)))


def _unpack_names(packed: bytes) -> list[bytes]:
    (count,) = _U32.unpack_from(packed)
    names, place = [], 4
    for _ in range(count):
        (length,) = _U32.unpack_from(packed, place)
        names.append(packed[place + 4 : place + 4 + length])
        place += 4 + length
    return names


@lru_cache(maxsize=1024)
def _encode_names(
    guid: str, keywords: tuple[str, ...], header_sets: tuple[frozenset[bytes], ...], pop3_format: str | None
) -> bytes:
    """Cached, as is the decoding, since they change much more rarely than the rest."""
    return _pack_names((
        guid.encode("utf-8", "surrogateescape"),
        b"" if pop3_format is None else b"=" + pop3_format.encode("utf-8", "surrogateescape"),
        _pack_names(tuple(name.encode("utf-8", "surrogateescape") for name in keywords)),
        _pack_names(tuple(_pack_names(tuple(sorted(new - old))) for old, new in pairwise((frozenset(), *header_sets)))),
    ))  # fmt: skip


@lru_cache(maxsize=1024)
def _decode_names(packed: bytes) -> tuple[str, tuple[str, ...], tuple[frozenset[bytes], ...], str | None]:
    guid, pop3_format, keywords, steps = _unpack_names(packed)
    growth = accumulate((frozenset(_unpack_names(step)) for step in _unpack_names(steps)), lambda old, new: old | new)
    return (
        guid.decode("utf-8", "surrogateescape"),
        tuple(name.decode("utf-8", "surrogateescape") for name in _unpack_names(keywords)),
        tuple(growth),
        pop3_format[1:].decode("utf-8", "surrogateescape") if pop3_format else None,
    )
