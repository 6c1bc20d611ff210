"""Snapshots made by hand, without an index."""

from array import array
from collections.abc import Mapping, Sequence

from culverhouse.index.head import Directory, Head
from culverhouse.index.snapshot import Chunk, Snapshot


def snapshot(
    rows: Mapping[int, int], *, modseq: int = 1, keywords: tuple[str, ...] = (), size: int = 3,
    previous: Snapshot | None = None, first_recent: int = 1, uidnext: int = 0,
) -> Snapshot:  # fmt: skip
    """`rows` is UID to flags; chunks of `size` messages, those that `previous` has too are shared with it."""
    uids = sorted(rows)
    chunks: list[Chunk] = []
    directory = Directory()
    known = {(tuple(chunk.uids), tuple(chunk.flags)): chunk for chunk in previous.chunks} if previous else {}
    for start in range(0, len(uids), size):
        part = uids[start : start + size]
        flags = [rows[uid] for uid in part]
        chunk = known.get((tuple(part), tuple(flags)))
        if chunk is None:
            chunk = Chunk(array("I", part), array("Q", flags), array("Q", [modseq] * len(part)), modseq * 1000 + start)
        chunks.append(chunk)
        directory.firsts.append(part[0])
        directory.counts.append(len(part))
        directory.modseqs.append(max(chunk.modseqs))
        for column in (directory.hot, directory.locators, directory.cold):
            column.append(chunk.version)
    head = Head(
        guid="0" * 32, generation=modseq, uidvalidity=7, uidnext=uidnext or max(uids, default=0) + 1,
        messages=len(uids), unseen=0, deleted=0, size=0, size_unknown=0, highestmodseq=modseq,
        first_recent=first_recent, recent=sum(uid >= first_recent for uid in uids), fingerprint=None, settled=False,
        ceiling=1 << 60, vanished_floor=1, vanished_rows=0, keywords=keywords, header_sets=(), pop3_format=None,
        chunks=len(chunks), packed=directory.pack(),
    )  # fmt: skip
    return Snapshot(head, tuple(chunks), directory.firsts)


class Client:
    """What a client believes after it was told updates; fails when they make no sense."""

    def __init__(self, uids: Sequence[int], flags: Mapping[int, int]) -> None:
        self.uids = list(uids)
        self.flags = {uid: flags[uid] for uid in uids}
        self.recent: set[int] = set()
        self.exists = len(self.uids)

    def fetch_new(self, uids: Sequence[int], flags: Mapping[int, int]) -> None:
        """Learn the messages that an EXISTS announced."""
        fresh = list(uids[len(self.uids) :])
        assert self.uids == list(uids[: len(self.uids)])
        assert fresh == sorted(fresh)
        assert not self.uids or not fresh or fresh[0] > self.uids[-1]
        self.uids += fresh
        self.flags.update({uid: flags[uid] for uid in fresh})
