"""A Maildir store on a disk that others use too, and after crashes."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from culverhouse.mailstore import durable
from culverhouse.mailstore.formats import open_store
from culverhouse.mailstore.maildir import leftovers, structure
from culverhouse.mailstore.maildir.store import MaildirStore
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import SEEN
from culverhouse.model.store import Arrival


@pytest.fixture(autouse=True)
def clean_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_cleaned", {})


def make(path: Path, layout: str = "maildir++") -> MaildirStore:
    store = MaildirStore(str(path / "Maildir"), layout, "/", "")
    store.prepare()
    return store


def kind_of(call: object, *args: object) -> Kind:
    assert callable(call)
    with pytest.raises(MailError) as caught:
        call(*args)
    return caught.value.kind


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def names(store: MaildirStore) -> list[str]:
    return [info.name for info in store.mailboxes() if info.selectable]


# -- formats --


@pytest.mark.parametrize("where", ["mbox:/x", "maildir:relative", "maildir:", "", "/x"])
def test_stores_that_cannot_be_served(where: str) -> None:
    spec = AccountSpec("a", where, "maildir++", "/", "", "/index")
    assert kind_of(open_store, spec, "/private") is Kind.UNAVAILABLE


def test_a_root_is_made_with_its_parents(tmp_path: Path) -> None:
    spec = AccountSpec("a", f"maildir:{tmp_path}/a/b/Maildir", "fs", "/", "", "/index")
    store = open_store(spec, "/private")
    store.prepare()
    assert (tmp_path / "a/b/Maildir").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (tmp_path / "a/b/Maildir").iterdir()) == ["cur", "new", "tmp"]


# -- what others left --


def test_directories_with_any_bytes_are_listed_and_selected(tmp_path: Path) -> None:
    store = make(tmp_path)
    for name in (b".\xff\xfe", b".caf\xe9", b".&broken", b".a\nb"):
        os.mkdir(os.path.join(os.fsencode(tmp_path), b"Maildir", name))
    listed = names(store)
    assert sorted(map(os.fsencode, listed)) == [b"&broken", b"INBOX", b"a\nb", b"caf\xe9", b"\xff\xfe"]
    for name in listed:
        assert store.folder(name).header().uidnext == 1


def test_missing_parts_are_made_in_a_mailbox(tmp_path: Path) -> None:
    store = make(tmp_path)
    (tmp_path / "Maildir/.Bare").mkdir()
    assert store.folder("Bare").scan().locators == set()
    (tmp_path / "Maildir/.Bare/tmp").rmdir()
    store.folder("Bare").spool().discard()
    assert sorted(p.name for p in (tmp_path / "Maildir/.Bare").iterdir() if p.is_dir()) == ["cur", "new", "tmp"]


def test_without_cur_a_directory_of_the_fs_layout_is_no_mailbox(tmp_path: Path) -> None:
    store = make(tmp_path, "fs")
    (tmp_path / "Maildir/way").mkdir()
    assert kind_of(store.folder, "way") is Kind.NONEXISTENT
    store.create("way")
    assert store.folder("way").header().uidnext == 1


@pytest.mark.parametrize("part", ["cur", "new", "tmp"])
def test_parts_that_lead_out_of_the_store(tmp_path: Path, part: str) -> None:
    store = make(tmp_path)
    store.create("a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "Maildir/.a" / part).rmdir()
    (tmp_path / "Maildir/.a" / part).symlink_to(tmp_path / "elsewhere")
    assert kind_of(store.folder, "a") is Kind.NOPERM
    assert names(store) == ["INBOX", "a"]


@pytest.mark.parametrize("layout", ["maildir++", "fs"])
def test_nothing_is_made_or_moved_through_a_link_out_of_the_store(tmp_path: Path, layout: str) -> None:
    store = make(tmp_path, layout)
    outside = tmp_path / "outside"
    (outside / "cur").mkdir(parents=True)
    link = tmp_path / "Maildir" / (".out" if layout == "maildir++" else "out")
    link.symlink_to(outside)
    store.create("inside")
    assert names(store) == ["INBOX", "inside"]
    assert kind_of(store.folder, "out") is Kind.NONEXISTENT
    assert kind_of(store.delete, "out") is Kind.NONEXISTENT
    assert kind_of(store.rename, "out", "x") is Kind.NONEXISTENT
    assert kind_of(store.create, "out") in (Kind.CANNOT, Kind.ALREADYEXISTS)
    if layout == "fs":
        assert kind_of(store.create, "out/x") is Kind.CANNOT
        assert kind_of(store.rename, "inside", "out/x") is Kind.CANNOT
    assert [path.name for path in outside.rglob("*")] == ["cur"]
    assert link.is_symlink()


def test_an_alias_inside_the_store_is_the_same_mailbox(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.create("real")
    (tmp_path / "Maildir/.alias").symlink_to(tmp_path / "Maildir/.real")
    assert store.folder("alias").header() == store.folder("real").header()
    with store.folder("real").locked(), store.folder("alias").locked(0) as transaction:
        assert transaction.header.uidnext == 1
    assert kind_of(store.delete, "alias") is Kind.CANNOT


def test_a_file_where_a_mailbox_would_be(tmp_path: Path) -> None:
    store = make(tmp_path, "fs")
    (tmp_path / "Maildir/file").write_text("mine")
    for name in ("file", "file/below"):
        assert kind_of(store.create, name) is Kind.CANNOT
        assert kind_of(store.folder, name) is Kind.NONEXISTENT
    assert (tmp_path / "Maildir/file").read_text() == "mine"


def test_there_is_a_limit_to_mailboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path)
    monkeypatch.setattr(structure, "MAX_MAILBOXES", 2)
    store.create("a")
    store.create("b")
    assert kind_of(store.create, "c") is Kind.LIMIT


def test_a_family_renamed_too_long_stays(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.create("a")
    store.create("a/" + "x" * 150)
    assert kind_of(store.rename, "a", "y" * 150) is Kind.CANNOT
    assert names(store) == ["INBOX", "a", "a/" + "x" * 150]


def test_a_rename_does_not_swallow_what_lies_below_the_new_name(tmp_path: Path) -> None:
    store = make(tmp_path)
    for name in ("a", "a/x", "b/x"):
        store.create(name)
    assert kind_of(store.rename, "a", "b") is Kind.ALREADYEXISTS
    assert names(store) == ["INBOX", "a", "a/x", "b/x"]


def test_a_parent_that_is_no_mailbox_can_be_renamed(tmp_path: Path) -> None:
    for layout in ("maildir++", "fs"):
        store = make(tmp_path / layout, layout)
        store.create("a/b")
        store.rename("a", "c")
        assert names(store) == ["INBOX", "c/b"]
        assert kind_of(store.rename, "nothing", "d") is Kind.NONEXISTENT


def test_special_use_is_read_anew_when_it_changed(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.create("a", ["\\Sent"])
    assert store.mailboxes()[1].special_use == ("\\Sent",)
    (tmp_path / "Maildir/.a/culverhouse-mailbox").write_text('{"version":1,"special_use":["\\\\Drafts"]}')
    assert store.mailboxes()[1].special_use == ("\\Drafts",)
    store.delete("a")
    store.create("a")
    assert store.mailboxes()[1].special_use == ()


def test_ways_that_lead_nowhere_go_with_the_last_mailbox(tmp_path: Path) -> None:
    store = make(tmp_path, "fs")
    for name in ("a/b/c", "a/d/e", "x"):
        store.create(name)
    store.delete("a/b/c")
    assert [info.name for info in store.mailboxes()] == ["INBOX", "a", "a/d", "a/d/e", "x"]
    store.rename("a/d/e", "y")
    assert [info.name for info in store.mailboxes()] == ["INBOX", "x", "y"]
    (tmp_path / "Maildir/p/q").mkdir(parents=True)
    store.delete("p/q")
    assert [info.name for info in store.mailboxes()] == ["INBOX", "x", "y"]


# -- work in progress --


def test_a_mailbox_that_is_worked_on_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path)
    folder = store.create("a")
    (tmp_path / "Maildir/.a/dovecot-uidlist.lock").write_text("1:another-host")
    locked = folder.locked
    monkeypatch.setattr(folder, "locked", lambda: locked(0))
    assert kind_of(store.delete, "a") is Kind.INUSE
    assert names(store) == ["INBOX", "a"]


def test_a_renamed_mailbox_keeps_no_lock(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.create("a")
    store.create("a/b")
    store.rename("a", "c")
    for folder in (store.folder("c"), store.folder("c/b")):
        with folder.locked(0):
            pass
    assert not list((tmp_path / "Maildir").rglob("*.lock"))


def test_a_transaction_in_a_mailbox_that_was_renamed_away_fails(tmp_path: Path) -> None:
    store = make(tmp_path)
    folder = store.create("a")
    spool = folder.spool()
    spool.finish()
    store.rename("a", "b")
    with pytest.raises(MailError) as caught, folder.locked():
        pass
    assert caught.value.kind is Kind.NONEXISTENT
    spool.discard()


# -- leftovers --


def test_leftovers_of_dead_processes_go(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.create("a")
    host, dead = socket.gethostname(), dead_process()
    tmp = tmp_path / "Maildir/.a/tmp"
    gone = [f"1.M1P{dead}Q1.{host}", f"culverhouse-{dead}-7"]
    kept = [f"1.M1P{os.getpid()}Q1.{host}", f"1.M1P{dead}Q1.another-host", f"culverhouse-{os.getpid()}-7", "9.other"]
    for name in (*gone, *kept):
        (tmp / name).touch()
    leftovers._cleaned.clear()
    make(tmp_path)
    assert sorted(path.name for path in tmp.iterdir()) == sorted(kept)


def test_old_files_in_tmp_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    (tmp_path / "Maildir/tmp/9.other").touch()
    (tmp_path / f"Maildir/tmp/culverhouse-{os.getpid()}-7").touch()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 37 * 3600)
    leftovers._cleaned.clear()
    make(tmp_path)
    assert not list((tmp_path / "Maildir/tmp").iterdir())


@pytest.mark.parametrize("layout", ["maildir++", "fs"])
def test_drafts_and_deleted_mailboxes_go_after_an_hour(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path, layout)
    draft = Path(os.fsdecode(store._structure._hidden(os.fsencode(tmp_path / "Maildir"))))
    (draft / "cur/deep").mkdir(parents=True)
    (draft / "cur/1.a").touch()
    (draft / "link").symlink_to("/etc")
    leftovers._cleaned.clear()
    make(tmp_path, layout)
    assert draft.exists()
    assert names(store) == ["INBOX"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    leftovers._cleaned.clear()
    make(tmp_path, layout)
    assert not draft.exists()
    assert os.path.isdir("/etc")


def test_a_deletion_that_was_cut_short_hands_nothing_on(tmp_path: Path) -> None:
    """In the fs layout a mailbox with children goes piece by piece, cur/ first."""
    store = make(tmp_path, "fs")
    store.create("a", ["\\Sent"])
    store.create("a/b")
    with store.folder("a").locked() as transaction:
        transaction.keyword_numbers(["old"])
        transaction.reserve_modseq(77)
    old = store.folder("a").header()
    place = tmp_path / "Maildir/a"
    (place / "cur").rename(tmp_path / "gone")
    assert names(store) == ["INBOX", "a/b"]
    folder = store.create("a")
    assert folder.keywords() == ()
    assert folder.header().guid != old.guid
    assert store.modseq_ceiling(folder) == 0
    assert {info.name: info.special_use for info in store.mailboxes()}["a"] == ()


def test_renames_that_were_cut_short_are_finished(tmp_path: Path) -> None:
    store = make(tmp_path)
    for name in ("a", "a/b", "a/c"):
        store.create(name)
    root = tmp_path / "Maildir"
    pairs = [[".a", ".x"], [".a.b", ".x.b"], [".a.c", ".x.c"]]
    (root / "culverhouse-renames").write_text(json.dumps(pairs))
    (root / ".a").rename(root / ".x")
    make(tmp_path)
    assert names(store) == ["INBOX", "x", "x/b", "x/c"]
    assert not list(root.glob("culverhouse-renames*"))


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '[["../x", ".y"]]', '[[".a", "../../x"]]', '[["cur", ".y"]]', '[["..", ".y"]]']
)
def test_renames_that_make_no_sense_do_nothing(tmp_path: Path, content: str) -> None:
    store = make(tmp_path)
    store.create("a")
    (tmp_path / "x").mkdir()
    (tmp_path / "Maildir/culverhouse-renames").write_text(content)
    make(tmp_path)
    assert names(store) == ["INBOX", "a"]
    assert (tmp_path / "x").exists()
    assert (tmp_path / "Maildir/cur").exists()
    assert not (tmp_path / "Maildir/culverhouse-renames").exists()


def test_an_intent_of_a_mailbox_that_is_gone_goes_too(tmp_path: Path) -> None:
    store = make(tmp_path)
    folder = store.create("a")
    folder.intent.write([])
    path = Path(os.fsdecode(folder.intent._forward))
    os.rename(tmp_path / "Maildir/.a", tmp_path / "gone")
    assert path.exists()
    make(tmp_path)
    assert not path.exists()


def test_prepare_does_not_wait_for_a_transaction_in_progress(tmp_path: Path) -> None:
    store = make(tmp_path)
    folder = store.folder("INBOX")
    folder.intent.write([])
    (tmp_path / "Maildir/dovecot-uidlist.lock").write_text("1:another-host")
    before = time.monotonic()
    make(tmp_path)
    assert time.monotonic() - before < 10
    assert list((tmp_path / "Maildir").glob("culverhouse-intent*"))


# -- what a client is told --


def test_an_unreadable_root_is_told_without_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path)

    def refuse(path: object) -> object:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MailError) as caught:
        store.mailboxes()
    assert caught.value.kind is Kind.NOPERM
    assert str(tmp_path) not in caught.value.text
    assert str(tmp_path) in str(caught.value.__cause__)


def test_creation_on_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(tmp_path)

    def full(step: str) -> None:
        if step == "uidlist-write":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "step", full)
    assert kind_of(store.create, "a") is Kind.OVERQUOTA
    monkeypatch.undo()
    assert names(store) == ["INBOX"]
    assert not [path for path in (tmp_path / "Maildir").iterdir() if "temp" in path.name]


def test_many_mailboxes_are_listed(tmp_path: Path) -> None:
    store = make(tmp_path)
    for number in range(300):
        (tmp_path / f"Maildir/.f{number}").mkdir()
        (tmp_path / f"Maildir/.f{number}.deep.down").mkdir()
    listed = store.mailboxes()
    assert len(listed) == 1 + 3 * 300
    seen: set[str] = set()
    for info in listed:
        parent = info.name.rpartition("/")[0]
        assert not parent or parent in seen
        seen.add(info.name)


def test_messages_survive_a_new_layout_of_the_same_bytes(tmp_path: Path) -> None:
    """INBOX lies in the same place in both layouts, as in Dovecot."""
    folder = make(tmp_path).folder("INBOX")
    spool = folder.spool()
    spool.write(b"x")
    spool.finish()
    with folder.locked() as transaction:
        transaction.add([Arrival(spool, SEEN, None)])
    other = make(tmp_path, "fs").folder("INBOX")
    assert other.scan().locators == folder.scan().locators
    assert other.header() == folder.header()
