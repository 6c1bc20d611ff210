"""How the index follows the folder: fingerprints, names from a watch, scans, and the loss of the index."""

import os
import shutil
from collections.abc import Callable, Sequence

import pytest

from culverhouse.account.account import Account
from culverhouse.account.updates import Exists, Expunge, FlagsChanged
from culverhouse.mailstore.maildir.folder import MaildirFolder
from culverhouse.model.flags import ANSWERED, DELETED, FLAGGED, SEEN, FlagOp
from culverhouse.model.store import Fingerprint, Scan

from .conftest import Place, nobody, put


class Watcher:
    """Tells what the test tells it to tell."""

    def __init__(self) -> None:
        self.open: list[Callable[[frozenset[bytes] | None], None]] = []

    def watch(self, paths: Sequence[str], changed: Callable[[frozenset[bytes] | None], None]) -> "Watcher.Watch":
        assert all(os.path.isdir(path) for path in paths)
        self.open.append(changed)
        return Watcher.Watch(self, changed)

    def tell(self, *names: str) -> None:
        for changed in list(self.open):
            changed(frozenset(name.encode() for name in names))

    def lose(self) -> None:
        for changed in list(self.open):
            changed(None)

    class Watch:
        """One of them."""

        def __init__(self, watcher: "Watcher", changed: Callable[[frozenset[bytes] | None], None]) -> None:
            self.watcher, self.changed = watcher, changed

        def close(self) -> None:
            self.watcher.open.remove(self.changed)


@pytest.fixture
def watcher(account: Account) -> Watcher:
    made = Watcher()
    account.watcher = made
    return made


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Full scans that happened."""
    done: list[str] = []
    scan = MaildirFolder.scan

    def counted(self: MaildirFolder) -> Scan:
        done.append(self.path)
        return scan(self)

    monkeypatch.setattr(MaildirFolder, "scan", counted)
    return done


def test_a_settled_fingerprint_spares_the_scan(account: Account, place: Place, scans: list[str]) -> None:
    put(account, "INBOX", b"a\n")
    place.age()
    account.mailbox("INBOX")
    assert len(scans) == 2
    for _ in range(3):
        account.mailbox("INBOX")
    assert len(scans) == 2
    assert account.try_select("INBOX", True, nobody) is not None


def test_our_own_change_does_not_make_the_fingerprint_clean(account: Account, place: Place, scans: list[str]) -> None:
    put(account, "INBOX", b"a\n")
    place.age()
    view = account.select("INBOX", False, nobody)
    view.store([1], FlagOp.ADD, SEEN, ())
    place.age()
    assert view.stale
    before = len(scans)
    view.sync()
    assert len(scans) == before + 1


def test_a_watch_is_trusted_instead(account: Account, place: Place, watcher: Watcher, scans: list[str]) -> None:
    put(account, "INBOX", b"a\n", b"b\n")
    view = account.select("INBOX", False, nobody)
    scans.clear()
    assert not view.stale
    view.store([1], FlagOp.ADD, SEEN, ())
    watcher.tell(*place.files())
    assert not view.stale, "our own rename is an echo"
    put(account, "INBOX", b"c\n")
    watcher.tell(place.files()[-1])
    view.sync()
    assert scans == []
    assert view.exists == 2
    assert not view.unchanged
    assert view.updates(True)[-1] == Exists(3, 3)
    assert view.unchanged
    place.deliver()
    watcher.tell("new/" + place.files()[-1].removeprefix("new/"))
    assert not view.unchanged


def test_names_are_looked_at_alone(account: Account, place: Place, watcher: Watcher, scans: list[str]) -> None:
    woken: list[int] = []
    put(account, "INBOX", b"a\n", b"b\n")
    view = account.select("INBOX", False, lambda: woken.append(1))
    scans.clear()
    woken.clear()
    old = place.files()[0]
    os.rename(place.folder() / "cur" / old, place.folder() / "cur" / (old + "FR"))
    new = place.deliver()
    watcher.tell(old, old + "FR", "new/" + new.name, "culverhouse-nothing")
    assert woken == [1]
    assert view.stale
    view.sync()
    assert scans == []
    flags, exists = view.updates(True)
    assert isinstance(flags, FlagsChanged)
    assert (flags.uid, flags.flags) == (1, FLAGGED | ANSWERED)
    assert exists == Exists(3, 3)
    assert not view.stale


def test_a_name_that_vanished_is_looked_for_everywhere(
    account: Account, place: Place, watcher: Watcher, scans: list[str]
) -> None:
    put(account, "INBOX", b"a\n", b"b\n")
    view = account.select("INBOX", False, nobody)
    scans.clear()
    gone = place.files()[0]
    os.unlink(place.folder() / "cur" / gone)
    watcher.tell(gone)
    view.sync()
    assert len(scans) == 1
    assert view.updates(True) == [Expunge(1, 1)]


def test_lost_names_ask_for_a_scan(account: Account, place: Place, watcher: Watcher, scans: list[str]) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    scans.clear()
    place.deliver()
    watcher.lose()
    assert view.stale
    view.sync()
    assert len(scans) == 1
    assert view.updates(True) == [Exists(2, 2)]


def test_what_another_program_did_to_our_file_is_no_echo(account: Account, place: Place, watcher: Watcher) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    view.store([1], FlagOp.ADD, SEEN, ())
    name = place.files()[0]
    os.unlink(place.folder() / "cur" / name)
    watcher.tell(name)
    assert view.stale
    view.sync()
    assert Expunge(1, 1) in view.updates(True)


def test_an_echo_ends_when_somebody_else_wrote_to_the_index(account: Account, place: Place, watcher: Watcher) -> None:
    """We rename A to B, another worker B back to A, another program unlinks A: A is gone as we once left it."""
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    first = place.files()[0]
    view.store([1], FlagOp.ADD, SEEN, ())
    second = place.files()[0]
    place.open(1).mailbox("INBOX").store([1], FlagOp.REMOVE, SEEN, ())
    assert place.files() == [first]
    os.unlink(place.folder() / "cur" / first)
    watcher.tell(first, second)
    assert view.stale
    view.sync()
    assert Expunge(1, 1) in view.updates(True)


def test_upkeep_records_what_the_watch_knows(
    account: Account, place: Place, watcher: Watcher, scans: list[str]
) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    view.store([1], FlagOp.ADD, SEEN, ())
    view.close()
    place.age()
    scans.clear()
    for _ in range(3):
        call = account.upkeep()
        if call is not None:
            call()
    assert watcher.open == [], "nobody looks any more"
    assert place.open(1).try_status("INBOX") is None
    assert place.open(1).status("INBOX").messages == 1
    assert scans == []


def test_a_message_that_was_told_gone_comes_back_as_another(account: Account, place: Place) -> None:
    path = place.deliver(flags="S")
    place.deliver(flags="")
    view = account.select("INBOX", False, nobody)
    path.rename(place.root / "elsewhere")
    view.sync()
    assert view.updates(True) == [Expunge(1, 1)]
    (place.root / "elsewhere").rename(path)
    view.sync()
    assert view.updates(True)[-1].__class__ is Exists
    assert list(view.uids) == [2, 3]
    assert view.flags_of(3) == SEEN


def test_an_unstable_scan_lets_nothing_vanish(account: Account, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put(account, "INBOX", b"a\n", b"b\n")
    view = account.select("INBOX", False, nobody)
    scan = MaildirFolder.scan

    def skipping(self: MaildirFolder) -> Scan:
        found = scan(self)
        return Scan(frozenset(sorted(found.locators)[1:]), Fingerprint(found.fingerprint.key, True), stable=False)

    monkeypatch.setattr(MaildirFolder, "scan", skipping)
    view.sync()
    assert view.updates(True) == []
    assert view.stale
    monkeypatch.undo()
    view.sync()
    assert view.updates(True) == []
    assert view.exists == 2


def test_an_index_built_from_unstable_scans_has_all_messages(
    account: Account, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(account, "INBOX", b"a\n", b"b\n", b"c\n")
    view = account.select("INBOX", False, nobody)
    scan = MaildirFolder.scan
    turn = iter(range(100))

    def skipping(self: MaildirFolder) -> Scan:
        found = sorted(scan(self).locators)
        del found[next(turn) % 3]
        return Scan(frozenset(found), Fingerprint(b"x", False), stable=False)

    monkeypatch.setattr(MaildirFolder, "scan", skipping)
    shutil.rmtree(account.spec.index)
    view.sync()
    assert view.updates(True) == []
    assert list(view.uids) == [1, 2, 3]
    assert account.index.mailbox(view.mailbox.id).snapshot() is not None


def test_the_loss_of_the_index_is_not_seen(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n", b"b\n", flags=FLAGGED, keywords=("Work",))
    mine = account.select("INBOX", False, nobody)
    other = place.open(1).select("INBOX", False, nobody)
    mine.store([2], FlagOp.ADD, DELETED, ())
    mine.updates(True)
    before, uidvalidity = mine.highestmodseq, mine.uidvalidity
    shutil.rmtree(account.spec.index)
    assert mine.updates(True) == []
    assert (mine.flags_of(1) or 0) & 0xFF == FLAGGED
    assert mine.stale
    assert mine.store([1], FlagOp.ADD, SEEN, ()).changed[0][2] > before
    other.sync()
    assert [(one.uid, one.flags & 0xFF) for one in other.updates(True) if isinstance(one, FlagsChanged)] == [
        (1, FLAGGED | SEEN),
        (2, FLAGGED | DELETED),
    ]
    assert (other.uidvalidity, list(other.uids), other.keywords) == (uidvalidity, [1, 2], ("Work",))
    assert mine.vanished_since(before, None) == mine.vanished_since(0, None)
    assert account.status("INBOX").recent == 0


def test_an_old_index_put_back_expunges_nothing(account: Account, place: Place) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    account.release()
    index = place.root / "index"
    shutil.copytree(index, place.root / "saved")
    put(account, "INBOX", b"b\n", b"c\n")
    view.sync()
    assert view.updates(True)[-1] == Exists(3, 3)
    newest = view.highestmodseq
    account.release()
    shutil.rmtree(index)
    (place.root / "saved").rename(index)
    assert view.updates(True) == []
    assert view.stale
    view.sync()
    assert view.updates(True) == []
    assert list(view.uids) == [1, 2, 3]
    assert view.highestmodseq > newest


def test_an_index_that_is_being_built_is_none_to_readers(account: Account) -> None:
    """Between its making and its filling it has no messages; a session must not take that for the truth."""
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    mailbox = view.mailbox
    mailbox.index.create(mailbox.folder.header(), view.highestmodseq)
    assert view.updates(True) == []
    assert account.try_status("INBOX") is None
    assert view.stale
    view.sync()
    assert view.updates(True) == []
    assert view.exists == 1


def test_modseqs_stay_below_the_ceiling_in_the_store(account: Account) -> None:
    put(account, "INBOX", b"a\n")
    view = account.select("INBOX", False, nobody)
    for op in (FlagOp.ADD, FlagOp.REMOVE):
        newest = view.store([1], op, SEEN, ()).changed[0][2]
        assert newest <= account.store.modseq_ceiling(view.mailbox.folder)
