"""A mailbox at one moment: UIDs, flags and modseqs of all its messages, in chunks of at most 256.

Rules that keep it right:
1. A snapshot and its chunks never change. A newer snapshot shares, by identity, every chunk that did not change, so
   that whoever compares two snapshots looks only at chunks that differ (`a is not b`).
2. All of a snapshot was read in one transaction.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from .head import Head


class Chunk:
    """Up to 256 neighbouring messages, ascending by UID, as three parallel arrays that nobody changes."""

    __slots__ = ("flags", "modseqs", "uids", "version")

    def __init__(self, uids: "array[int]", flags: "array[int]", modseqs: "array[int]", version: bytes) -> None:
        self.uids = uids
        self.flags = flags
        self.modseqs = modseqs
        self.version = version

    def __len__(self) -> int:
        return len(self.uids)


class Snapshot:
    """All messages of a mailbox, immutable."""

    __slots__ = ("__weakref__", "_firsts", "_uids", "chunks", "head")

    def __init__(
        self, head: Head, chunks: tuple[Chunk, ...], firsts: "array[int]", uids: "array[int] | None" = None
    ) -> None:
        self.head = head
        self.chunks = chunks
        self._firsts = firsts
        self._uids = uids

    @property
    def uids(self) -> "array[int]":
        """All UIDs, ascending; the same object as in the previous snapshot when no UID came or went."""
        if self._uids is None:
            joined = array("I")
            for chunk in self.chunks:
                joined += chunk.uids
            self._uids = joined
        return self._uids

    def find(self, uid: int) -> tuple[Chunk, int] | None:
        """The chunk and the position in it of this message, None when it is not there."""
        if not self.chunks:
            return None
        chunk = self.chunks[max(bisect_right(self._firsts, uid) - 1, 0)]
        position = bisect_left(chunk.uids, uid)
        if position < len(chunk.uids) and chunk.uids[position] == uid:
            return chunk, position
        return None

    def flags_of(self, uid: int) -> int | None:
        """The message's flags, None when it is not there."""
        found = self.find(uid)
        return None if found is None else found[0].flags[found[1]]

    def modseq_of(self, uid: int) -> int | None:
        """The message's modseq, None when it is not there."""
        found = self.find(uid)
        return None if found is None else found[0].modseqs[found[1]]

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """(uid, flags, modseq) of all messages, ascending."""
        for chunk in self.chunks:
            yield from zip(chunk.uids, chunk.flags, chunk.modseqs, strict=True)

    def changed_since(self, modseq: int) -> list[tuple[int, int, int]]:
        """(uid, flags, modseq) of the messages with a higher modseq, ascending by UID. Chunks without any are
        passed over."""
        changed: list[tuple[int, int, int]] = []
        for chunk, newest in zip(self.chunks, self.head.directory().modseqs, strict=True):
            if newest > modseq:
                changed.extend(
                    row for row in zip(chunk.uids, chunk.flags, chunk.modseqs, strict=True) if row[2] > modseq
                )
        return changed
