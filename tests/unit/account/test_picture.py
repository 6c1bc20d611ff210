"""A session's picture of a mailbox: sequence numbers, flags told once, ghosts, \\Recent."""

import pytest

from culverhouse.account.picture import FLAG_UPDATES, Picture
from culverhouse.account.resting import Resting
from culverhouse.account.updates import Exists, Expunge, FlagsChanged, KeywordsChanged, Vanished
from culverhouse.model.flags import ANSWERED, DELETED, FLAGGED, SEEN, keyword_bit
from culverhouse.model.uids import UidSet

from .snapshots import snapshot

START = {1: 0, 2: SEEN, 5: FLAGGED, 9: 0}


def picture(rows: dict[int, int] | None = None, **options: object) -> Picture:
    return Picture(snapshot(START if rows is None else rows, **options))  # type: ignore[arg-type]  # test options


CASES = {
    "nothing": (START, True, []),
    "flags changed": ({**START, 5: SEEN}, True, [FlagsChanged(3, 5, SEEN, 2)]),
    "flags changed, no expunges": ({**START, 5: SEEN}, False, [FlagsChanged(3, 5, SEEN, 2)]),
    "new message": ({**START, 12: 0}, False, [Exists(5, 0)]),
    "expunge waits": ({1: 0, 5: FLAGGED, 9: 0}, False, []),
    "expunge told": ({1: 0, 5: FLAGGED, 9: 0}, True, [Expunge(2, 2)]),
    "several expunges, the last first": ({2: SEEN, 9: 0}, True, [Expunge(3, 5), Expunge(1, 1)]),
    "expunge and new": ({1: 0, 2: SEEN, 5: FLAGGED, 10: 0}, True, [Expunge(4, 9), Exists(4, 0)]),
    "expunge waits beside new": ({1: 0, 2: SEEN, 5: FLAGGED, 10: 0}, False, [Exists(5, 0)]),
    "flags use old numbers, before expunges": (
        {5: SEEN, 9: SEEN},
        True,
        [FlagsChanged(3, 5, SEEN, 2), FlagsChanged(4, 9, SEEN, 2), Expunge(2, 2), Expunge(1, 1)],
    ),
    "all gone": ({}, True, [Expunge(4, 9), Expunge(3, 5), Expunge(2, 2), Expunge(1, 1)]),
    "a lower UID is hidden": ({**START, 3: 0}, True, []),
}


@pytest.mark.parametrize(("rows", "expunges", "updates"), CASES.values(), ids=CASES.keys())
def test_one_step(rows: dict[int, int], expunges: bool, updates: list[object]) -> None:
    subject = picture()
    assert subject.advance(snapshot(rows, modseq=2), expunges) == updates
    assert subject.advance(snapshot(rows, modseq=2), expunges) == []


def test_a_ghost_keeps_its_number_and_flags_until_told() -> None:
    subject = picture()
    subject.advance(snapshot({1: 0, 5: FLAGGED, 9: 0}, modseq=2), expunges=False)
    assert [subject.seq_of(uid) for uid in (1, 2, 5, 9)] == [1, 2, 3, 4]
    assert subject.row_of(2) == (SEEN, 1)
    assert list(subject.ghosts) == [2]
    assert subject.rows([1, 2, 5]) == [(1, 1, 0, 2), (2, 2, SEEN, 1), (3, 5, FLAGGED, 2)]
    assert subject.advance(snapshot({1: 0, 5: FLAGGED, 9: 0}, modseq=2), expunges=True) == [Expunge(2, 2)]
    assert subject.seq_of(2) is None
    assert subject.row_of(2) is None
    assert subject.seq_of(5) == 2


def test_a_ghost_changes_for_this_session_only() -> None:
    subject = picture()
    gone = snapshot({1: 0, 5: FLAGGED, 9: 0}, modseq=2)
    subject.advance(gone, expunges=False)
    subject.believe(2, ANSWERED, 1)
    assert subject.row_of(2) == (ANSWERED, 1)
    assert subject.advance(gone, expunges=False) == []


def test_a_ghost_that_comes_back_untold_was_never_gone() -> None:
    subject = picture()
    subject.advance(snapshot({1: 0, 5: FLAGGED, 9: 0}, modseq=2), expunges=False)
    assert subject.advance(snapshot({**START, 2: DELETED}, modseq=3), expunges=True) == [FlagsChanged(2, 2, DELETED, 3)]
    assert list(subject.uids) == [1, 2, 5, 9]


def test_own_change_is_not_echoed_and_a_foreign_one_is_told_once() -> None:
    subject = picture()
    subject.believe(1, SEEN, 2)
    assert subject.advance(snapshot({**START, 1: SEEN}, modseq=2), expunges=True) == []
    other = snapshot({**START, 1: SEEN | FLAGGED}, modseq=3)
    assert subject.advance(other, expunges=True) == [FlagsChanged(1, 1, SEEN | FLAGGED, 3)]
    assert subject.advance(other, expunges=True) == []


def test_a_foreign_change_beside_an_own_one_is_told() -> None:
    subject = picture()
    subject.believe(1, SEEN, 2)
    both = snapshot({**START, 1: SEEN | ANSWERED, 9: SEEN}, modseq=3)
    assert subject.advance(both, expunges=True) == [FlagsChanged(1, 1, SEEN | ANSWERED, 3), FlagsChanged(4, 9, SEEN, 3)]


def test_a_wrong_belief_is_corrected_without_a_new_snapshot() -> None:
    subject = picture()
    subject.believe(5, SEEN, 1)
    assert subject.unsettled
    assert subject.advance(subject.told, expunges=False) == [FlagsChanged(3, 5, FLAGGED, 1)]
    assert not subject.unsettled


def test_a_change_that_was_undone_is_not_told() -> None:
    subject = picture()
    subject.believe(1, SEEN, 2)
    assert subject.advance(snapshot({**START, 1: SEEN}, modseq=3), expunges=True) == []


def test_an_index_built_again_shows_no_difference() -> None:
    subject = picture(size=3)
    again = snapshot(START, modseq=900, size=2)
    assert subject.advance(again, expunges=True) == []
    assert subject.told.head.highestmodseq == 900


def test_keywords_come_before_flags_that_use_them() -> None:
    subject = picture()
    bit = keyword_bit(0)
    updates = subject.advance(snapshot({**START, 1: bit}, modseq=2, keywords=("$Junk",)), expunges=True)
    assert updates == [KeywordsChanged(("$Junk",)), FlagsChanged(1, 1, bit, 2)]


def test_qresync_says_vanished() -> None:
    subject = picture()
    updates = subject.advance(snapshot({2: SEEN}, modseq=2), expunges=True, qresync=True)
    assert updates == [Vanished(UidSet([(1, 1), (5, 5), (9, 9)]))]


def test_many_changes_come_in_bounded_answers() -> None:
    total = 2 * FLAG_UPDATES + 7
    before = {uid: 0 for uid in range(1, total + 1)}
    subject = Picture(snapshot(before, size=256))
    after = snapshot({uid: SEEN for uid in before}, modseq=2, size=256)
    told: list[int] = []
    for expected in (FLAG_UPDATES, FLAG_UPDATES, 7, 0):
        updates = subject.advance(after, expunges=False)
        assert len(updates) == expected
        told += [update.seq for update in updates if isinstance(update, FlagsChanged)]
    assert sorted(told) == list(range(1, total + 1))


def test_recent_of_a_claim_at_select() -> None:
    subject = Picture(snapshot(START), (5, 10))
    assert subject.recent == 2
    assert [subject.is_recent(uid) for uid in (1, 2, 5, 9)] == [False, False, True, True]


def test_recent_of_a_claim_before_the_messages_are_told() -> None:
    subject = picture()
    subject.claimed(10, 12)
    assert subject.advance(snapshot({**START, 10: 0, 11: 0}, modseq=2), expunges=False) == [Exists(6, 2)]
    assert subject.recent == 2


def test_recent_of_a_claim_after_the_messages_were_told() -> None:
    subject = picture()
    now = snapshot({**START, 10: SEEN}, modseq=2)
    assert subject.advance(now, expunges=False) == [Exists(5, 0)]
    subject.claimed(10, 11)
    assert subject.advance(now, expunges=False) == [FlagsChanged(5, 10, SEEN, 2, True), Exists(5, 1)]


def test_recent_shrinks_with_an_expunge() -> None:
    subject = Picture(snapshot(START), (5, 10))
    subject.advance(snapshot({1: 0, 2: SEEN, 5: FLAGGED}, modseq=2), expunges=True)
    assert subject.recent == 1


def test_examine_takes_recent_from_nobody() -> None:
    subject = picture()
    subject.adopt_recent(9)
    assert subject.recent == 1
    assert subject.advance(snapshot({**START, 12: 0}, modseq=2, first_recent=13), expunges=False) == [Exists(5, 2)]


SETS = [
    ([(1, 1)], False, [1]),
    ([(2, None)], False, [2, 5, 9]),
    ([(None, None)], False, [9]),
    ([(None, 3), (1, 1)], False, [1, 5, 9]),
    ([(4, 2)], False, [2, 5, 9]),
    ([(1, 3), (2, 2), (3, 4)], False, [1, 2, 5, 9]),
    ([(1, 2), (6, 8)], True, [1, 2]),
    ([(100, None)], True, [9]),
    ([(3, 4)], True, []),
    ([(None, 4)], True, [5, 9]),
]


@pytest.mark.parametrize(("runs", "by_uid", "uids"), SETS)
def test_sets_of_messages(runs: list[tuple[int | None, int | None]], by_uid: bool, uids: list[int]) -> None:
    assert picture().resolve(runs, by_uid) == uids


@pytest.mark.parametrize("runs", [[(5, 5)], [(1, 5)], [(0, 1)]])
def test_a_number_outside_the_mailbox(runs: list[tuple[int | None, int | None]]) -> None:
    with pytest.raises(ValueError, match="outside"):
        picture().resolve(runs, by_uid=False)


def test_an_empty_mailbox_has_no_numbers() -> None:
    subject = picture({})
    assert subject.resolve([(1, None)], by_uid=True) == []
    with pytest.raises(ValueError, match="outside"):
        subject.resolve([(1, None)], by_uid=False)


def test_first_unseen() -> None:
    assert picture().first_unseen() == 1
    assert picture({1: SEEN, 2: SEEN, 3: SEEN, 4: SEEN, 7: 0}).first_unseen() == 5
    assert picture({1: SEEN}).first_unseen() is None
    believing = picture({1: 0, 2: 0})
    believing.believe(1, SEEN, 2)
    assert believing.first_unseen() == 2


def test_lists_of_uids_are_shared() -> None:
    base = snapshot(START)
    one, two = Picture(base), Picture(base)
    assert one.uids is two.uids is base.uids
    later = snapshot({**START, 12: 0}, modseq=2)
    one.advance(later, expunges=False)
    assert one.uids is later.uids
    assert list(two.uids) == sorted(START)


@pytest.mark.parametrize("size", [1, 3, 256])
def test_resting_gives_the_same_snapshot_back(size: int) -> None:
    rows = {uid: uid % 32 for uid in range(3, 700, 2)}
    subject = snapshot(rows, modseq=5, size=size)
    rested = Resting(subject)
    woken = rested.wake(None)
    assert woken.head is subject.head
    assert list(woken.rows()) == list(subject.rows())
    assert woken.uids == subject.uids
    assert [woken.flags_of(uid) for uid in rows] == list(rows.values())
    newest = snapshot(rows, modseq=5, size=size)
    assert rested.wake(newest) is newest
    assert rested.wake(snapshot({1: 0}, modseq=6)) is not newest
