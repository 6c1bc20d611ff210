"""What lies between two snapshots of a mailbox, by value.

Chunks that both snapshots share are passed over by identity, chunks with equal UIDs are compared as arrays, and only
what is left is compared message by message. So a snapshot of an index that was lost and built again, with other chunks
and other modseqs but the same messages, shows no difference.
"""

from collections.abc import Sequence
from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..index.snapshot import Chunk, Snapshot


class Difference(NamedTuple):
    """UIDs with the flags and modseq that the *older* snapshot had, where it had them."""

    appeared: list[int]
    """Ascending."""
    vanished: dict[int, tuple[int, int]]
    changed: dict[int, tuple[int, int]]


def difference(old: "Snapshot", new: "Snapshot") -> Difference:
    """From `old` to `new`."""
    appeared: list[int] = []
    vanished: dict[int, tuple[int, int]] = {}
    changed: dict[int, tuple[int, int]] = {}
    if old is new or old.chunks is new.chunks:
        return Difference(appeared, vanished, changed)
    ours, theirs = _unshared(old.chunks, new.chunks)
    after = {chunk.uids[0]: chunk for chunk in theirs}
    before: list[Chunk] = []
    for chunk in ours:
        twin = after.get(chunk.uids[0])
        if twin is not None and twin.uids == chunk.uids:
            del after[chunk.uids[0]]
            if twin.flags != chunk.flags:
                for uid, was, now, modseq in zip(chunk.uids, chunk.flags, twin.flags, chunk.modseqs, strict=True):
                    if was != now:
                        changed[uid] = (was, modseq)
        else:
            before.append(chunk)
    if before or after:
        gone = {
            uid: (flags, modseq)
            for chunk in before
            for uid, flags, modseq in zip(chunk.uids, chunk.flags, chunk.modseqs, strict=True)
        }
        came: dict[int, int] = {}
        for chunk in after.values():
            came.update(zip(chunk.uids, chunk.flags, strict=True))
        appeared = sorted(came.keys() - gone.keys())
        for uid, row in gone.items():
            flags = came.get(uid)
            if flags is None:
                vanished[uid] = row
            elif flags != row[0]:
                changed[uid] = row
    return Difference(appeared, vanished, changed)


def _unshared(old: "Sequence[Chunk]", new: "Sequence[Chunk]") -> "tuple[list[Chunk], list[Chunk]]":
    """The chunks of each that the other does not have at its place, counted from the front or from the back."""
    if len(old) == len(new):
        pairs = list(compress(zip(old, new, strict=True), map(is_not, old, new)))
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    shorter = min(len(old), len(new))
    front = next((place for place in range(shorter) if old[place] is not new[place]), shorter)
    rest = shorter - front
    back = next((place for place in range(rest) if old[-1 - place] is not new[-1 - place]), rest)
    ours, theirs = old[front : len(old) - back], new[front : len(new) - back]
    shared = {id(chunk) for chunk in ours} & {id(chunk) for chunk in theirs}
    return (
        [chunk for chunk in ours if id(chunk) not in shared],
        [chunk for chunk in theirs if id(chunk) not in shared],
    )
