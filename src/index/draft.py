"""The write side of one mailbox: its head and the few chunks that a change touches, in the making.

Rules that keep it right:
1. A draft lives inside one write transaction. Chunks are decoded when touched and written by `store` and `replace`;
   the head is written last, by `save`, and only when something changed.
2. Counters are moved by what really changed in the rows, never by what a caller says has changed.
3. A column that does not fit its digest raises `Unsound` (the mailbox is rebuilt); only the cold column may be lost
   alone: its values become unknown and the sizes are counted again.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..model.flags import DELETED, SEEN
from . import cache, changelog, schema
from .columns import UNKNOWN, pack_cold, pack_hot, unknown_cold, unpack_cold, unpack_hot
from .errors import Unsound
from .head import Directory, Head, pack_head

if TYPE_CHECKING:
    from .environment import Txn


class Rows:
    """One chunk being changed; a column is None until it is needed, and written when its `new_` mark is set."""

    __slots__ = (
        "cold", "first", "flags", "joined", "locators", "modseqs", "new_cold", "new_hot", "new_locators", "uids",
    )  # fmt: skip

    def __init__(self, first: int, uids: "array[int]", flags: "array[int]", modseqs: "array[int]") -> None:
        self.first = first
        self.uids = uids
        self.flags = flags
        self.modseqs = modseqs
        self.locators: list[bytes] | None = None
        self.joined: bytes | None = None
        """The locators as they are stored, while they were not split."""
        self.cold: tuple[array[int], array[int], array[int]] | None = None
        self.new_hot = self.new_locators = self.new_cold = False

    def place(self, uid: int) -> int:
        """Position of a message, -1 when it is not here."""
        position = bisect_left(self.uids, uid)
        return position if position < len(self.uids) and self.uids[position] == uid else -1


class Draft:
    """A mailbox being changed."""

    def __init__(self, txn: "Txn", mailbox: int, head: Head, directory: Directory, now: int, ceiling: int = 0) -> None:
        self.txn = txn
        self.mailbox = mailbox
        self.head = head
        self.directory = directory.copy()
        self.record: bytes | None = None
        """The head's new record, once saved."""
        self.messages = head.messages
        self.unseen = head.unseen
        self.deleted = head.deleted
        self.size = head.size
        self.size_unknown = head.size_unknown
        self.first_recent = head.first_recent
        self.recent = head.recent
        self.ceiling = max(head.ceiling, ceiling)
        self.modseq: int | None = None
        self.lost_cold = False
        self._now = now
        self._touched = False

    def visible(self) -> int:
        """The modseq of this change."""
        if self.modseq is None:
            self.modseq = changelog.take_modseq(self.head, self._now, self.ceiling)
        return self.modseq

    # ── chunks ──

    def chunk_of(self, uid: int) -> int:
        """Number of the chunk that this UID belongs to."""
        return max(bisect_right(self.directory.firsts, uid) - 1, 0)

    def load(self, chunk: int) -> Rows:
        """The chunk with its hot column; an empty one in an empty mailbox."""
        if not self.directory.firsts:
            rows = Rows(0, array("I"), array("Q"), array("Q"))
            rows.locators, rows.cold = [], unknown_cold(0)
            return rows
        first = self.directory.firsts[chunk]
        value = self._column(schema.HOT, first, self.directory.hot[chunk])
        if value is None:
            raise Unsound(f"flags of UIDs from {first}")
        return Rows(first, *unpack_hot(value))

    def joined(self, chunk: int, rows: Rows) -> bytes:
        """The chunk's locators in one piece, unsplit."""
        if rows.joined is None:
            rows.joined = self._column(schema.LOCATORS, rows.first, self.directory.locators[chunk])
            if rows.joined is None:
                raise Unsound(f"locators of UIDs from {rows.first}")
        return rows.joined

    def locators(self, chunk: int, rows: Rows) -> list[bytes]:
        """The chunk's locators as a list."""
        if rows.locators is None:
            rows.locators = self.joined(chunk, rows).split(b"\0")
        return rows.locators

    def cold(self, chunk: int, rows: Rows) -> "tuple[array[int], array[int], array[int]]":
        """The chunk's sizes and dates; all unknown when the column is damaged."""
        if rows.cold is None:
            value = self._column(schema.COLD, rows.first, self.directory.cold[chunk])
            if value is None:
                self.lost_cold = rows.new_cold = True
                rows.cold = unknown_cold(len(rows.uids))
            else:
                rows.cold = unpack_cold(value)
        return rows.cold

    def _column(self, column: int, first: int, digest: int) -> bytes | None:
        key = schema.row_key(self.mailbox, column, first)
        value = self.txn.get(key)
        return value if value is not None and schema.digest(key, value) == digest else None

    def store(self, chunk: int, rows: Rows) -> None:
        """Write the columns of a chunk that changed in place."""
        directory = self.directory
        if rows.new_hot:
            directory.hot[chunk] = self._put(schema.HOT, rows.first, pack_hot(rows.uids, rows.flags, rows.modseqs))
            directory.modseqs[chunk] = self.modseq or max(rows.modseqs)
        if rows.new_locators:
            joined = rows.joined or b"" if rows.locators is None else b"\0".join(rows.locators)
            directory.locators[chunk] = self._put(schema.LOCATORS, rows.first, joined)
        if rows.new_cold and rows.cold is not None:
            directory.cold[chunk] = self._put(schema.COLD, rows.first, pack_cold(*rows.cold))
        self._touched |= rows.new_hot or rows.new_locators or rows.new_cold

    def _put(self, column: int, first: int, value: bytes) -> int:
        key = schema.row_key(self.mailbox, column, first)
        self.txn.put(key, value)
        return schema.digest(key, value)

    def replace(self, chunk: int, chunks: int, pieces: Sequence[Rows]) -> None:
        """Put `pieces` (with all columns loaded) in the place of `chunks` chunks from `chunk` on."""
        directory, end = self.directory, chunk + chunks
        for first in set(directory.firsts[chunk:end]) - {piece.first for piece in pieces}:
            for column in (schema.HOT, schema.LOCATORS, schema.COLD):
                self.txn.delete(schema.row_key(self.mailbox, column, first))
        directory.firsts[chunk:end] = array("I", [piece.first for piece in pieces])
        directory.counts[chunk:end] = array("H", [len(piece.uids) for piece in pieces])
        blank = array("Q", bytes(8 * len(pieces)))
        directory.hot[chunk:end] = blank
        directory.locators[chunk:end] = blank
        directory.cold[chunk:end] = blank
        directory.modseqs[chunk:end] = blank
        for offset, piece in enumerate(pieces):
            piece.new_hot = piece.new_locators = piece.new_cold = True
            self.store(chunk + offset, piece)
        self._touched = True

    def save(self, **changes: Any) -> Head:
        """Write the head when anything differs from the one the draft began with; the head as it is now. `changes`
        are fields of the head that the draft does not count itself."""
        if self.lost_cold:
            self._count_sizes()
        old = self.head._replace(**changes) if changes else self.head
        head = Head(
            old.generation, old.uidvalidity, old.uidnext, self.messages, self.unseen, self.deleted, self.size,
            self.size_unknown, self.modseq or old.highestmodseq, self.first_recent, self.recent, self.ceiling,
            old.vanished_floor, old.settled, old.vanished_rows, len(self.directory.firsts), old.fingerprint, old.guid,
            old.keywords, old.header_sets, old.pop3_format, self.directory.pack() if self._touched else old.packed,
        )  # fmt: skip
        if head != self.head:
            head = head._replace(generation=head.generation + 1)
            key = schema.column_key(self.mailbox, schema.HEAD)
            self.record = pack_head(key, head)
            self.txn.put(key, self.record)
            self.head = head
        return self.head

    def _count_sizes(self) -> None:
        """After the loss of a cold column the sums are taken from what is there."""
        self.size = self.size_unknown = 0
        for chunk in range(len(self.directory.firsts)):
            rows = self.load(chunk)
            vsizes = self.cold(chunk, rows)[1]
            self.store(chunk, rows)
            unknown = vsizes.count(UNKNOWN)
            self.size_unknown += unknown
            self.size += sum(vsizes) - unknown * UNKNOWN

    def neighbours(self, uids: Iterable[int]) -> "array[int]":
        """UIDs, ascending, of all messages that may share a fact group with one of these."""
        chunks: set[int] = set()
        if self.directory.firsts:
            for group in {uid >> cache.SHIFT for uid in uids}:
                low = group << cache.SHIFT
                chunks.update(range(self.chunk_of(low), self.chunk_of(low + cache.GROUP - 1) + 1))
        found = array("I")
        for chunk in sorted(chunks):
            found += self.load(chunk).uids
        return found

    # ── counters ──

    def count_flags(self, flags: int, step: int) -> None:
        """One message with these flags came (+1) or went (-1)."""
        if not flags & SEEN:
            self.unseen += step
        if flags & DELETED:
            self.deleted += step

    def count_size(self, vsize: int, step: int) -> None:
        """One message of this size came or went."""
        if vsize == UNKNOWN:
            self.size_unknown += step
        else:
            self.size += step * vsize

    def count_recent(self, uid: int, recent: bool) -> None:
        """A message was added. Recent messages are those from `first_recent` on: one that is not recent counts as
        recent when it comes behind one that is (RFC 3501 2.3.2 wants it so in doubt)."""
        if uid >= self.first_recent:
            if recent or self.recent:
                self.recent += 1
            else:
                self.first_recent = uid + 1
