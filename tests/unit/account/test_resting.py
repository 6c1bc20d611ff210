"""Idle sessions are packed, and nobody notices."""

from culverhouse.account.account import Account
from culverhouse.account.resting import Wakeful
from culverhouse.account.updates import Exists, Expunge
from culverhouse.model.flags import DELETED, SEEN, FlagOp

from .conftest import nobody, put


def test_a_resting_view_wakes_with_what_it_was_told(account: Account) -> None:
    put(account, "INBOX", *(b"%d\n" % number for number in range(10)))
    view = account.select("INBOX", False, nobody)
    rows = view.rows(view.uids)
    view.mailbox.rest()
    assert view.rows(view.uids) == rows
    view.mailbox.rest()
    other = account.select("INBOX", False, nobody)
    other.store([1, 4], FlagOp.ADD, DELETED, ())
    other.expunge()
    put(account, "INBOX", b"new\n")
    assert view.updates(True) == [Expunge(4, 4), Expunge(1, 1), Exists(9, 8)]


def test_told_changes_survive_the_rest(account: Account) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    uid, flags, modseq = view.store([1], FlagOp.ADD, SEEN, ()).changed[0]
    view.told(uid, flags, modseq)
    view.mailbox.rest()
    assert view.updates(True) == []
    assert view.flags_of(1) == SEEN


class Sleeper:
    """Counts how often it was sent to rest."""

    def __init__(self) -> None:
        self.rested = 0

    def rest(self) -> None:
        self.rested += 1


def test_the_longest_unused_rests_first() -> None:
    wakeful = Wakeful(limit=100)
    one, two, three = Sleeper(), Sleeper(), Sleeper()
    wakeful.touch(one, 40)
    wakeful.touch(two, 40)
    wakeful.touch(one, 50)
    wakeful.touch(three, 30)
    assert (one.rested, two.rested, three.rested) == (0, 1, 0)
    wakeful.touch(two, 1000)
    assert (one.rested, three.rested) == (1, 1)
    wakeful.forget(two)
    wakeful.touch(one, 90)
    assert one.rested == 1


def test_upkeep_packs_what_is_quiet_and_a_noop_does_not_wake_it(account: Account) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    view.updates(True)
    rests = []
    for _ in range(3):
        account.upkeep()
        rests.append(view._resting is not None)
    assert rests == [False, True, True]
    assert view.updates(True) == []
    assert not view.pending
    assert view._resting is not None
    put(account, "INBOX", b"b\n")
    assert view.pending
    assert view.updates(True) == [Exists(2, 1)]
