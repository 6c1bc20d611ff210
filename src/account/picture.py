"""What one client knows of its mailbox, as a pure object: a snapshot comes in, updates come out.

The client's list of UIDs is the told snapshot's, plus *ghosts* (messages that are gone but whose expunge was not told
yet), less *hidden* ones. Rules that keep it right:

1. Sequence numbers change only inside `advance(…, expunges=True)`, and messages are only ever added behind the last
   one (RFC 3501 2.3.1.2, 7.4.1). A UID that turns up below a UID that the client has seen is hidden from this session.
2. A *belief* is what the client takes a message's flags for where that may differ from the told snapshot. Every
   belief is compared once with the newest flags and dropped; where they differ the client is told. So an own change,
   noted by `told`, is not echoed, a foreign one is told exactly once, and one that was undone meanwhile is not told.
3. Arrays of UIDs are never changed in place: they are shared with snapshots and with other sessions.
4. A ghost keeps the flags that the client knows; only this session can change them.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..model.flags import SEEN
from ..model.uids import MAX_UID, UidSet
from .difference import difference
from .updates import Exists, Expunge, FlagsChanged, KeywordsChanged, Update, Vanished

if TYPE_CHECKING:
    from ..index.snapshot import Snapshot

FLAG_UPDATES = 5000
"""At most so many flag changes come out of one `advance`: it runs on the reactor."""

Row = tuple[int, int, int, int]
"""(sequence number, uid, flags, modseq)"""


class Picture:
    """See the module."""

    __slots__ = ("_beliefs", "_claims", "_ghosts", "_hidden", "_last", "_recent", "keywords", "told", "uids")

    def __init__(self, snapshot: "Snapshot", recent: tuple[int, int] = (0, 0)) -> None:
        """`recent` is the half-open range of UIDs that are \\Recent in this session."""
        self.told = snapshot
        self.uids = snapshot.uids
        self.keywords = snapshot.head.keywords
        self._ghosts: dict[int, tuple[int, int]] = {}
        self._beliefs: dict[int, tuple[int, int]] = {}
        self._hidden: set[int] = set()
        self._recent = [recent] if recent[0] < recent[1] else []
        self._claims: list[tuple[int, int]] = []
        self._last = self.uids[-1] if self.uids else 0

    # ── reading ──

    @property
    def ghosts(self) -> Iterable[int]:
        """UIDs that are gone but still in the client's list."""
        return self._ghosts.keys()

    @property
    def unsettled(self) -> bool:
        """`advance` has something to do even when the snapshot is the told one."""
        return bool(self._ghosts or self._beliefs or self._claims)

    def unsettled_uids(self) -> Iterable[int]:
        """UIDs whose flags, as the client knows them, are not those of the told snapshot."""
        return [*self._ghosts, *self._beliefs]

    @property
    def plain(self) -> bool:
        """The client's list is the told snapshot's."""
        return not self._ghosts and not self._hidden

    @property
    def recent(self) -> int:
        """Number of messages with \\Recent."""
        return sum(bisect_left(self.uids, high) - bisect_left(self.uids, low) for low, high in self._recent)

    def is_recent(self, uid: int) -> bool:
        """Has \\Recent in this session."""
        return any(low <= uid < high for low, high in self._recent)

    def seq_of(self, uid: int) -> int | None:
        """Sequence number from 1, None when it is not in the list."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else None

    def row_of(self, uid: int) -> tuple[int, int] | None:
        """(flags, modseq) as the client knows them."""
        row = self._ghosts.get(uid) or self._beliefs.get(uid)
        if row is None and uid not in self._hidden:
            found = self.told.find(uid)
            if found is not None:
                row = found[0].flags[found[1]], found[0].modseqs[found[1]]
        return row

    def resolve(self, runs: Sequence[tuple[int | None, int | None]], by_uid: bool) -> list[int]:
        """UIDs named by a sequence set, ascending, each once; see View.resolve."""
        if not by_uid:
            total = len(self.uids)
            places = UidSet(self._run(low, high, total) for low, high in runs)
            if places and (places.runs[0][0] < 1 or places.runs[-1][1] > total):
                raise ValueError("a sequence number is outside the mailbox")
            out: list[int] = []
            for low, high in places.runs:
                out.extend(self.uids[low - 1 : high])
            return out
        last = self.uids[-1] if self.uids else 0
        return UidSet(self._run(low, high, last) for low, high in runs).select(self.uids)

    @staticmethod
    def _run(low: int | None, high: int | None, star: int) -> tuple[int, int]:
        """Ends in either order; `*` is the largest number in use (RFC 3501 9, seq-range)."""
        one, two = star if low is None else low, star if high is None else high
        return (one, two) if one <= two else (two, one)

    def first_unseen(self) -> int | None:
        """Sequence number of the first message without \\Seen."""
        if self.plain and not self._beliefs:
            start = 0
            for chunk in self.told.chunks:
                for place, flags in enumerate(chunk.flags, start + 1):
                    if not flags & SEEN:
                        return place
                start += len(chunk)
            return None
        for seq, _, flags, _ in self.rows(self.uids):
            if not flags & SEEN:
                return seq
        return None

    def rows(self, uids: Sequence[int]) -> list[Row]:
        """Of those of these ascending UIDs that are in the list."""
        out: list[Row] = []
        mine, chunks = self.uids, self.told.chunks
        start, end = 0, len(uids)
        place = self._chunk_of(uids[0]) if end else 0
        while start < end and place < len(chunks):
            chunk = chunks[place]
            place += 1
            have = chunk.uids
            stop = end if uids[end - 1] <= have[-1] else bisect_right(uids, have[-1], start)
            if stop == start:
                continue
            low, high = bisect_left(have, uids[start]), bisect_right(have, uids[stop - 1])
            seq = bisect_left(mine, uids[start])
            wanted = uids[start:stop]
            if high - low == stop - start and self._same(have[low:high], wanted, mine, seq):
                numbers = range(seq + 1, seq + 1 + stop - start)
                out.extend(zip(numbers, wanted, chunk.flags[low:high], chunk.modseqs[low:high], strict=True))
            else:
                for uid in wanted:
                    at = bisect_left(have, uid, low, high)
                    if at < high and have[at] == uid and uid not in self._hidden:
                        seq = bisect_left(mine, uid, seq)
                        out.append((seq + 1, uid, chunk.flags[at], chunk.modseqs[at]))
            start = stop
        if self._beliefs:
            out = [
                (seq, uid, *self._beliefs[uid]) if uid in self._beliefs else (seq, uid, flags, modseq)
                for seq, uid, flags, modseq in out
            ]
        if self._ghosts:
            wanted_ghosts = self._ghosts.keys() & set(uids)
            if wanted_ghosts:
                out.extend((bisect_left(mine, uid) + 1, uid, *self._ghosts[uid]) for uid in wanted_ghosts)
                out.sort()
        return out

    def columns(self) -> tuple["array[int]", "array[int]", "array[int]"]:
        """UIDs, flags and modseqs of the whole list."""
        if self.plain and not self._beliefs:
            flags, modseqs = array("Q"), array("Q")
            for chunk in self.told.chunks:
                flags += chunk.flags
                modseqs += chunk.modseqs
        else:
            rows = self.rows(self.uids)
            flags, modseqs = array("Q", [row[2] for row in rows]), array("Q", [row[3] for row in rows])
        return self.uids, flags, modseqs

    def _chunk_of(self, uid: int) -> int:
        """Where in the told snapshot's chunks this UID would be."""
        return bisect_left(self.told.chunks, uid, key=lambda chunk: chunk.uids[-1])

    @staticmethod
    def _same(have: "array[int]", wanted: Sequence[int], mine: "array[int]", seq: int) -> bool:
        """The wanted UIDs are the chunk's, and neighbours in the client's list too."""
        if have != mine[seq : seq + len(have)]:
            return False
        return have == wanted if isinstance(wanted, array) else have.tolist() == list(wanted)

    # ── news ──

    def believe(self, uid: int, flags: int, modseq: int) -> None:
        """The client takes these for the message's flags now."""
        if uid in self._ghosts:
            self._ghosts[uid] = (flags, modseq)
        elif uid not in self._hidden:
            self._beliefs[uid] = (flags, modseq)

    def claimed(self, low: int, high: int) -> None:
        """This session alone has \\Recent on these UIDs (any thread); told by the next `advance`."""
        if low < high:
            self._claims.append((low, high))

    def advance(self, new: "Snapshot", expunges: bool, qresync: bool = False) -> list[Update]:
        """Make `new` the told snapshot; see the module's rules. Without `expunges` nothing leaves the list."""
        updates: list[Update] = []
        if new.head.keywords != self.keywords:
            self.keywords = new.head.keywords
            updates.append(KeywordsChanged(self.keywords))
        fresh = self._take(new)
        renewed = self._take_claims()
        self.told = new
        updates += self._flag_updates(new, renewed)
        before = self.uids
        if self.plain:
            self.uids = new.uids
        elif fresh:
            self.uids = before + array("I", fresh)
        if fresh:
            self._last = fresh[-1]
        if expunges and self._ghosts:
            updates += self._expunge(before, fresh, qresync)
        if fresh or renewed is not None:
            updates.append(Exists(len(self.uids), self.recent))
        return updates

    def _take(self, new: "Snapshot") -> list[int]:
        """Turn the difference to `new` into ghosts and beliefs; UIDs that are new to the client."""
        delta = difference(self.told, new)
        for uid, row in delta.vanished.items():
            if uid in self._hidden:
                self._hidden.discard(uid)
            else:
                self._ghosts[uid] = self._beliefs.pop(uid, row)
        for uid, row in delta.changed.items():
            if uid not in self._hidden:
                self._beliefs.setdefault(uid, row)
        fresh = []
        for uid in delta.appeared:
            if uid in self._ghosts:
                # It was never told as gone: an index that was rebuilt meanwhile finds it again.
                self._beliefs[uid] = self._ghosts.pop(uid)
            elif uid > self._last:
                fresh.append(uid)
            else:
                self._hidden.add(uid)
        return fresh

    def _take_claims(self) -> list[int] | None:
        """Messages that were told before and are \\Recent now; None when there was no claim."""
        if not self._claims:
            return None
        renewed: list[int] = []
        while self._claims:
            low, high = self._claims.pop(0)
            renewed += self.uids[bisect_left(self.uids, low) : bisect_left(self.uids, high)]
            if self._recent and self._recent[-1][1] == low:
                low = self._recent.pop()[0]
            self._recent.append((low, high))
        return renewed

    def _flag_updates(self, new: "Snapshot", renewed: Sequence[int] | None) -> list[Update]:
        """Compare what the client believes with what is so, in the order of its list, a bounded number."""
        if not self._beliefs and not renewed:
            return []
        flags_of: Callable[[int], int | None] = new.flags_of
        if len(self._beliefs) > FLAG_UPDATES:
            every: dict[int, int | None] = {}
            for chunk in new.chunks:
                every.update(zip(chunk.uids, chunk.flags, strict=True))
            flags_of = every.get
        differing: list[int] = []
        settled: list[int] = []
        for uid, (flags, _) in self._beliefs.items():
            settled.append(uid)
            if flags_of(uid) != flags:
                differing.append(uid)
                if len(differing) == FLAG_UPDATES:
                    break
        for uid in settled:
            del self._beliefs[uid]
        if renewed:
            differing = [*{*differing, *renewed} - self._beliefs.keys() - self._ghosts.keys()]
        updates: list[Update] = []
        for uid in sorted(differing):
            found = new.find(uid)
            if found is not None:
                flags, modseq = found[0].flags[found[1]], found[0].modseqs[found[1]]
                seq = bisect_left(self.uids, uid) + 1
                updates.append(FlagsChanged(seq, uid, flags, modseq, self.is_recent(uid)))
        return updates

    def _expunge(self, before: "array[int]", fresh: Sequence[int], qresync: bool) -> list[Update]:
        """Tell the ghosts, the highest first: the numbers of the others then stay right."""
        gone = sorted(self._ghosts, reverse=True)
        self._ghosts.clear()
        if not self._hidden:
            self.uids = self.told.uids
        else:
            lost = set(gone)
            self.uids = array("I", (uid for uid in self.uids if uid not in lost))
        if qresync:
            return [Vanished(UidSet.of(gone))]
        return [Expunge(bisect_left(before, uid) + 1, uid) for uid in gone]

    def adopt_recent(self, low: int) -> None:
        """A session that claims nothing sees as \\Recent what nobody claimed when it began, and what comes later."""
        self._recent = [(low, MAX_UID + 1)]

    # ── resting ──

    def drop(self) -> None:
        """Let go of the told snapshot; only `keywords`, `is_recent`, `claimed` and `unsettled` work until `restore`."""
        del self.told, self.uids

    def restore(self, snapshot: "Snapshot") -> None:
        """Take an equal snapshot for the one that was dropped."""
        self.told, self.uids = snapshot, snapshot.uids


