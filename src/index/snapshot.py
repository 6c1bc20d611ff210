"""A mailbox at one moment: UIDs, flags and modseqs of all its messages, in chunks of at most 256.

Rules that keep it right:
1. A snapshot and its chunks never change. A newer snapshot shares, by identity, every chunk that did not change, so
   that whoever compares two snapshots looks only at chunks that differ (`a is not b`).
2. All of a snapshot was read in one transaction.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import schema
from .columns import unpack_hot
from .errors import Unsound
from .head import Directory, Head

if TYPE_CHECKING:
    from .environment import Txn


class Chunk:
    """Up to 256 neighbouring messages, ascending by UID, as three parallel arrays that nobody changes. Chunks with
    equal `version` have equal content."""

    __slots__ = ("flags", "modseqs", "uids", "version")

    def __init__(self, uids: "array[int]", flags: "array[int]", modseqs: "array[int]", version: int) -> None:
        self.uids = uids
        self.flags = flags
        self.modseqs = modseqs
        self.version = version

    def __len__(self) -> int:
        return len(self.uids)

    def changed_since(self, modseq: int) -> list[tuple[int, int, int]]:
        """(uid, flags, modseq) of the messages with a higher modseq, ascending by UID."""
        return [
            (uid, flags, newest)
            for uid, flags, newest in zip(self.uids, self.flags, self.modseqs, strict=True)
            if newest > modseq
        ]


class Snapshot:
    """All messages of a mailbox."""

    __slots__ = ("__weakref__", "_firsts", "_joined", "chunks", "head")

    def __init__(
        self, head: Head, chunks: tuple[Chunk, ...], firsts: "array[int]", joined: "list[array[int]] | None" = None
    ) -> None:
        self.head = head
        self.chunks = chunks
        self._firsts = firsts
        # Joined when first asked for, into a cell that all snapshots with the same UIDs share.
        self._joined: list[array[int]] = [] if joined is None else joined

    @property
    def uids(self) -> "array[int]":
        """All UIDs, ascending; the same object as in the previous snapshot when no UID came or went."""
        if not self._joined:
            joined = array("I")
            for chunk in self.chunks:
                joined += chunk.uids
            self._joined.append(joined)
        return self._joined[0]

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
                changed.extend(chunk.changed_since(modseq))
        return changed


def read_chunk(txn: "Txn", mailbox: int, directory: Directory, number: int) -> Chunk:
    """Decode one chunk; Unsound when it is not the one that the head speaks of."""
    first, version = directory.firsts[number], directory.hot[number]
    key = schema.row_key(mailbox, schema.HOT, first)
    value = txn.get(key)
    if value is None or schema.digest(key, value) != version:
        raise Unsound(f"flags of UIDs from {first}")
    return Chunk(*unpack_hot(value), version)


def snapshot_of(
    txn: "Txn", mailbox: int, head: Head, directory: Directory, previous: Snapshot | None
) -> Snapshot:  # fmt: skip
    """The mailbox as this transaction sees it. What lies before and behind the changed chunks is taken over whole."""
    if previous is None:
        chunks = tuple(read_chunk(txn, mailbox, directory, number) for number in range(head.chunks))
        return Snapshot(head, chunks, directory.firsts)
    if previous.head is head:
        return previous
    if previous.head.packed == head.packed:
        return Snapshot(head, previous.chunks, previous._firsts, previous._joined)
    # The directory begins with the chunks' digests, so that runs of equal ones are compared as bytes.
    old, new = previous.head.packed[: 8 * previous.head.chunks], head.packed[: 8 * head.chunks]
    front = _equal_front(old, new)
    back = _equal_back(old[8 * front :], new[8 * front :])
    middle = previous.chunks[front : len(previous.chunks) - back]
    by_version = {chunk.version: chunk for chunk in middle}
    by_first = {chunk.uids[0]: chunk for chunk in middle}
    same_uids = len(middle) == head.chunks - back - front
    fresh: list[Chunk] = []
    for number in range(front, head.chunks - back):
        chunk = by_version.get(directory.hot[number])
        if chunk is None:
            chunk = read_chunk(txn, mailbox, directory, number)
            before = by_first.get(chunk.uids[0])
            if before is not None and before.uids == chunk.uids:
                chunk.uids = before.uids
        same_uids = same_uids and chunk.uids is middle[number - front].uids
        fresh.append(chunk)
    end = len(previous.chunks) - back
    chunks = (*previous.chunks[:front], *fresh, *previous.chunks[end:])
    if same_uids:
        return Snapshot(head, chunks, directory.firsts, previous._joined)
    joined: list[array[int]] = []
    if previous._joined:
        # Somebody uses the joined UIDs: two slices and what is new cost a fraction of joining all chunks.
        uids, counts = previous._joined[0], previous.head.directory().counts
        behind = len(uids) - sum(counts[end:])
        made = uids[: sum(counts[:front])]
        for chunk in fresh:
            made += chunk.uids
        made += uids[behind:]
        joined.append(made)
    return Snapshot(head, chunks, directory.firsts, joined)


def _equal_front(one: bytes, two: bytes) -> int:
    """How many leading digests are equal."""
    low, high = 0, min(len(one), len(two)) // 8
    while low < high:
        half = (low + high + 1) // 2
        if one[8 * low : 8 * half] == two[8 * low : 8 * half]:
            low = half
        else:
            high = half - 1
    return low


def _equal_back(one: bytes, two: bytes) -> int:
    """How many trailing digests are equal."""
    low, high = 0, min(len(one), len(two)) // 8
    while low < high:
        half = (low + high + 1) // 2
        if one[len(one) - 8 * half : len(one) - 8 * low] == two[len(two) - 8 * half : len(two) - 8 * low]:
            low = half
        else:
            high = half - 1
    return low
