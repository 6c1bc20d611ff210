"""A Maildir whose other users are mutt, Dovecot, mbsync, and a failing disk."""

import errno
import os
import socket
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from culverhouse.mailstore import durable
from culverhouse.mailstore.maildir import transaction as transactions
from culverhouse.mailstore.maildir.folder import MaildirFolder
from culverhouse.mailstore.maildir.store import MaildirStore
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import DELETED, FLAGGED, SEEN, keyword_bit
from culverhouse.model.store import Arrival, Stored


class Place:
    """A store with an INBOX and a folder `Other`."""

    def __init__(self, path: Path) -> None:
        self.path = path / "Maildir"
        self.store = MaildirStore(str(self.path), "maildir++", "/", "")
        self.store.prepare()
        self.inbox = self.store.folder("INBOX")
        self.other = self.store.create("Other")
        self.cur, self.new, self.tmp = (self.path / part for part in ("cur", "new", "tmp"))

    def add(self, content: bytes, flags: int = 0, folder: MaildirFolder | None = None) -> Stored:
        folder = folder or self.inbox
        spool = folder.spool()
        spool.write(content)
        spool.finish()
        with folder.locked() as transaction:
            (stored,) = transaction.add([Arrival(spool, flags, 1_000_000)])
        return stored

    def files(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file() or path.is_symlink()
        )

    def events(self) -> list[str]:
        return [report.event for report in self.inbox.drain_reports()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the steps of that name fail, from the n-th on or just there."""

    def set_up(name: str, code: int = errno.ENOSPC, at: int = 1, once: bool = False) -> None:
        count = [0]

        def on(step: str) -> None:
            if step == name:
                count[0] += 1
                if count[0] == at or (count[0] > at and not once):
                    raise OSError(code, os.strerror(code))

        monkeypatch.setattr(durable, "step", on)

    return set_up


def kind_of(call: Callable[..., object], *args: object) -> Kind:
    with pytest.raises(MailError) as caught:
        call(*args)
    return caught.value.kind


# -- names on disk --


def test_names_and_places_of_new_messages(place: Place) -> None:
    plain = place.add(b"a\n")
    seen = place.add(b"a\r\n", SEEN | FLAGGED)
    with place.inbox.locked() as transaction:
        transaction.keyword_numbers(["$Label1"])
    tagged = place.add(b"a", keyword_bit(0))
    assert plain.locator.startswith(b"new/")
    assert plain.locator.endswith(b",S=2,W=3")
    assert seen.locator.endswith(b",S=3,W=3:2,FS")
    assert tagged.locator.endswith(b",S=1,W=1:2,a")
    host = socket.gethostname().encode()
    assert host in plain.locator
    uidlist = (self_uidlist := place.path / "dovecot-uidlist").read_bytes().splitlines()[1:]
    assert self_uidlist.stat().st_mode & 0o777 == 0o600
    assert uidlist == [
        b"1 :" + plain.locator.removeprefix(b"new/"), b"2 :" + seen.locator.removesuffix(b":2,FS"),
        b"3 :" + tagged.locator.removesuffix(b":2,a"),
    ]  # fmt: skip
    assert (place.path / "dovecot-keywords").read_bytes() == b"0 $Label1\n"
    assert not list(place.tmp.iterdir())


def test_modes_follow_the_root(tmp_path: Path) -> None:
    (tmp_path / "Maildir").mkdir()
    (tmp_path / "Maildir").chmod(0o2770)
    place = Place(tmp_path)
    with place.other.locked() as transaction:
        transaction.keyword_numbers(["x"])
    stored = place.add(b"x", SEEN, place.other)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (place.path / ".Other").rglob("*")}
    assert (place.path / ".Other").stat().st_mode & 0o7777 == 0o2770
    assert {modes[name] for name in ("cur", "new", "tmp")} == {0o2770}
    assert {modes[name] for name in ("dovecot-uidlist", "dovecot-keywords", os.fsdecode(stored.locator))} == {0o660}


def test_flags_of_others_stay_in_a_name(place: Place) -> None:
    (place.cur / "1.a:2,PSz").touch()
    assert place.inbox.change_flags(b"1.a:2,PSz", lambda flags: flags | FLAGGED) == (
        b"1.a:2,FPSz", SEEN | FLAGGED | keyword_bit(25)
    )  # fmt: skip


def test_flags_in_a_name_in_new_are_read_and_changed_in_cur(place: Place) -> None:
    # Dovecot leaves such names when it changes flags of a message nobody has seen.
    (place.new / "1.a:2,S").touch()
    assert place.inbox.parse(b"new/1.a:2,S").flags == SEEN
    assert place.inbox.change_flags(b"new/1.a:2,S", lambda flags: 0) == (b"1.a:2,", 0)
    (place.new / "2.b:2,S").touch()
    assert place.inbox.claim_new([b"new/2.b:2,S"]) == {b"new/2.b:2,S": b"2.b:2,S"}


def test_a_rename_never_takes_the_place_of_another_file(place: Place) -> None:
    (place.cur / "1.a:2,").write_text("one")
    (place.cur / "1.a:2,S").write_text("two")
    when = time.time() - 60
    os.utime(place.cur, (when, when))
    changed = place.inbox.change_flags(b"1.a:2,", lambda flags: flags | SEEN)
    assert changed == (b"1.a:2,S", SEEN)
    assert {path.read_text() for path in place.cur.iterdir()} == {"one", "two"}
    assert (place.cur / "1.a:2,S").read_text() == "one"


def test_flags_that_change_all_the_time_are_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = place.add(b"x", SEEN)

    def contrary(flags: int) -> int:
        (name,) = place.cur.iterdir()
        other = name.name[:-1] if name.name.endswith("S") else name.name + "S"
        name.rename(name.with_name(other))
        return flags | DELETED

    assert kind_of(place.inbox.change_flags, stored.locator, contrary) is Kind.UNAVAILABLE


def test_mbsync_may_add_its_own_uid(place: Place) -> None:
    stored = place.add(b"x", SEEN)
    (name,) = place.cur.iterdir()
    base, flags = name.name.split(":")
    name.rename(place.cur / f"{base},U=7:{flags}")
    located = place.inbox.locate(stored.locator)
    assert located == f"{base},U=7:{flags}".encode()
    with place.inbox.locked() as transaction:
        assert transaction.assign([located]) == {located: 1}


def test_a_size_corrected_by_dovecot_keeps_its_uid(place: Place) -> None:
    stored = place.add(b"x", SEEN)
    (name,) = place.cur.iterdir()
    renamed = name.name.split(",")[0] + ",S=1:2,S"
    name.rename(place.cur / renamed)
    with place.inbox.locked() as transaction:
        assert transaction.assign([renamed.encode()]) == {renamed.encode(): 1}
    assert place.inbox.locate(stored.locator) == renamed.encode()


def test_a_corrected_size_is_in_the_uidlist_too(place: Place) -> None:
    stored = place.add(b"xy", SEEN)
    corrected = place.inbox.correct_size(stored.locator, 7, 8)
    line = (place.path / "dovecot-uidlist").read_bytes().splitlines()[1]
    assert line == b"1 :" + corrected.removesuffix(b":2,S")
    assert corrected.endswith(b",S=7,W=8:2,S")
    # The next one would rewrite the list again; it has to wait its turn, and costs nothing.
    assert place.inbox.correct_size(corrected, 9, 9) == corrected


def test_a_size_is_left_wrong_while_the_folder_is_locked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = place.add(b"xy", SEEN)
    (place.path / "dovecot-uidlist.lock").write_text("1:another-host")
    locked = place.inbox.locked
    monkeypatch.setattr(place.inbox, "locked", lambda wait=0.0: locked(0))
    assert place.inbox.correct_size(stored.locator, 7, 8) == stored.locator


# -- reading --


@pytest.mark.parametrize("what", ["directory", "pipe", "link", "loop"])
def test_what_is_no_file_is_unreadable(place: Place, what: str) -> None:
    path = place.cur / "1.a:2,S"
    if what == "directory":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd" if what == "link" else path)
    assert kind_of(place.inbox.open, b"1.a:2,S") is Kind.UNREADABLE
    assert place.events() == ["message-unreadable"]
    with place.other.locked() as transaction:
        assert kind_of(transaction.copy_from, place.inbox, [(b"1.a:2,S", 0)]) is Kind.UNREADABLE
        assert kind_of(transaction.move_from, place.inbox, [(b"1.a:2,S", 0)]) is Kind.UNREADABLE
    assert stat.S_IFMT(path.lstat().st_mode) != stat.S_IFREG


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_unreadable(place: Place) -> None:
    (place.cur / "1.a:2,S").touch(mode=0)
    assert kind_of(place.inbox.open, b"1.a:2,S") is Kind.UNREADABLE


def test_a_failing_read_is_unreadable_and_told_with_its_path(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = place.add(b"x")

    def refuse(path: bytes, *_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    assert kind_of(place.inbox.open, stored.locator) is Kind.UNREADABLE
    (report,) = place.inbox.drain_reports()
    assert report.path == os.fsdecode(place.inbox.place(stored.locator))


def test_looking_for_many_messages_lists_the_folder_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [place.add(b"x", SEEN) for _ in range(10)]
    for path in place.cur.iterdir():
        path.rename(path.with_name(path.name + "T"))
    when = time.time() - 60
    os.utime(place.cur, (when, when))
    os.utime(place.new, (when, when))
    listdir, count = os.listdir, []
    monkeypatch.setattr(os, "listdir", lambda path: count.append(path) or listdir(path))
    assert all(place.inbox.locate(one.locator) == one.locator + b"T" for one in stored)
    assert place.inbox.locate(b"gone:2,") is None
    assert len(count) == 2


# -- the disk refuses --


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, Kind.OVERQUOTA), (errno.EDQUOT, Kind.OVERQUOTA), (errno.EACCES, Kind.NOPERM),
        (errno.EROFS, Kind.NOPERM), (errno.EIO, Kind.UNAVAILABLE), (errno.EMFILE, Kind.UNAVAILABLE),
    ],
)  # fmt: skip
def test_what_the_client_is_told(place: Place, fail: Callable[..., None], code: int, kind: Kind) -> None:
    fail("uidlist-append", code)
    with pytest.raises(MailError) as caught:
        place.add(b"x")
    assert caught.value.kind is kind
    assert isinstance(caught.value.__cause__, OSError)
    assert str(place.path) not in caught.value.text


@pytest.mark.parametrize(
    "step", ["create", "spool-write", "spool-fsync", "uidlist-append", "uidlist-fsync", "rename", "dirsync"]
)
def test_a_refused_message_leaves_nothing(place: Place, fail: Callable[..., None], step: str) -> None:
    place.add(b"first")
    before = place.files()
    fail(step, once=True)
    assert kind_of(place.add, b"x") is Kind.OVERQUOTA
    assert place.files() == before
    assert len(place.inbox.scan().locators) == 1


@pytest.mark.parametrize(("step", "readers"), [("link", [2]), ("rename", [1]), ("nothing", [1, 2])])
def test_a_full_disk_does_not_stop_expunges(
    place: Place, fail: Callable[..., None], step: str, readers: list[int]
) -> None:
    stored = place.add(b"x")
    fail(step)
    assert place.inbox.expunge(stored.uid, stored.locator, (1, 2))
    assert not place.inbox.scan().locators
    assert [name for name in place.files() if name.startswith("tmp/")] == [f"tmp/culverhouse-{n}-1" for n in readers]


def test_a_full_disk_leaves_new_messages_in_new(place: Place, fail: Callable[..., None]) -> None:
    stored = place.add(b"x")
    fail("rename")
    assert place.inbox.claim_new([stored.locator]) == {stored.locator: stored.locator}


def test_a_spool_that_hits_a_full_disk_is_gone(place: Place, fail: Callable[..., None]) -> None:
    spool = place.inbox.spool()
    spool.write(b"x" * 100)
    fail("spool-write")
    assert kind_of(spool.write, b"more") is Kind.OVERQUOTA
    assert not list(place.tmp.iterdir())
    with pytest.raises(ValueError, match="closed"):
        spool.write(b"more")


def test_a_foreign_or_unfinished_spool_is_no_message(place: Place) -> None:
    spool = place.inbox.spool()
    spool.write(b"x")
    with place.inbox.locked() as transaction, pytest.raises(ValueError, match="finished"):
        transaction.add([Arrival(spool, 0, None)])
    spool = place.other.spool()
    spool.finish()
    with place.inbox.locked() as transaction, pytest.raises(ValueError, match="this folder"):
        transaction.add([Arrival(spool, 0, None)])
    assert place.inbox.scan().locators == set()


# -- copies --


def test_a_copy_is_a_link_and_shares_no_name(place: Place) -> None:
    stored = place.add(b"x", SEEN)
    with place.other.locked() as transaction:
        first, second = transaction.copy_from(place.inbox, [(stored.locator, 0), (stored.locator, 0)])
    assert first is not None
    assert second is not None
    paths = [place.inbox.place(stored.locator), place.other.place(first.locator), place.other.place(second.locator)]
    assert len({os.stat(path).st_ino for path in paths}) == 1
    assert os.stat(paths[0]).st_nlink == 3
    assert len({place.inbox.parse(one.locator).base for one in (stored, first, second)}) == 3


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_a_copy_is_made_of_bytes_where_links_are_refused(place: Place, fail: Callable[..., None], code: int) -> None:
    stored = place.add(b"some bytes\n" * 200_000, SEEN)
    fail("link", code)
    with place.other.locked() as transaction:
        (copy,) = transaction.copy_from(place.inbox, [(stored.locator, FLAGGED)])
    assert copy is not None
    one, two = os.stat(place.inbox.place(stored.locator)), os.stat(place.other.place(copy.locator))
    assert one.st_ino != two.st_ino
    assert (one.st_size, one.st_mtime_ns) == (two.st_size, two.st_mtime_ns)
    with closing(place.other.open(copy.locator)) as message:
        assert message.file.read() == b"some bytes\n" * 200_000


def test_a_full_disk_during_a_copy_leaves_nothing(place: Place, fail: Callable[..., None]) -> None:
    stored = [place.add(b"x", SEEN) for _ in range(3)]
    before = place.files()
    fail("link", at=2)
    with place.other.locked() as transaction:
        assert kind_of(transaction.copy_from, place.inbox, [(one.locator, 0) for one in stored]) is Kind.OVERQUOTA
    assert place.files() == before


def test_sizes_that_a_name_does_not_tell_are_counted(place: Place) -> None:
    (place.cur / "1.a:2,S").write_bytes(b"a\nb\r\nc\n")
    (place.cur / "2.b,S=99,W=100:2,S").write_bytes(b"a\n")
    with place.other.locked() as transaction:
        copies = transaction.copy_from(place.inbox, [(b"1.a:2,S", 0), (b"2.b,S=99,W=100:2,S", 0)])
        (moved,) = transaction.move_from(place.inbox, [(b"1.a:2,S", 0)])
    assert [one and (one.size, one.vsize) for one in (*copies, moved)] == [(7, 9), (2, 3), (7, 9)]


def test_a_move_between_file_systems(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = [place.add(b"one", SEEN), place.add(b"two")]
    rename = durable.rename

    def far(old: bytes, new: bytes, name: str = "rename") -> None:
        if old.startswith(place.inbox.directory + b"/cur") and b".Other" in new:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(old, new, name)

    monkeypatch.setattr(durable, "rename", far)
    with place.other.locked() as transaction:
        moved = transaction.move_from(place.inbox, [(one.locator, one.flags) for one in stored])
    assert [one and (one.flags, one.internaldate) for one in moved] == [(SEEN, 1_000_000), (0, 1_000_000)]
    assert place.inbox.scan().locators == set()
    assert place.other.scan().locators == {one.locator for one in moved if one}
    assert not [name for name in place.files() if "intent" in name or "/tmp/" in name or name.startswith("tmp/")]


def test_keywords_beyond_z_follow_a_message(place: Place) -> None:
    words = [f"w{number}" for number in range(30)]
    for folder in (place.inbox, place.other):
        with folder.locked() as transaction:
            transaction.keyword_numbers(words)
    stored = place.add(b"x", SEEN | keyword_bit(28))
    with place.other.locked() as transaction:
        (moved,) = transaction.move_from(place.inbox, [(stored.locator, stored.flags)])
    assert moved is not None
    assert place.other.parse(moved.locator).flags == SEEN | keyword_bit(28)
    fresh = MaildirStore(str(place.path), "maildir++", "/", "").folder("Other")
    assert [fresh.parse(locator).flags for locator in fresh.scan().locators] == [SEEN | keyword_bit(28)]


def test_marks_of_messages_that_are_gone_do_not_pile_up(place: Place) -> None:
    with place.inbox.locked() as transaction:
        transaction.keyword_numbers([f"w{number}" for number in range(27)])
        place.inbox.place_extra([(b"gone-%d" % number, keyword_bit(26)) for number in range(500)])
    stored = place.add(b"x", keyword_bit(26))
    place.inbox.scan()
    changed = place.inbox.change_flags(stored.locator, lambda flags: flags | SEEN)
    assert changed is not None
    second = place.add(b"x", keyword_bit(26))
    flags = place.inbox.side_file.load().flags
    assert set(flags) == {place.inbox.parse(one).base for one in (stored.locator, second.locator)}


# -- the uidlist and its messages --


def test_records_of_messages_that_are_gone_go_when_they_are_many(place: Place) -> None:
    with place.inbox.locked() as transaction:
        transaction.assign([b"gone-%d:2," % number for number in range(200)])
    stored = place.add(b"x", SEEN)
    when = time.time() - 60
    os.utime(place.cur, (when, when))
    os.utime(place.new, (when, when))
    assert place.inbox.scan().stable
    (place.cur / "new-one:2,").touch()
    os.utime(place.cur, (when, when))
    with place.inbox.locked() as transaction:
        assert transaction.assign([b"new-one:2,"]) == {b"new-one:2,": 202}
        assert transaction.uid_map() == {place.inbox.parse(stored.locator).base: 201, b"new-one": 202}
        assert transaction.header.uidnext == 203


def test_few_gone_messages_are_no_reason_to_rewrite(place: Place) -> None:
    with place.inbox.locked() as transaction:
        transaction.assign([b"gone-%d:2," % number for number in range(60)])
    inode = (place.path / "dovecot-uidlist").stat().st_ino
    place.inbox.scan()
    with place.inbox.locked() as transaction:
        transaction.assign([b"another:2,"])
    assert (place.path / "dovecot-uidlist").stat().st_ino == inode


def test_two_locators_of_one_base_get_one_uid(place: Place) -> None:
    with place.inbox.locked() as transaction:
        assert transaction.assign([b"new/1.a", b"1.a:2,S", b"2.b:2,"]) == {b"new/1.a": 1, b"1.a:2,S": 1, b"2.b:2,": 2}


def test_a_lost_uidlist_gives_a_higher_uidvalidity(place: Place) -> None:
    place.add(b"x")
    with place.inbox.locked() as transaction:
        transaction.reserve_modseq(5)
    before = place.inbox.header()
    (place.path / "dovecot-uidlist").unlink()
    after = place.inbox.header()
    assert after.uidvalidity > before.uidvalidity
    assert after.guid != before.guid
    assert after.uidnext == 1


def test_a_damaged_header_keeps_its_uidvalidity_when_we_remember_it(place: Place) -> None:
    stored = place.add(b"x", SEEN)
    with place.inbox.locked() as transaction:
        transaction.reserve_modseq(5)
    before = place.inbox.header()
    path = place.path / "dovecot-uidlist"
    path.write_bytes(b"\0" * 40 + b"\n" + path.read_bytes().split(b"\n", 1)[1])
    after = place.inbox.header()
    assert (after.uidvalidity, after.guid) == (before.uidvalidity, before.guid)
    with place.inbox.locked() as transaction:
        assert transaction.assign([stored.locator]) == {stored.locator: 1}
    assert place.events() == ["uidlist-repaired"]


# -- after a crash --


def test_an_intent_that_makes_no_sense_is_set_aside(place: Place) -> None:
    path = Path(os.fsdecode(place.other.intent._forward))
    for data in (b"", b"{}", b"[1]", b'{"version": 1, "folder": ".Other", "steps": [["", "tmp/x", "../../x"]]}',
                 b'{"version": 1, "folder": ".Other", "steps": [["/etc", "cur/x", "cur/y"]]}'):  # fmt: skip
        path.write_bytes(data)
        place.store.prepare()
        with place.other.locked():
            pass
        assert not path.exists()
        assert place.events() == ["intent-damaged"]
    assert place.other.scan().locators == set()


def test_an_intent_waits_while_the_disk_is_full(place: Place, fail: Callable[..., None]) -> None:
    spools = [place.other.spool() for _ in range(2)]
    for spool in spools:
        spool.finish()
    with place.other.locked() as transaction:
        steps = [transaction._coming(spool.path, 0, 0, 0, 0).step for spool in spools]
        place.other.intent.write(steps)
    fail("uidlist-append")
    with place.other.locked():
        pass
    assert place.events() == ["intent-waits"]
    fail("nothing")
    place.store.prepare()
    assert place.events() == ["intent-completed"]
    assert len(place.other.scan().locators) == 2
    assert place.other.header().uidnext == 3


def test_a_finished_intent_that_comes_back_does_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut may undo the removal of an intent whose messages were read, flagged and expunged since."""
    spools = [place.other.spool() for _ in range(2)]
    for spool in spools:
        spool.write(b"x")
        spool.finish()
    path = Path(os.fsdecode(place.other.intent._forward))
    kept: list[bytes] = []

    def on(step: str) -> None:
        if step == "uidlist-append":
            kept.append(path.read_bytes())

    monkeypatch.setattr(durable, "step", on)
    with place.other.locked() as transaction:
        one, two = transaction.add([Arrival(spool, SEEN, None) for spool in spools])
    place.other.expunge(1, one.locator, ())
    changed = place.other.change_flags(two.locator, lambda flags: flags | FLAGGED)
    assert changed is not None
    assert not path.exists()
    path.write_bytes(kept[0])
    place.store.prepare()
    assert place.other.scan().locators == {changed[0]}
    with place.other.locked() as transaction:
        assert transaction.assign([changed[0]]) == {changed[0]: 2}
    assert place.events() == []


def test_a_move_that_was_cut_short_finds_messages_whose_flags_changed(place: Place) -> None:
    stored = [place.add(b"x", SEEN) for _ in range(3)]
    with place.other.locked() as transaction:
        coming = [transaction._leaving(place.inbox, one.locator, SEEN) for one in stored]
        place.other.intent.write([one.step for one in coming if one])
    place.inbox.change_flags(stored[0].locator, lambda flags: flags | FLAGGED)
    place.inbox.expunge(2, stored[1].locator, ())
    place.store.prepare()
    assert place.inbox.scan().locators == set()
    assert len(place.other.scan().locators) == 2


def test_a_transaction_that_lost_its_lock_stops(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "_TOUCH_EVERY", 1)
    spool = place.inbox.spool()
    spool.finish()
    with place.inbox.locked() as transaction:
        (place.path / "dovecot-uidlist.lock").unlink()
        transaction._gate.touched -= 60
        assert kind_of(transaction.add, [Arrival(spool, 0, None)]) is Kind.UNAVAILABLE
    assert place.inbox.scan().locators == set()
    assert not list(place.tmp.iterdir())
    assert place.inbox.header().uidnext == 1
