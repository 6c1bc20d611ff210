"""What lies between two snapshots of a mailbox, by value.

Chunks that both snapshots share are passed over by identity, chunks with equal UIDs are compared as arrays, and only
what is left is compared message by message. So a snapshot of an index that was lost and built again, with other chunks
and other modseqs but the same messages, shows no difference.
"""

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
    kept = {id(chunk) for chunk in new.chunks}
    shared = {id(chunk) for chunk in old.chunks} & kept
    after = {chunk.uids[0]: chunk for chunk in new.chunks if id(chunk) not in shared and len(chunk)}
    before: list[Chunk] = []
    for chunk in old.chunks:
        if id(chunk) in shared or not len(chunk):
            continue
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
