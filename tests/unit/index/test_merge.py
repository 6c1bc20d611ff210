"""Merging: by UID, twice without a trace, counters that always equal a count, one modseq per visible change."""

import pytest

from culverhouse.index import listing, schema
from culverhouse.index.errors import CeilingNeeded, NotIndexed
from culverhouse.index.records import Added, Changed, Merge
from culverhouse.model.flags import DELETED, FLAGGED, SEEN
from culverhouse.model.store import Fingerprint, FolderHeader


def rows(bench):
    return list(bench.forget().snapshot().rows())


def test_nothing_is_indexed_before_create(bench):
    assert bench.box.head() is None
    assert bench.box.snapshot() is None
    assert bench.box.locators() == {}
    assert bench.box.sizes([1, 2]) == [None, None]
    with pytest.raises(NotIndexed):
        bench.box.merge(Merge(vanished=[1]))


def test_a_new_mailbox_is_empty_and_begins_above_the_ceiling(bench):
    bench.box.create(FolderHeader(uidvalidity=9, uidnext=5, guid=bench.guid, pop3_format="%u"), 1234, ("one", "", "ü"))
    head = bench.forget().head()
    assert (head.uidvalidity, head.uidnext, head.messages, head.highestmodseq) == (9, 5, 0, 1234)
    assert (head.keywords, head.pop3_format, head.fingerprint) == (("one", "", "ü"), "%u", None)
    assert bench.box.snapshot().chunks == ()
    assert list(bench.box.snapshot().uids) == []


def test_added_messages_are_counted(bench):
    bench.create()
    merged = bench.box.merge(Merge(ceiling=bench.high, uidnext=20, added=[
        Added(3, b"c", SEEN, size=30, vsize=33), Added(1, b"a", 0, size=10, vsize=11), Added(2, b"b", DELETED),
    ]))  # fmt: skip
    assert merged.added == [1, 2, 3]
    assert merged.modseq == bench.clock.now
    head = bench.forget().head()
    assert (head.messages, head.unseen, head.deleted, head.size, head.size_unknown, head.uidnext) == (
        3,
        2,
        1,
        44,
        1,
        20,
    )
    assert rows(bench) == [(1, 0, merged.modseq), (2, DELETED, merged.modseq), (3, SEEN, merged.modseq)]
    assert bench.box.locators() == {b"a": 1, b"b": 2, b"c": 3}


def test_uidnext_follows_the_highest_uid_and_never_falls(bench):
    bench.create()
    bench.add(41)
    assert bench.box.head().uidnext == 42
    bench.box.merge(Merge(uidnext=10))
    assert bench.box.head().uidnext == 42


def test_the_highest_uid_of_all_has_a_place(bench):
    bench.create()
    bench.add(0xFFFFFFFF, recent=True)
    assert bench.box.head().uidnext == 0xFFFFFFFF
    assert bench.box.sizes([0xFFFFFFFF]) == [100]
    assert bench.box.claim_recent() == (1, 0x100000000)
    bench.vanish(0xFFFFFFFF)
    assert bench.box.head().messages == 0


def test_merging_the_same_again_changes_nothing(bench):
    bench.create()
    changes = Merge(
        ceiling=bench.high, added=[Added(1, b"a", SEEN, size=5, vsize=6, internaldate=7), Added(2, b"b", 0)]
    )
    bench.box.merge(changes)
    before = bench.box.head()
    bench.clock.now += 1_000_000
    again = bench.box.merge(changes)
    assert (again.modseq, again.added, again.changed) == (None, [], [])
    assert bench.forget().head() == before


def test_adding_a_known_message_updates_it(bench):
    bench.create()
    bench.add(1, 2, size=None)
    bench.clock.now += 5
    merged = bench.box.merge(Merge(added=[Added(2, b"other", FLAGGED, size=8, vsize=9, internaldate=3)]))
    assert merged.added == []
    assert merged.changed == [(2, FLAGGED, bench.clock.now)]
    assert bench.box.locators_of([1, 2, 3]) == {1: bench.locator(1), 2: b"other"}
    assert bench.box.sizes([1, 2]) == [None, 9]
    assert bench.box.dates([1, 2]) == [None, 3]
    assert (bench.box.head().size, bench.box.head().size_unknown) == (9, 1)


def test_one_merge_gives_one_modseq_to_all_it_changes(bench):
    bench.create()
    bench.add(*range(1, 10))
    bench.clock.now += 1
    merged = bench.box.merge(Merge(
        changed=[Changed(2, b"x", SEEN), Changed(3, b"y", SEEN)], vanished=[5], added=[Added(10, b"z", 0)]
    ))  # fmt: skip
    new = bench.clock.now
    assert merged.modseq == new == merged.head.highestmodseq
    assert bench.box.changed_since(new - 1) == [(2, SEEN, new), (3, SEEN, new), (10, 0, new)]
    assert [uid for uid, _, _ in rows(bench)] == [1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_a_locator_alone_gives_no_modseq(bench):
    bench.create()
    bench.add(1, 2)
    before = bench.box.head().highestmodseq
    merged = bench.box.merge(Merge(changed=[Changed(1, b"new name", 0)]))
    assert (merged.modseq, merged.changed) == (None, [])
    assert bench.box.head().highestmodseq == before
    assert bench.box.locators_of([1]) == {1: b"new name"}


@pytest.mark.parametrize(
    "expected", [b"wrong", b"1.host", b"", b"1700000002.M1P1.host:2,", b"0001.M1P1.host:2,", b"1700000001.M1P1.host:2"]
)
def test_a_change_of_another_locator_is_skipped(bench, expected):
    bench.create()
    bench.add(1, 2, 3)
    merged = bench.box.merge(Merge(changed=[Changed(1, b"x", SEEN, expected_locator=expected)]))
    assert (merged.skipped, merged.changed, merged.modseq) == ([1], [], None)
    assert bench.box.locators() == {bench.locator(uid): uid for uid in (1, 2, 3)}


@pytest.mark.parametrize("uid", [1, 2, 3])
def test_a_change_of_the_expected_locator_is_made(bench, uid):
    bench.create()
    bench.add(1, 2, 3)
    bench.box.merge(Merge(changed=[Changed(uid, b"n" * uid, SEEN, expected_locator=bench.locator(uid))]))
    assert bench.box.locators_of([uid]) == {uid: b"n" * uid}
    assert set(bench.box.locators().values()) == {1, 2, 3}
    assert bench.box.snapshot().flags_of(uid) == SEEN


def test_changes_and_removals_of_what_is_not_there(bench):
    bench.create()
    bench.add(1, 3)
    merged = bench.box.merge(Merge(changed=[Changed(2, b"x", SEEN), Changed(9, b"x", SEEN)], vanished=[2, 8]))
    assert (merged.skipped, merged.vanished, merged.modseq) == ([2, 9], [], None)


def test_what_vanishes_is_not_changed_in_the_same_merge(bench):
    bench.create()
    bench.add(1, 2)
    merged = bench.box.merge(Merge(changed=[Changed(1, b"x", SEEN)], vanished=[1]))
    assert (merged.changed, merged.vanished, merged.skipped) == ([], [1], [1])
    assert bench.box.head().messages == 1


def test_counters_follow_flags_sizes_and_removals(bench):
    bench.create()
    bench.add(1, 2, 3, 4)
    bench.flag(1, SEEN | DELETED)
    bench.flag(2, DELETED)
    bench.box.set_sizes({2: (7, 7), 9: (1, 1)})
    head = bench.box.head()
    assert (head.messages, head.unseen, head.deleted, head.size) == (4, 3, 2, 307)
    bench.vanish(2, 1)
    head = bench.forget().head()
    assert (head.messages, head.unseen, head.deleted, head.size, head.size_unknown) == (2, 2, 0, 200, 0)


def test_chunks_are_cut_at_256_and_appending_leaves_full_ones_alone(bench):
    bench.create()
    bench.add(*range(1, 601))
    first = bench.box.snapshot()
    assert [len(chunk) for chunk in first.chunks] == [256, 256, 88]
    bench.add(*range(601, 769))
    bench.add(769)
    then = bench.box.snapshot(first)
    assert [len(chunk) for chunk in then.chunks] == [256, 256, 256, 1]
    assert then.chunks[0] is first.chunks[0]
    assert then.chunks[1] is first.chunks[1]


def test_a_late_message_finds_its_place(bench):
    bench.create()
    bench.add(*range(1000, 2000, 2))
    bench.add(1501, 999, 1, 3000)
    uids = sorted([*range(1000, 2000, 2), 1501, 999, 1, 3000])
    assert list(bench.forget().snapshot().uids) == uids
    assert bench.box.sizes(uids) == [100] * len(uids)
    assert bench.box.locators_of(uids) == {uid: bench.locator(uid) for uid in uids}
    assert all(len(chunk) <= 256 for chunk in bench.box.snapshot().chunks)


def test_messages_below_and_above_the_only_one(bench):
    bench.create()
    bench.add(2)
    bench.add(1, 3)
    assert list(bench.forget().snapshot().uids) == [1, 2, 3]
    assert bench.box.locators() == {bench.locator(uid): uid for uid in (1, 2, 3)}


def test_sparse_chunks_are_joined_and_empty_ones_go(bench):
    bench.create()
    bench.add(*range(1, 1025))
    left = [5, 300, 301, 700, 1020]
    bench.vanish(*(set(range(1, 1025)) - set(left)))
    snapshot = bench.forget().snapshot()
    assert list(snapshot.uids) == left
    assert len(snapshot.chunks) < 4
    bench.vanish(*left)
    assert bench.box.snapshot().chunks == ()
    bench.add(2000)
    assert list(bench.box.snapshot().uids) == [2000]


def test_modseqs_rise_while_the_clock_stands_or_goes_back(bench):
    bench.create()
    bench.add(1)
    given = [bench.box.head().highestmodseq]
    for step in (0, 0, -1_000_000, 5):
        bench.clock.now += step
        given.append(bench.flag(1, len(given)).modseq)
    assert given == sorted(set(given))


def test_no_modseq_passes_the_ceiling(bench):
    bench.create(ceiling=50)
    assert bench.box.needs_ceiling()
    before = bench.box.head()
    with pytest.raises(CeilingNeeded) as asked:
        bench.box.merge(Merge(added=[Added(1, b"a", 0)]))
    assert asked.value.modseq == bench.clock.now
    assert bench.forget().head() == before
    merged = bench.box.merge(Merge(added=[Added(1, b"a", 0)], ceiling=bench.clock.now))
    assert merged.head.ceiling == merged.modseq == bench.clock.now
    assert bench.box.needs_ceiling()
    with pytest.raises(CeilingNeeded):
        bench.flag(1, SEEN)


def test_modseqs_after_a_loss_are_above_the_ceiling_even_with_the_clock_set_back(bench):
    bench.create()
    last = bench.add(1).modseq
    ceiling = last + 1000
    bench.clock.now -= 3_600_000_000
    bench.create(ceiling=ceiling)
    assert bench.add(1).modseq > ceiling


def test_keywords_and_fingerprint_are_recorded(bench):
    bench.create()
    bench.box.merge(Merge(keywords=("$Forwarded", "", "Junk"), fingerprint=Fingerprint(b"\0\1key", True)))
    head = bench.forget().head()
    assert (head.keywords, head.fingerprint, head.settled) == (("$Forwarded", "", "Junk"), b"\0\1key", True)
    bench.box.merge(Merge(fingerprint=Fingerprint(b"", False)))
    head = bench.forget().head()
    assert (head.keywords, head.fingerprint, head.settled) == (("$Forwarded", "", "Junk"), b"", False)


def test_a_locator_with_a_nul_is_refused_whole(bench):
    bench.create()
    bench.add(1)
    with pytest.raises(ValueError, match="NUL"):
        bench.box.merge(Merge(added=[Added(2, b"a\0b", 0)]))
    assert bench.box.head().messages == 1


def test_create_again_starts_afresh(bench):
    bench.create()
    bench.add(*range(1, 400))
    bench.box.create(FolderHeader(uidvalidity=8, uidnext=1, guid=bench.guid), 0)
    head = bench.forget().head()
    assert (head.uidvalidity, head.messages) == (8, 0)
    assert bench.box.locators() == {}
    assert bench.account.sweep() == 0


def test_recent_is_claimed_once(bench):
    bench.create()
    bench.add(1, 2)
    assert (bench.box.head().recent, bench.box.claim_recent()) == (0, (3, 3))
    bench.add(3, 4, recent=True)
    assert (bench.box.head().first_recent, bench.box.head().recent) == (3, 2)
    assert bench.forget().claim_recent() == (3, 5)
    low, high = bench.box.claim_recent()
    assert low == high
    assert bench.box.head().recent == 0


def test_recent_counts_only_what_is_still_there(bench):
    bench.create()
    bench.add(1, 2, 3, recent=True)
    bench.vanish(2)
    assert bench.box.head().recent == 2
    bench.vanish(1, 3)
    assert bench.box.head().recent == 0
    low, high = bench.box.claim_recent()
    assert low == high


def test_mailboxes_do_not_touch_each_other(bench):
    other = bench.account.mailbox("f" * 32)
    bench.create()
    bench.create(box=other)
    bench.add(*range(1, 300))
    other.merge(Merge(ceiling=bench.high, added=[Added(1, b"only", SEEN)]))
    assert sorted(bench.account.mailboxes()) == sorted([bench.guid, "f" * 32])
    bench.account.remove(bench.guid)
    assert bench.account.mailboxes() == ["f" * 32]
    assert bench.box.head() is None
    assert other.locators() == {b"only": 1}
    bench.account.remove("unknown")
    bench.create()
    assert bench.box.head().messages == 0


def test_sweeping_spares_what_has_a_head(bench):
    bench.create()
    bench.add(*range(1, 300))
    number = bench.account._environment.read(lambda txn, opened: listing.number_of(txn, bench.guid))
    assert listing.sweep(bench.account._environment, number) == 0
    assert bench.account.sweep() == 0
    assert len(bench.forget().locators()) == 299


def test_digests_belong_to_a_key():
    assert schema.digest(b"one", b"value") != schema.digest(b"two", b"value")
    assert schema.checked(b"two", schema.sealed(b"one", b"value")) is None
    assert schema.checked(b"one", schema.sealed(b"one", b"value")) == b"value"


def test_find_looks_for_parts_of_locators(bench):
    bench.create()
    bench.add(*range(1, 600))
    assert bench.box.find([]) == []
    assert bench.box.find([b"no such"]) == []
    wanted = [bench.locator(uid)[:-3] for uid in (500, 3)]
    assert bench.box.find([*wanted, b"missing"]) == [(3, bench.locator(3)), (500, bench.locator(500))]
    assert bench.box.find([b"."]) == [(uid, bench.locator(uid)) for uid in range(1, 600)]
