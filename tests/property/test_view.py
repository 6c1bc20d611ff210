"""A picture follows any history of a mailbox as a naive list of messages does, however seldom it looks."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from culverhouse.account.picture import Picture
from culverhouse.account.updates import Exists, Expunge, FlagsChanged, Vanished

from ..unit.account.snapshots import snapshot

FLAGS = st.integers(0, 31)
Step = tuple[str, Any]
CHANGES: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("add"), FLAGS),
        st.tuples(st.just("flag"), st.tuples(st.integers(0, 40), FLAGS)),
        st.tuples(st.just("own"), st.tuples(st.integers(0, 40), FLAGS)),
        st.tuples(st.just("remove"), st.integers(0, 40)),
        st.tuples(st.just("look"), st.booleans()),
        st.tuples(st.just("rebuild"), st.integers(1, 5)),
    ),
    max_size=60,
)


class Naive:
    """A client that keeps a list, and changes it only by what it is told."""

    def __init__(self, rows: dict[int, int]) -> None:
        self.uids = sorted(rows)
        self.flags = dict(rows)

    def told(self, updates: list[object], now: dict[int, int], expunges: bool) -> None:
        for update in updates:
            if isinstance(update, FlagsChanged):
                assert self.uids[update.seq - 1] == update.uid
                assert self.flags[update.uid] != update.flags, "told although it was known"
                self.flags[update.uid] = update.flags
            elif isinstance(update, Expunge):
                assert expunges
                assert self.uids.pop(update.seq - 1) == update.uid
                del self.flags[update.uid]
            elif isinstance(update, Vanished):
                assert expunges
                self.uids = [uid for uid in self.uids if uid not in update.uids]
                self.flags = {uid: self.flags[uid] for uid in self.uids}
            elif isinstance(update, Exists):
                fresh = sorted(uid for uid in now if not self.uids or uid > self.uids[-1])
                fresh = [uid for uid in fresh if uid not in self.flags]
                self.uids += fresh
                self.flags.update({uid: now[uid] for uid in fresh})
                assert len(self.uids) == update.count


@settings(max_examples=300, deadline=None)
@given(st.lists(FLAGS, max_size=12), CHANGES, st.booleans(), st.integers(1, 4))
def test_view_follows_any_history(
    start: list[int], changes: list[Step], qresync: bool, size: int
) -> None:
    now = dict(enumerate(start, 1))
    latest, modseq = snapshot(now, size=size), 1
    subject, client = Picture(latest), Naive(now)
    uidnext = len(start) + 1
    for kind, value in [*changes, ("look", True)]:
        modseq += 1
        present = sorted(now)
        if kind == "add":
            now[uidnext] = value
            uidnext += 1
        elif kind in ("flag", "own") and present:
            place, flags = value
            uid = present[place % len(present)]
            now[uid] = flags
            if kind == "own" and uid in client.flags:
                subject.believe(uid, flags, modseq)
                client.flags[uid] = flags
        elif kind == "remove" and present:
            del now[present[value % len(present)]]
        elif kind == "rebuild":
            size = value
            latest = snapshot(now, modseq=modseq, size=size)
        elif kind == "look":
            latest = snapshot(now, modseq=modseq, size=size, previous=latest, uidnext=uidnext)
            updates = subject.advance(latest, bool(value), qresync)
            client.told(list(updates), now, bool(value))
            check(subject, client, now)
    assert client.flags == now


def check(subject: Picture, client: Naive, now: dict[int, int]) -> None:
    """Every question of the picture has the client's answer."""
    uids = client.uids
    assert list(subject.uids) == uids
    assert set(subject.ghosts) == set(uids) - set(now)
    assert [(seq, uid, flags) for seq, uid, flags, _ in subject.rows(subject.uids)] == [
        (seq, uid, client.flags[uid]) for seq, uid in enumerate(uids, 1)
    ]
    assert [row[1] for row in subject.rows(uids[::2])] == uids[::2]
    assert [subject.seq_of(uid) for uid in uids] == list(range(1, len(uids) + 1))
    assert [row and row[0] for row in map(subject.row_of, uids)] == [client.flags[uid] for uid in uids]
    columns = subject.columns()
    assert (list(columns[0]), list(columns[1])) == (uids, [client.flags[uid] for uid in uids])
    unseen = [seq for seq, uid in enumerate(uids, 1) if not client.flags[uid] & 1]
    assert subject.first_unseen() == (unseen[0] if unseen else None)
