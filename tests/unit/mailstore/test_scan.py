"""Listing a folder that other programs change."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from culverhouse.mailstore.maildir import scan
from culverhouse.mailstore.maildir.folder import MaildirFolder
from culverhouse.mailstore.maildir.root import Root


class Place:
    """A folder on disk, quiet for a while."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new, self.cur, self.tmp = (path / name for name in ("new", "cur", "tmp"))
        for part in (self.new, self.cur, self.tmp):
            part.mkdir()
        self.root = Root(os.fsencode(path))
        self.folder = MaildirFolder(self.root, b"", os.fsencode(path))

    def put(self, *names: str, age: float = 3600) -> None:
        for name in names:
            part = self.new if name.startswith("new/") else self.cur
            (part / name.removeprefix("new/")).write_bytes(name.encode())
        when = time.time() - age
        for part in (self.new, self.cur):
            os.utime(part, (when, when))

    def events(self) -> list[str]:
        return [report.event for report in self.root.drain_reports()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def during_listing(monkeypatch: pytest.MonkeyPatch, part: Path, act: Callable[[], object], times: int = 1) -> None:
    """Do something while the directory is being listed."""
    listdir = os.listdir
    left = [times]

    def listing(path: bytes) -> list[bytes]:
        found = listdir(path)
        if path == os.fsencode(part) and left[0]:
            left[0] -= 1
            act()
        return found

    monkeypatch.setattr(os, "listdir", listing)


def test_a_quiet_folder_is_stable_and_settled(place: Place) -> None:
    place.put("new/1.a", "2.b:2,S")
    found = place.folder.scan()
    assert found.locators == {b"new/1.a", b"2.b:2,S"}
    assert found.stable
    assert found.fingerprint.settled
    assert found.fingerprint == place.folder.fingerprint()


def test_a_folder_changed_just_now_is_not_settled(place: Place) -> None:
    place.put("2.b:2,S", age=1)
    assert not place.folder.fingerprint().settled
    place.put("2.b:2,S", age=2.5)
    assert place.folder.fingerprint().settled


def test_a_time_in_the_future_is_settled(place: Place) -> None:
    # The next change gives the directory another time; otherwise each look would list it.
    place.put("2.b:2,S", age=-86400)
    found = place.folder.scan()
    assert found.stable
    assert found.fingerprint.settled


def test_a_message_that_moves_meanwhile_is_seen_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("new/1.a", "2.b:2,S")
    during_listing(monkeypatch, place.new, lambda: os.rename(place.new / "1.a", place.cur / "1.a:2,"))
    found = place.folder.scan()
    assert found.locators == {b"1.a:2,", b"2.b:2,S"}
    assert found.stable
    assert (place.cur / "1.a:2,").exists()
    assert not place.events()


def test_a_message_that_readdir_skips_is_not_missing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename while the directory is read may hide the message altogether; such a listing proves nothing."""
    place.put("1.a:2,", "2.b:2,S")
    listdir = os.listdir
    turns: list[int] = []

    def listing(path: bytes) -> list[bytes]:
        found = listdir(path)
        if path == os.fsencode(place.cur) and len(turns) < 2:
            turns.append(1)
            flags = "F" * (len(turns) % 2)
            (old,) = [name for name in found if name.startswith(b"1.a")]
            os.rename(os.path.join(path, old), place.cur / f"1.a:2,{flags}")
            return [name for name in found if not name.startswith(b"1.a")]
        return found

    monkeypatch.setattr(os, "listdir", listing)
    found = place.folder.scan()
    assert len(turns) == 2
    assert found.stable
    assert {name.partition(b":")[0] for name in found.locators} == {b"1.a", b"2.b"}


def test_a_folder_that_never_rests_gives_an_unstable_scan(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("1.a:2,")
    during_listing(monkeypatch, place.cur, lambda: (place.cur / str(time.time_ns())).touch(), times=100)
    assert not place.folder.scan().stable


def test_a_change_in_the_same_tick_is_no_stable_listing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory bears the same time before and after, since the kernel's clock did not tick in between."""
    place.put("1.a:2,")
    stamp = scan._coarse_clock()
    os.utime(place.cur, ns=(stamp, stamp))
    monkeypatch.setattr(scan, "_coarse_clock", lambda: stamp)
    listing = scan.Listing(os.fsencode(place.path))
    assert not listing.stable
    monkeypatch.setattr(scan, "_coarse_clock", lambda: stamp + 1)
    assert scan.Listing(os.fsencode(place.path)).stable


def test_two_files_of_one_base_become_two_messages(place: Place) -> None:
    place.put("1.a,S=7:2,S", "1.a,S=7:2,F", "2.b:2,")
    (place.cur / "1.a,S=7:2,F").write_bytes(b"flagged")
    found = place.folder.scan()
    assert found.stable
    assert len(found.locators) == 3
    kept = found.locators & {b"1.a,S=7:2,S", b"1.a,S=7:2,F"}
    assert kept == {b"1.a,S=7:2,F"}
    (renamed,) = found.locators - kept - {b"2.b:2,"}
    parsed = place.folder.parse(renamed)
    assert (parsed.size, parsed.flags) == (7, 1)
    assert (place.cur / os.fsdecode(renamed)).read_bytes() == b"1.a,S=7:2,S"
    assert place.events() == ["duplicate-name"]
    assert place.folder.scan().locators == found.locators


def test_a_double_in_new_and_cur_is_set_apart(place: Place) -> None:
    place.put("new/1.a", "1.a:2,S")
    found = place.folder.scan()
    assert b"1.a:2,S" in found.locators
    assert len(found.locators) == 2
    assert sum(name.startswith(b"new/") for name in found.locators) == 1
    assert place.events() == ["duplicate-name"]


def test_a_second_link_of_a_message_is_removed_only_when_it_is_old(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("1.a:2,S")
    os.link(place.cur / "1.a:2,S", place.cur / "1.a:2,")
    place.put()
    found = place.folder.scan()
    assert found.locators == {b"1.a:2,"}
    assert len(list(place.cur.iterdir())) == 2
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert place.folder.scan().locators == {b"1.a:2,"}
    assert [path.name for path in place.cur.iterdir()] == ["1.a:2,"]
    assert place.events() == ["duplicate-link"]


def test_doubles_wait_for_a_lock_that_is_held(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("1.a:2,S", "1.a:2,F")
    (place.path / "dovecot-uidlist.lock").write_text("1:another-host")
    before = sorted(path.name for path in place.cur.iterdir())
    monkeypatch.setattr(place.folder, "lock", ShortLock(place.folder.lock))
    found = place.folder.scan()
    assert len(found.locators) == 1
    assert sorted(path.name for path in place.cur.iterdir()) == before


class ShortLock:
    """A lock that nobody waits for."""

    def __init__(self, lock: object) -> None:
        self._lock = lock

    def held(self, wait: float = 0) -> object:
        return self._lock.held(0)  # type: ignore[attr-defined]


def test_files_that_are_no_messages_are_left_out(place: Place) -> None:
    place.put("1.a:2,S", ".hidden", "new/.nfs0001", "2.b\nx:2,", "3.c\r")
    assert place.folder.scan().locators == {b"1.a:2,S"}
    assert sorted(path.name for path in place.cur.iterdir()) == [".hidden", "1.a:2,S", "2.b\nx:2,", "3.c\r"]


def test_files_without_a_base_get_one(place: Place) -> None:
    place.put("1.a:2,S", ":2,F", "new/,S=5")
    found = place.folder.scan()
    assert len(found.locators) == 3
    parsed = sorted((place.folder.parse(name) for name in found.locators), key=lambda one: one.flags)
    assert [(one.recent, one.flags, one.size) for one in parsed] == [(True, 0, 5), (False, 1, None), (False, 4, None)]
    assert all(one.base for one in parsed)
    assert sorted(place.events()) == ["misnamed-file", "misnamed-file"]


def test_finding_a_message_by_its_base(place: Place) -> None:
    place.put("1.a:2,S", "1.ab,S=3:2,", "new/2.c", "3.d")
    index = scan.Index(scan.Listing(os.fsencode(place.path)))
    for base, locator in ((b"1.a", b"1.a:2,S"), (b"1.ab", b"1.ab,S=3:2,"), (b"2.c", b"new/2.c"), (b"3.d", b"3.d")):
        assert index.find(base) == locator
    for base in (b"1", b".a", b"1.", b"c"):
        assert index.find(base) is None


def test_a_fingerprint_shows_side_files(place: Place) -> None:
    seen = {place.folder.fingerprint().key}
    for name in ("dovecot-keywords", "culverhouse-mailbox", "dovecot-uidlist"):
        (place.path / name).write_text("x")
        seen.add(place.folder.fingerprint().key)
    assert len(seen) == 4
    with (place.path / "dovecot-uidlist").open("a") as file:
        file.write("appended: no message changed")
    assert place.folder.fingerprint().key in seen
