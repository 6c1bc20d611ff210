"""The list of mailboxes, STATUS, APPEND, and what happens to sessions when mailboxes go or move."""

import os
import shutil

import pytest

from culverhouse.account.account import Account
from culverhouse.account.updates import Exists, Expunge
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import DRAFT, SEEN, FlagOp, flag_names

from .conftest import Place, nobody, put


def test_a_new_account_gets_its_default_mailboxes_once(place: Place) -> None:
    account = place.open()
    assert [(one.name, one.special_use) for one in account.mailboxes()] == [("INBOX", ()), ("Sent", ("\\Sent",))]
    assert account.subscriptions() == ["Sent"]
    account.delete("Sent")
    account.subscribe("Sent", False)
    again = place.open()
    assert [one.name for one in again.mailboxes()] == ["INBOX"]


def test_inbox_is_inbox_in_any_case(account: Account) -> None:
    put(account, "iNbOx", b"a\n")
    assert account.status("INBOX").messages == 1
    assert account.mailbox("inbox") is account.mailbox("INBOX")


def test_status_counts(account: Account, place: Place) -> None:
    put(account, "Sent", b"one\r\n", b"two\r\n", flags=SEEN)
    put(account, "Sent", b"three\n", flags=0)
    status = account.status("Sent")
    assert (status.messages, status.unseen, status.deleted, status.recent) == (3, 1, 0, 3)
    assert (status.uidnext, status.size) == (4, 5 + 5 + 7)
    assert status.mailbox_id == account.mailbox("Sent").id
    place.deliver("Sent", b"four\n")
    status = account.status("Sent")
    assert (status.messages, status.size) == (4, None)
    assert account.unsized("Sent") == (status.mailbox_id, [4])


def test_status_on_the_reactor_only_when_nothing_can_have_changed(account: Account, place: Place) -> None:
    assert account.try_status("Sent") is None
    account.status("Sent")
    assert account.try_status("Sent") is None, "the folder was changed less than two seconds ago"
    place.age("Sent")
    account.status("Sent")
    known = account.try_status("Sent")
    assert known is not None
    assert known.messages == 0
    place.deliver("Sent")
    assert account.try_status("Sent") is None


def test_append_of_several(account: Account) -> None:
    uids = put(account, "Sent", b"a\n", b"b\n", flags=DRAFT, keywords=("$Label", "Work"), internaldate=1_000_000_000)
    assert uids == [1, 2]
    view = account.select("Sent", False, nobody)
    assert view.recent == 2
    assert set(flag_names(view.flags_of(1) or 0, view.keywords)) == {"\\Draft", "$Label", "Work"}
    assert view.dates([1, 2]) == [1_000_000_000] * 2


@pytest.mark.parametrize("call", ["spool", "copy", "move"])
def test_no_such_target(account: Account, call: str) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    with pytest.raises(MailError) as caught:
        account.spool("Nowhere") if call == "spool" else getattr(view, call)([1], "Nowhere")
    assert caught.value.kind is Kind.TRYCREATE
    assert [uid for _, uid, _, _ in view.rows(view.uids)] == [1]


def test_no_such_mailbox(account: Account) -> None:
    for call in (account.mailbox, account.status, lambda name: account.select(name, False, nobody)):
        with pytest.raises(MailError) as caught:
            call("Nowhere")
        assert caught.value.kind is Kind.NONEXISTENT
    assert account.try_status("Nowhere") is None
    assert account.try_select("Nowhere", False, nobody) is None


def test_uids_that_another_program_gave_out_are_told_before_higher_ones(account: Account, place: Place) -> None:
    """As a Dovecot does: a message with a recorded UID that this index has not seen when APPEND comes."""
    view = account.select("INBOX", False, nobody)
    other = place.open(1)
    path = place.deliver()
    folder = other.store.folder("INBOX")
    with folder.locked() as transaction:
        assert transaction.assign([f"new/{path.name}".encode()]) == {f"new/{path.name}".encode(): 1}
    assert put(account, "INBOX", b"later\n") == [2]
    assert view.updates(True) == [Exists(2, 0)]
    assert list(view.uids) == [1, 2]


def test_delete_ends_views_of_every_worker(account: Account, place: Place) -> None:
    woken: list[str] = []
    account.create("Old")
    put(account, "Old", b"a\n")
    here = account.select("Old", False, lambda: woken.append("here"))
    worker = place.open(1)
    there = worker.select("Old", False, lambda: woken.append("there"))
    mailbox_id = here.mailbox.id
    woken.clear()
    account.delete("Old")
    assert woken == ["here"]
    assert here.gone
    assert here.updates(True) == []
    worker.doorbell(mailbox_id)
    assert woken[-1] == "there"
    assert there.stale
    there.sync()
    assert there.gone
    with pytest.raises(MailError):
        there.store([1], FlagOp.ADD, SEEN, ())
    assert mailbox_id not in account.index.mailboxes()


def test_a_mailbox_made_again_is_another_one(account: Account) -> None:
    first = account.create("Again")
    put(account, "Again", b"a\n")
    old = account.select("Again", False, nobody)
    account.delete("Again")
    second = account.create("Again")
    assert first != second
    new = account.select("Again", False, nobody)
    assert old.gone
    assert not new.gone
    assert new.exists == 0
    assert new.uidvalidity > old.uidvalidity


def test_views_follow_a_rename_in_every_worker(account: Account, place: Place) -> None:
    account.create("Old/Child")
    put(account, "Old/Child", b"a\n")
    here = account.select("Old/Child", False, nobody)
    there = place.open(1).select("Old/Child", False, nobody)
    account.rename("Old", "New")
    assert [one.name for one in account.mailboxes()] == ["INBOX", "New", "New/Child", "Sent"]
    put(account, "New/Child", b"b\n")
    assert here.mailbox.name == "New/Child"
    assert here.updates(True) == [Exists(2, 1)]
    assert there.stale
    there.sync()
    assert there.mailbox.name == "New/Child"
    assert not there.gone
    assert [type(one) for one in there.updates(True)] == [Exists]
    assert there.store([1], FlagOp.ADD, SEEN, ()).changed[0][:2] == (1, SEEN)


def test_rename_of_inbox_moves_its_messages(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n", b"b\n")
    view = account.select("INBOX", False, nobody)
    other = place.open(1).select("INBOX", False, nobody)
    account.rename("INBOX", "Archive")
    assert view.updates(True) == [Expunge(2, 2), Expunge(1, 1)]
    assert account.status("INBOX").messages == 0
    assert account.status("Archive").messages == 2
    assert not view.gone
    assert other.updates(False) == []
    message = other.open(1)
    assert message.file.read() == b"a\n"
    message.close()


def test_a_folder_that_another_program_removed(account: Account, place: Place) -> None:
    account.create("Gone")
    view = account.select("Gone", False, nobody)
    shutil.rmtree(place.folder("Gone"))
    assert view.stale
    view.sync()
    assert view.gone
    assert account.try_select("Gone", False, nobody) is None


def test_a_lost_uidlist_is_another_mailbox(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    (place.folder() / "dovecot-uidlist").unlink()
    view.sync()
    assert view.gone
    again = account.select("INBOX", False, nobody)
    assert again.exists == 1
    assert again.uidvalidity != view.uidvalidity


def test_views_are_counted_and_woken(account: Account) -> None:
    woken: list[int] = []
    one = account.select("INBOX", False, lambda: woken.append(1))
    two = account.select("INBOX", True, lambda: woken.append(2))
    assert account.views() == 2
    put(account, "INBOX", b"a\n")
    assert set(woken) == {1, 2}
    one.close()
    one.close()
    assert account.views() == 1
    woken.clear()
    put(account, "INBOX", b"b\n")
    assert woken == [2]
    two.close()
    assert os.listdir(f"{account.spec.index}.viewers") == []


def test_an_index_that_cannot_be_made_is_told_as_unavailable(place: Place) -> None:
    account = place.open()
    blocked = place.root / "index"
    assert account.status("INBOX").messages == 0
    account.release()
    shutil.rmtree(blocked)
    blocked.write_bytes(b"a file where a directory must be")
    with pytest.raises(MailError) as caught:
        place.open(1)
    assert caught.value.kind is Kind.UNAVAILABLE
    blocked.unlink()
