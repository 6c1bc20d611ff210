"""Reconcile: applied to the index's picture, the plan gives the folder's picture, and no UID is lost on the way."""

from hypothesis import given
from hypothesis import strategies as st

from culverhouse.index.reconcile import reconcile
from culverhouse.model.store import Fingerprint, Parsed, Scan

BASES = st.integers(0, 12).map(lambda number: b"base%d" % number)
FLAGS = st.integers(0, 3)


def name(base, flags, new):
    return (b"new/" if new else b"") + base + b":2," + b"%d" % flags


def parse(locator):
    base, _, flags = locator.removeprefix(b"new/").partition(b":2,")
    return Parsed(base, int(flags), locator.startswith(b"new/"), None, None)


FOLDERS = st.dictionaries(BASES, st.tuples(FLAGS, st.booleans()))


def scan_of(locators, stable):
    return Scan(frozenset(locators), Fingerprint(b"", False), stable)


@given(before=FOLDERS, after=FOLDERS, stable=st.booleans())
def test_the_plan_leads_from_one_picture_to_the_other(before, after, stable):
    known = {name(base, *state): uid for uid, (base, state) in enumerate(sorted(before.items()), 1)}
    present = {name(base, *state) for base, state in after.items()}
    plan = reconcile(known, scan_of(present, stable), parse)

    result = dict(known)
    for uid, old, new, flags in plan.renamed:
        assert result.pop(old) == uid
        assert parse(new).flags == flags
        assert parse(new).base == parse(old).base
        result[new] = uid
    gone = {uid: locator for locator, uid in result.items() if locator not in present}
    assert plan.vanished == (sorted(gone) if stable else [])
    assert {parse(locator).base for locator in gone.values()} == before.keys() - after.keys()
    assert plan.appeared == sorted(present - result.keys())
    assert {parse(locator).base for locator in plan.appeared} == after.keys() - before.keys()
    assert bool(plan) == bool(plan.renamed or plan.vanished or plan.appeared)


@given(before=FOLDERS)
def test_nothing_changed_is_an_empty_plan_and_parses_nothing(before):
    known = {name(base, *state): uid for uid, (base, state) in enumerate(before.items(), 1)}

    def never(locator):
        raise AssertionError(locator)

    assert not reconcile(known, scan_of(known, True), never)


@given(states=st.sets(st.tuples(FLAGS, st.booleans()), min_size=1), old=st.tuples(FLAGS, st.booleans()))
def test_one_base_under_several_names_is_decided_the_same_way_each_time(states, old):
    known = {name(b"base", *old): 7}
    present = {name(b"base", *state) for state in states}
    plan = reconcile(known, scan_of(present, True), parse)
    assert plan == reconcile(known, scan_of(sorted(present, reverse=True), True), parse)
    assert plan.vanished == []
    kept = {new for _, _, new, _ in plan.renamed} or set(known)
    assert len(kept) == 1
    assert sorted(present - kept) == plan.appeared


def test_two_uids_of_one_base_lose_one():
    known = {b"a:2,1": 1, b"a:2,2": 2}
    plan = reconcile(known, scan_of({b"a:2,3"}, True), parse)
    assert plan.renamed == [(1, b"a:2,1", b"a:2,3", 3)]
    assert plan.vanished == [2]
