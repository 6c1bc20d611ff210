"""Snapshots: of one moment, immutable, sharing by identity whatever did not change."""

import gc
import weakref

import pytest

from culverhouse.index.records import Added, Merge
from culverhouse.index.snapshot import _equal_back, _equal_front
from culverhouse.model.flags import SEEN
from culverhouse.model.store import Fingerprint


@pytest.fixture
def full(bench):
    bench.create()
    bench.add(*range(1, 1001))
    return bench


def test_nothing_changed_gives_the_same_snapshot(full):
    first = full.box.snapshot()
    assert full.box.snapshot(first) is first
    assert full.box.snapshot() is first


def test_a_flag_change_replaces_one_chunk_and_no_uids(full):
    first = full.box.snapshot()
    uids = first.uids
    full.flag(300, SEEN)
    then = full.box.snapshot(first)
    same = [one is two for one, two in zip(first.chunks, then.chunks, strict=True)]
    assert same == [True, False, True, True]
    assert then.uids is uids
    assert then.chunks[1].uids is first.chunks[1].uids
    assert (first.flags_of(300), then.flags_of(300)) == (0, SEEN)
    assert then.modseq_of(300) == then.head.highestmodseq > first.head.highestmodseq


def test_sharing_works_across_processes_worth_of_changes(full):
    """A snapshot that lags many merges behind still shares what is equal."""
    first = full.box.snapshot()
    other = full.forget()
    other.merge(Merge(added=[Added(uid, b"%d" % uid, 0) for uid in range(1001, 1020)]))
    other.merge(Merge(vanished=[1, 2, 3]))
    then = full.box.snapshot(first)
    assert [one is two for one, two in zip(first.chunks, then.chunks, strict=True)] == [False, True, True, False]
    assert list(then.uids) == list(range(4, 1020))
    assert list(first.uids) == list(range(1, 1001))


def test_chunks_that_come_and_go_in_the_middle(full):
    first = full.box.snapshot()
    full.vanish(*range(257, 513))
    then = full.box.snapshot(first)
    assert [chunk.uids[0] for chunk in then.chunks] == [1, 513, 769]
    assert then.chunks == (first.chunks[0], first.chunks[2], first.chunks[3])
    assert list(then.uids) == [*range(1, 257), *range(513, 1001)]


def test_a_new_head_alone_shares_everything(full):
    first = full.box.snapshot()
    full.box.merge(Merge(fingerprint=Fingerprint(b"x", True)))
    then = full.box.snapshot(first)
    assert then is not first
    assert then.chunks is first.chunks
    assert then.uids is first.uids
    assert then.head.fingerprint == b"x"


def test_a_snapshot_of_the_mailbox_before_it_was_made_anew_is_no_hindrance(full):
    first = full.box.snapshot()
    full.create()
    full.add(1, 2)
    then = full.box.snapshot(first)
    assert list(then.uids) == [1, 2]
    assert list(then.rows()) == list(full.forget().snapshot().rows())


def test_finding(full):
    full.vanish(1, 500, 1000)
    snapshot = full.box.snapshot()
    assert [snapshot.find(uid) for uid in (0, 1, 500, 1000, 5000)] == [None] * 5
    chunk, position = snapshot.find(501)
    assert chunk.uids[position] == 501
    assert snapshot.flags_of(501) == 0
    assert snapshot.flags_of(500) is None
    assert snapshot.modseq_of(500) is None
    full.vanish(*snapshot.uids)
    assert full.box.snapshot().find(3) is None


def test_changed_since_agrees_with_the_mailbox(full):
    start = full.box.head().highestmodseq
    for uid in (5, 900, 400):
        full.flag(uid, SEEN)
    snapshot = full.box.snapshot()
    for modseq in (0, start - 1, start, start + 1, start + 2, start + 3):
        expected = [row for row in snapshot.rows() if row[2] > modseq]
        assert snapshot.changed_since(modseq) == full.box.changed_since(modseq) == expected
    assert [uid for uid, _, _ in snapshot.changed_since(start)] == [5, 400, 900]


def test_the_index_keeps_no_snapshot_alive(full):
    held = weakref.ref(full.box.snapshot())
    gc.collect()
    assert held() is None


@pytest.mark.parametrize(
    ("one", "two", "front", "back"),
    [
        ("", "", 0, 0),
        ("abc", "abc", 3, 3),
        ("abc", "axc", 1, 1),
        ("ab", "abc", 2, 0),
        ("bc", "abc", 0, 2),
        ("a", "b", 0, 0),
    ],
)
def test_runs_of_equal_digests(one, two, front, back):
    left, right = ("".join(letter * 8 for letter in text).encode() for text in (one, two))
    assert _equal_front(left, right) == _equal_front(right, left) == front
    assert _equal_back(left, right) == _equal_back(right, left) == back
