"""The head of a mailbox: one record with everything that SELECT and STATUS ask for, and the directory of its chunks.

Layout: checksum (xxh3 over key and rest) | fixed fields | names (guid, keywords, header sets, ...) | directory.
The directory is six columns, one entry per chunk: first UID (u32), count (u16), highest modseq (u64), and the
digests of the chunk's hot, locator and cold values (u64 each).

Rules that keep it right:
1. A chunk's value is believed only when its digest is the one in the head that was read in the same transaction; a
   stale but whole page is noticed that way.
2. Everything is in the machine's own byte order, as LMDB's file itself is; the schema record holds the order.
3. A head is immutable, and two heads with equal bytes are the same.
"""

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct, error

from .schema import checked, sealed

_FIXED = Struct("=QIIIIIQIQIIQQBIII")
"""generation, uidvalidity, uidnext, messages, unseen, deleted, size, size_unknown, highestmodseq, first_recent,
recent, ceiling, vanished_floor, settled, vanished_rows, chunks, length of the names."""
_U16 = Struct("=H")
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

    def pack(self) -> bytes:
        """The six columns as bytes; the hot digests first, since snapshots compare those."""
        return b"".join((
            self.hot.tobytes(), self.firsts.tobytes(), self.locators.tobytes(), self.cold.tobytes(),
            self.modseqs.tobytes(), self.counts.tobytes(),
        ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """One mailbox's counters and identity at one moment."""

    guid: str
    generation: int
    """Grows with every write to the mailbox's columns."""
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
    fingerprint: bytes | None
    """Key of the folder's fingerprint when it was last reconciled."""
    settled: bool
    ceiling: int
    """No modseq above it is given out before the store holds a higher one."""
    vanished_floor: int
    """The vanished log knows everything after this modseq."""
    vanished_rows: int
    keywords: tuple[str, ...]
    """Names by number, `""` where a number has none."""
    header_sets: tuple[frozenset[bytes], ...]
    """Field names (lower case) kept per message, by version: `header_sets[version - 1]`. Each holds the ones before."""
    pop3_format: str | None
    chunks: int
    packed: bytes = field(repr=False)
    """The directory's bytes."""

    def directory(self) -> Directory:
        """A new, mutable copy of the chunk directory."""
        return Directory(self.packed, self.chunks)


def pack_head(key: bytes, head: Head) -> bytes:
    """The head's record."""
    names = _pack_names((
        _pack_names((
            head.guid.encode(),
            b"" if head.fingerprint is None else b"=" + head.fingerprint,
            b"" if head.pop3_format is None else b"=" + head.pop3_format.encode("utf-8", "surrogateescape"),
        )),
        _pack_names(tuple(name.encode("utf-8", "surrogateescape") for name in head.keywords)),
        _pack_names(tuple(_pack_names(tuple(sorted(names))) for names in head.header_sets)),
    ))  # fmt: skip
    fixed = _FIXED.pack(
        head.generation, head.uidvalidity, head.uidnext, head.messages, head.unseen, head.deleted, head.size,
        head.size_unknown, head.highestmodseq, head.first_recent, head.recent, head.ceiling, head.vanished_floor,
        head.settled, head.vanished_rows, head.chunks, len(names),
    )  # fmt: skip
    return sealed(key, b"".join((fixed, names, head.packed)))


def unpack_head(key: bytes, record: bytes) -> Head | None:
    """The head in this record, None when it is damaged."""
    body = checked(key, record)
    if body is None:
        return None
    try:
        (
            generation, uidvalidity, uidnext, messages, unseen, deleted, size, size_unknown, highestmodseq,
            first_recent, recent, ceiling, vanished_floor, settled, vanished_rows, chunks, length,
        ) = _FIXED.unpack_from(body)  # fmt: skip
        start = _FIXED.size + length
        guid, fingerprint, pop3_format, keywords, header_sets = _decode_names(body[_FIXED.size : start])
    except (error, ValueError, IndexError):
        return None
    packed = body[start:]
    if len(packed) != chunks * _ENTRY:
        return None
    return Head(
        guid, generation, uidvalidity, uidnext, messages, unseen, deleted, size, size_unknown, highestmodseq,
        first_recent, recent, fingerprint, bool(settled), ceiling, vanished_floor, vanished_rows, keywords,
        header_sets, pop3_format, chunks, packed,
    )  # fmt: skip


def _pack_names(names: tuple[bytes, ...]) -> bytes:
    return b"".join((_U16.pack(len(names)), *(_U16.pack(len(name)) + name for name in names)))


def _unpack_names(packed: bytes) -> list[bytes]:
    (count,) = _U16.unpack_from(packed)
    names, place = [], 2
    for _ in range(count):
        (length,) = _U16.unpack_from(packed, place)
        names.append(packed[place + 2 : place + 2 + length])
        place += 2 + length
    return names


@lru_cache(maxsize=1024)
def _decode_names(
    packed: bytes,
) -> tuple[str, bytes | None, str | None, tuple[str, ...], tuple[frozenset[bytes], ...]]:
    """Cached, since a flag change leaves these bytes alone."""
    own, keywords, sets = _unpack_names(packed)
    guid, fingerprint, pop3_format = _unpack_names(own)
    return (
        guid.decode(),
        fingerprint[1:] if fingerprint else None,
        pop3_format[1:].decode("utf-8", "surrogateescape") if pop3_format else None,
        tuple(name.decode("utf-8", "surrogateescape") for name in _unpack_names(keywords)),
        tuple(frozenset(_unpack_names(names)) for names in _unpack_names(sets)),
    )
