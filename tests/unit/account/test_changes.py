"""STORE, EXPUNGE, COPY and MOVE: what they do to files, to the index and to other sessions."""

import os
import time
from collections.abc import Callable

import pytest

from culverhouse.account.account import Account
from culverhouse.account.kept import AT_MOST
from culverhouse.account.results import StoreResult
from culverhouse.account.updates import Exists, Expunge, FlagsChanged, KeywordsChanged
from culverhouse.index.errors import IndexUnavailable
from culverhouse.mailstore import durable
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import ANSWERED, DELETED, FLAGGED, MAX_KEYWORDS, SEEN, FlagOp, flag_names

from .conftest import Place, nobody, put

OPS = [
    (FlagOp.ADD, SEEN, FLAGGED | SEEN),
    (FlagOp.REMOVE, FLAGGED, 0),
    (FlagOp.REPLACE, ANSWERED, ANSWERED),
]


@pytest.mark.parametrize(("op", "change", "result"), OPS)
def test_store(account: Account, place: Place, op: FlagOp, change: int, result: int) -> None:
    put(account, "INBOX", b"a\n", flags=FLAGGED)
    view = account.select("INBOX", False, nobody)
    before = view.highestmodseq
    done = view.store([1], op, change, ())
    assert [(uid, flags) for uid, flags, _ in done.changed] == [(1, result)]
    assert done.changed[0][2] > before
    assert account.status("INBOX").highestmodseq == done.changed[0][2]
    letters = place.files()[0].rpartition(":2,")[2]
    shown = {"F": FLAGGED, "R": ANSWERED, "S": SEEN}
    assert letters == "".join(letter for letter, mask in shown.items() if result & mask)


def test_store_that_changes_nothing_is_reported_too_and_gives_no_modseq(account: Account) -> None:
    put(account, "INBOX", b"a\n", flags=SEEN)
    view = account.select("INBOX", False, nobody)
    assert view.store([1], FlagOp.ADD, SEEN, ()) == StoreResult([(1, SEEN, view.highestmodseq)], [], [], False)


def test_store_tells_other_sessions_once_and_not_its_own(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n", b"b\n")
    mine = account.select("INBOX", False, nobody)
    near = account.select("INBOX", False, nobody)
    far = place.open(1).select("INBOX", False, nobody)
    done = mine.store([2], FlagOp.ADD, SEEN, ["Work"])
    for uid, flags, modseq in done.changed:
        mine.told(uid, flags, modseq)
    flags, modseq = done.changed[0][1:]
    assert mine.updates(True) == [KeywordsChanged(("Work",))]
    for other in (near, far):
        assert other.updates(False) == [KeywordsChanged(("Work",)), FlagsChanged(2, 2, flags, modseq)]
        assert other.updates(True) == []


def test_store_unchanged_since(account: Account) -> None:
    put(account, "INBOX", b"a\n", b"b\n", b"c\n")
    view = account.select("INBOX", False, nobody)
    start = view.highestmodseq
    view.store([2], FlagOp.ADD, SEEN, ())
    done = view.store([1, 2, 3], FlagOp.ADD, FLAGGED, (), start)
    assert [uid for uid, _, _ in done.changed] == [1, 3]
    assert done.modified == [2]


def test_keywords_keep_their_numbers_and_are_compared_without_case(account: Account) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    view.store([1], FlagOp.ADD, 0, ["Work", "$Junk"])
    view.store([1], FlagOp.REMOVE, 0, ["WORK", "Unknown"])
    view.updates(True)
    assert view.keywords == ("Work", "$Junk")
    assert flag_names(view.flags_of(1) or 0, view.keywords) == ["$Junk"]


def test_no_room_for_a_keyword(account: Account) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    words = [f"word{number}" for number in range(MAX_KEYWORDS + 2)]
    assert not view.store([1], FlagOp.ADD, 0, words[:MAX_KEYWORDS]).no_room
    view.updates(True)
    assert view.keywords_full
    done = view.store([1], FlagOp.REPLACE, SEEN, [words[0], words[-1]])
    assert done.no_room
    assert flag_names(done.changed[0][1], view.keywords) == ["\\Seen", words[0]]


def test_a_foreign_flag_survives_a_store_that_did_not_know_it(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    name = place.files()[0]
    os.rename(place.folder() / "cur" / name, place.folder() / "cur" / (name + "R"))
    done = view.store([1], FlagOp.ADD, SEEN, ())
    assert done.changed[0][1] == SEEN | ANSWERED
    assert place.files() == [name + "RS"]


def test_a_failing_disk_in_the_middle_of_a_store(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed is recorded, the rest is not, and the client hears of the failure."""
    put(account, "INBOX", b"a\n", b"b\n", b"c\n")
    view = account.select("INBOX", False, nobody)
    calls: list[str] = []

    def step(name: str) -> None:
        calls.append(name)
        if calls.count("rename") == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "step", step)
    with pytest.raises(MailError) as caught:
        view.store([1, 2, 3], FlagOp.ADD, SEEN, ())
    assert caught.value.kind in (Kind.OVERQUOTA, Kind.UNAVAILABLE)
    monkeypatch.undo()
    view.updates(True)
    assert [view.flags_of(uid) for uid in (1, 2, 3)] == [SEEN, 0, 0]
    assert not view.mailbox.watch.pending


def test_expunge_takes_only_what_is_deleted(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n", b"b\n", b"c\n")
    view = account.select("INBOX", False, nobody)
    view.store([1, 3], FlagOp.ADD, DELETED, ())
    assert view.expunge([2, 3]).uids == [3]
    assert view.updates(True)[-1] == Expunge(3, 3)
    assert view.expunge().uids == [1]
    assert view.expunge().uids == []
    assert len(place.files()) == 1
    assert account.status("INBOX").deleted == 0


def test_remove_needs_no_deleted_flag(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n", b"b\n")
    assert account.mailbox("INBOX").remove([2, 7]).uids == [2]
    assert len(place.files()) == 1


def kept(place: Place) -> list[str]:
    """Files kept for viewers."""
    return [name for name in os.listdir(place.folder() / "tmp") if name.startswith("culverhouse-")]


@pytest.mark.parametrize("call", ["expunge", "move"])
@pytest.mark.parametrize("worker", [0, 1])
def test_expunged_but_viewed(account: Account, place: Place, worker: int, call: str) -> None:
    put(account, "INBOX", b"Subject: a\n\na\n", b"b\n")
    mine = account.select("INBOX", False, nobody)
    other = (place.open(1) if worker else account).select("INBOX", False, nobody)
    if call == "expunge":
        mine.store([1], FlagOp.ADD, DELETED, ())
        mine.expunge()
    else:
        mine.move([1], "Sent")
    assert mine.updates(True)[-1:] == [Expunge(1, 1)]
    assert not [one for one in other.updates(False) if isinstance(one, Expunge)]
    assert other.ghosts() == {1}
    message = other.open(1)
    assert message.file.read() == b"Subject: a\n\na\n"
    message.close()
    other.told(1, other.flags_of(1) or 0, 1)
    done = other.store([1, 2], FlagOp.REPLACE, FLAGGED, ["Nowhere"])
    assert [(uid, flags & 0xFF) for uid, flags, _ in done.changed] == [(1, FLAGGED), (2, FLAGGED)]
    assert done.gone == []
    assert other.flags_of(1) == FLAGGED
    with pytest.raises(MailError) as caught:
        other.copy([1, 2], "Sent")
    assert caught.value.kind is Kind.EXPUNGED
    assert len(kept(place)) == 1
    assert Expunge(1, 1) in other.updates(True)
    other.sync()
    assert kept(place) == []
    with pytest.raises(MailError) as caught:
        other.open(1)
    assert caught.value.kind is Kind.EXPUNGED


@pytest.mark.parametrize("qresync", [False, True])
def test_what_is_told_at_once_is_let_go_at_once(account: Account, place: Place, qresync: bool) -> None:
    put(account, "INBOX", b"a\n")
    mine = account.select("INBOX", False, nobody)
    other = place.open(1).select("INBOX", False, nobody)
    other.qresync = qresync
    mine.store([1], FlagOp.ADD, DELETED, ())
    mine.expunge()
    assert kept(place) != []
    assert len(other.updates(True)) == 1
    other.sync()
    assert kept(place) == []


def test_what_no_view_ever_had_is_let_go(account: Account, place: Place) -> None:
    """It came and went between two looks of a session."""
    other = account.select("INBOX", True, nobody)
    mine = account.select("INBOX", False, nobody)
    put(account, "INBOX", b"a\n", flags=DELETED)
    mine.expunge()
    assert mine.updates(True) == []
    assert kept(place) != []
    assert other.updates(True) == []
    call = account.upkeep()
    assert call is not None
    call()
    assert kept(place) == []


def test_nothing_is_kept_for_nobody(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    account.select("INBOX", True, nobody).close()
    view.store([1], FlagOp.ADD, DELETED, ())
    view.expunge()
    assert kept(place) == []


def test_a_closed_view_lets_go_of_what_was_kept(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n")
    mine = account.select("INBOX", False, nobody)
    other = account.select("INBOX", False, nobody)
    mine.store([1], FlagOp.ADD, DELETED, ())
    mine.expunge()
    mine.updates(True)
    assert kept(place) != []
    other.close()
    call = account.upkeep()
    assert call is not None
    call()
    assert kept(place) == []


def test_a_view_that_is_not_told_for_long_loses_the_file(
    account: Account, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(account, "INBOX", b"a\n")
    mine = account.select("INBOX", False, nobody)
    other = account.select("INBOX", False, nobody)
    mine.store([1], FlagOp.ADD, DELETED, ())
    mine.expunge()
    mine.updates(True)
    other.updates(False)
    account.upkeep()
    assert kept(place) != []
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + AT_MOST + 1)
    call = account.upkeep()
    assert call is not None
    call()
    assert kept(place) == []
    assert other.updates(True) == [Expunge(1, 1)]


def test_copy_keeps_flags_keywords_and_date(account: Account, place: Place) -> None:
    put(account, "Sent", b"x\n", keywords=("Other", "Third"))
    put(account, "INBOX", b"a\n", b"b\n", flags=SEEN, keywords=("Work", "Other"), internaldate=1_234_567_890)
    view = account.select("INBOX", False, nobody)
    done = view.copy([1, 2], "Sent")
    assert done.pairs == [(1, 2), (2, 3)]
    target = account.select("Sent", False, nobody)
    assert done.uidvalidity == target.uidvalidity
    assert target.keywords == ("Other", "Third", "Work")
    assert set(flag_names(target.flags_of(3) or 0, target.keywords)) == {"\\Seen", "Other", "Work"}
    assert target.dates([2, 3]) == [1_234_567_890] * 2
    assert target.recent == 3
    assert len(place.files()) == 2


def test_copy_is_all_or_nothing_when_a_message_is_gone(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    with pytest.raises(MailError) as caught:
        view.copy([1, 99], "Sent")
    assert caught.value.kind is Kind.EXPUNGED
    assert place.files("Sent") == []


@pytest.mark.parametrize("transfer", [lambda view: view.copy([1, 3], "INBOX"), lambda view: view.move([1, 3], "INBOX")])
def test_within_one_mailbox(account: Account, transfer: Callable[..., object]) -> None:
    put(account, "INBOX", b"a\n", b"b\n", b"c\n", flags=FLAGGED)
    view = account.select("INBOX", True, nobody)
    transfer(view)
    updates = view.updates(True)
    assert list(view.uids) in ([1, 2, 3, 4, 5], [2, 4, 5])
    assert updates[-1] == Exists(len(view.uids), len(view.uids))
    assert [view.flags_of(uid) for uid in view.uids] == [FLAGGED] * len(view.uids)


def test_move(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n", b"b\n", b"c\n")
    view = account.select("INBOX", False, nobody)
    done = view.move([3, 1, 9], "Sent")
    assert sorted(done.pairs) == [(1, 2), (3, 1)]
    assert view.updates(True) == [Expunge(3, 3), Expunge(1, 1)]
    assert len(place.files()) == 1
    assert len(place.files("Sent")) == 2
    assert account.status("Sent").messages == 2


def test_two_sessions_claim_recent_once(account: Account, place: Place) -> None:
    place.deliver()
    looking = account.select("INBOX", True, nobody)
    first = account.select("INBOX", False, nobody)
    second = place.open(1).select("INBOX", False, nobody)
    assert (looking.recent, first.recent, second.recent) == (1, 1, 0)
    assert place.files()[0].endswith(":2,")
    place.deliver()
    assert second.stale
    second.sync()
    first.sync()
    assert second.updates(True) == [Exists(2, 1)]
    assert first.updates(True) == [Exists(2, 1)]
    assert (first.is_recent(2), second.is_recent(2)) == (False, True)


def test_an_index_that_is_lost_after_the_store_took_a_message(
    account: Account, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is stored: APPEND says OK with its UID, and whoever looks finds it."""
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    def refuse(*_: object) -> None:
        raise IndexUnavailable("no space")

    monkeypatch.setattr(view.mailbox.index, "merge", refuse)
    assert put(account, "INBOX", b"b\n") == [2]
    monkeypatch.undo()
    assert view.stale
    view.sync()
    assert view.updates(True) == [Exists(2, 2)]
