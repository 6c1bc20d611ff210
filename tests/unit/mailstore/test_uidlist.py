"""`dovecot-uidlist` as Dovecot writes it, damaged, and under a failing disk."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from culverhouse.mailstore import durable
from culverhouse.mailstore.maildir import uidlist_text
from culverhouse.mailstore.maildir.uidlist import Origin, UidList
from culverhouse.mailstore.maildir.uidlist_text import Header
from culverhouse.model.errors import MailError
from culverhouse.model.store import FolderHeader

GUID = "26514a266cdb046bec37000083ecc375"
DOVECOT = b"""\
3 V1795480430 N7 G26514a266cdb046bec37000083ecc375 P%g Xfuture
1 :1795480428.M714734P14319.vm,S=28,W=32
4 S28 W32 Pold-uidl O2 :1795480429.M1P1.vm
9 Gsome-guid Zunknown :1795480430.M1P1.vm,S=1
"""


class Place:
    """A folder with a uidlist, and what was asked of its surroundings."""

    def __init__(self, path: Path) -> None:
        self.file = path / "dovecot-uidlist"
        self.directory = os.fsencode(path)
        self.reports: list[tuple[str, str]] = []
        self.remembered: Header | None = None
        self.present: set[bytes] = set()
        self.validity = 2_000_000_000

    def new_uidvalidity(self, above: int) -> int:
        self.validity = max(self.validity, above) + 1
        return self.validity

    def open(self, content: bytes | None = None) -> UidList:
        if content is not None:
            self.file.write_bytes(content)
        origin = Origin(
            self.new_uidvalidity, lambda: self.remembered, lambda: self.present,
            lambda event, path, detail: self.reports.append((event, detail)),
        )  # fmt: skip
        return UidList(self.directory, 0o640, origin)

    def loaded(self, content: bytes | None = None) -> UidList:
        uids = self.open(content)
        uids.load()
        return uids


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_dovecots_own_file_is_read_and_left_alone(place: Place) -> None:
    uids = place.loaded(DOVECOT)
    assert uids.header == FolderHeader(1795480430, 10, GUID, "%g")
    assert uids.uid_map() == {b"1795480428.M714734P14319.vm": 1, b"1795480429.M1P1.vm": 4, b"1795480430.M1P1.vm": 9}
    assert uids.find([b"1795480430.M1P1.vm,S=1:2,S", b"new/1795480429.M1P1.vm", b"no", b"1795480429.M1P1"]) == {
        b"1795480430.M1P1.vm,S=1:2,S": 9, b"new/1795480429.M1P1.vm": 4,
    }  # fmt: skip
    assert place.file.read_bytes() == DOVECOT
    assert place.open().peek() == uids.header
    assert not place.reports


def test_appending_writes_lines_as_dovecot_does(place: Place) -> None:
    uids = place.loaded(DOVECOT)
    assert uids.append([b"1.M1P1.h,S=3,W=4", b"2.M1P1.h,S=5:2,S"]) == [10, 11]
    assert place.file.read_bytes() == DOVECOT + b"10 :1.M1P1.h,S=3,W=4\n11 :2.M1P1.h,S=5\n"
    assert uids.header.uidnext == 12
    assert uids.append([]) == []


def test_n_of_the_header_counts_when_it_is_higher(place: Place) -> None:
    uids = place.loaded(DOVECOT.replace(b"N7", b"N77"))
    assert uids.append([b"a"]) == [77]


def test_unknown_keys_and_names_survive_a_rewrite(place: Place) -> None:
    uids = place.loaded(DOVECOT)
    uids.rewrite(lambda row: None if row[0] == b"1" else row)
    assert place.file.read_bytes() == (
        DOVECOT.replace(b"N7", b"N10").replace(b"1 :1795480428.M714734P14319.vm,S=28,W=32\n", b"")
    )
    assert place.file.stat().st_mode & 0o777 == 0o640


def test_version_1_becomes_version_3(place: Place) -> None:
    uids = place.loaded(b"1 1234 9\n3 a.b,S=4:2,S\n8 c.d\n")
    assert (uids.header.uidvalidity, uids.header.uidnext) == (1234, 9)
    guid = uids.header.guid.encode()
    assert len(guid) == 32
    assert place.file.read_bytes() == b"3 V1234 N9 G%s\n3 :a.b,S=4\n8 :c.d\n" % guid
    assert not place.reports


def test_a_missing_guid_is_added(place: Place) -> None:
    assert place.open(b"3 V5 N6\n").peek() is None
    guid = place.loaded().header.guid
    assert place.loaded().header.guid == guid
    assert place.file.read_bytes() == b"3 V5 N6 G%s\n" % guid.encode()


def test_a_missing_file_is_made(place: Place) -> None:
    assert place.open().peek() is None
    uids = place.loaded()
    assert (uids.header.uidvalidity, uids.header.uidnext) == (2_000_000_001, 1)
    assert place.file.read_bytes() == b"3 V2000000001 N1 G%s\n" % uids.header.guid.encode()
    assert not place.reports


def test_lines_of_others_are_read_without_the_rest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = place.loaded(DOVECOT)
    monkeypatch.setattr(uidlist_text, "parse", lambda *_: pytest.fail("read as a whole"))
    with place.file.open("ab") as file:
        file.write(b"15 W3 :other,S=1\n")
    uids.load()
    assert uids.header.uidnext == 16
    assert uids.find([b"other"]) == {b"other": 15}


@pytest.mark.parametrize("added", [b"3 :back\n", b"16 broken\n", b"99999999999 :x\n", b"4294967295 :x\n", b"17 :a/b\n"])
def test_damage_in_an_appended_line_is_mended(place: Place, added: bytes) -> None:
    uids = place.loaded(DOVECOT)
    with place.file.open("ab") as file:
        file.write(added)
    uids.load()
    assert [event for event, _ in place.reports] == ["uidlist-repaired"]
    assert place.loaded().uid_map() == uids.uid_map()
    assert uids.header.uidvalidity == 1795480430
    assert len(place.reports) == 1


def test_a_file_put_in_place_by_others_is_read_anew(place: Place) -> None:
    uids = place.loaded(DOVECOT)
    draft = place.file.with_suffix(".tmp")
    draft.write_bytes(b"3 V8 N3 G%s\n2 :x\n" % GUID.encode())
    draft.rename(place.file)
    uids.load()
    assert (uids.header.uidvalidity, uids.uid_map()) == (8, {b"x": 2})


def test_a_file_edited_in_place_is_read_anew(place: Place) -> None:
    uids = place.loaded(DOVECOT)
    lines = b"".join(b"%d :n%d\n" % (number, number) for number in range(1, 99))
    place.file.write_bytes(b"3 V1795480430 N7 G%s\n" % GUID.encode() + lines)
    uids.load()
    assert uids.header.uidnext == 99
    assert uids.find([b"1795480428.M714734P14319.vm"]) == {}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"2 :a\n\n3 :b\n", {b"a": 2, b"b": 3}),
        (b"2 :a\n\0\0\0\0\n3 :b\n", {b"a": 2, b"b": 3}),
        (b"3 :b\n2 :a\n", {b"a": 2, b"b": 3}),
        (b"2 :a\n5 :a\n", {b"a": 5}),
        (b"2 :a\n2 :a\n", {b"a": 2}),
        (b"2 :a\n2 :b\n3 :c\n", {b"a": 2, b"c": 3}),
        (b"2 :gone\n2 :here\n", {b"here": 2}),
        (b"2 :a\n0 :b\n-1 :c\n+3 :d\n1_0 :e\n", {b"a": 2}),
        (b"2 :a\n4294967295 :b\n4294967296 :c\n", {b"a": 2}),
        (b"2 :a\n3 :../../etc/passwd\n", {b"a": 2}),
        (b"2 :a\r\n3 :b\n", {b"b": 3}),
        (b"2 a\n3 :b\n", {b"b": 3}),
        (b"2 :a\n" * 1000, {b"a": 2}),
    ],
)
def test_a_damaged_body_keeps_what_is_good(place: Place, body: bytes, expected: dict[bytes, int]) -> None:
    place.present = {b"here"}
    uids = place.loaded(b"3 V5 N4 G%s\n" % GUID.encode() + body)
    assert uids.uid_map() == expected
    assert (uids.header.uidvalidity, uids.header.guid) == (5, GUID)
    assert uids.header.uidnext >= 4
    assert [event for event, _ in place.reports] == ["uidlist-repaired"]
    again = place.loaded()
    assert again.uid_map() == expected
    assert len(place.reports) == 1


def test_a_torn_last_line_counts_when_its_file_is_there(place: Place) -> None:
    place.present = {b"whole"}
    uids = place.loaded(b"3 V5 N1 G%s\n1 :a\n2 :whole" % GUID.encode())
    assert uids.uid_map() == {b"a": 1, b"whole": 2}
    uids = place.loaded(b"3 V5 N1 G%s\n1 :a\n2 :who" % GUID.encode())
    assert uids.uid_map() == {b"a": 1}
    assert uids.header.uidnext > 1000  # UIDs of lines that were lost are not given out again.
    assert uids.header.uidvalidity == 5


@pytest.mark.parametrize("header", [b"", b"\0" * 50, b"4 V5 N6", b"3", b"3 V0 N5", b"3 Vx N5 G" + b"0" * 32, b"V5 N6"])
def test_without_a_uidvalidity_there_is_a_new_one_with_a_new_guid(place: Place, header: bytes) -> None:
    uids = place.loaded(header + b"\n7 :a\n9 :b\n")
    assert uids.header.uidvalidity == 2_000_000_001
    assert uids.header.guid != "0" * 32
    assert [event for event, _ in place.reports] == ["uidlist-repaired"]


def test_a_lost_header_is_remembered_elsewhere(place: Place) -> None:
    place.remembered = Header(3, 1795480430, 9, GUID)
    uids = place.loaded(b"\xff\xff\xff\n" + DOVECOT.split(b"\n", 1)[1])
    assert uids.header.uidvalidity == 1795480430
    assert uids.header.guid == GUID
    assert uids.uid_map()[b"1795480430.M1P1.vm"] == 9
    assert uids.header.uidnext >= 10


def test_an_emptied_file_is_not_trusted_to_be_the_old_one(place: Place) -> None:
    place.remembered = Header(3, 1795480430, 9, GUID)
    uids = place.loaded(b"")
    assert uids.header.uidvalidity > 1795480430
    assert uids.header.guid != GUID


def test_a_list_that_lost_its_end_is_noticed(place: Place) -> None:
    place.remembered = Header(3, 1795480430, 500, GUID)
    uids = place.loaded(DOVECOT)
    assert uids.header.uidvalidity == 1795480430
    assert uids.header.uidnext > 500
    assert "missing" in place.reports[0][1]


def test_a_huge_damaged_file_costs_linear_time(place: Place) -> None:
    body = b"7 :same\n" * 50_000 + b"x" * 1_000_000 + b"\n" + b" :" * 100_000 + b"\n"
    uids = place.loaded(b"3 V5 N4 G%s\n" % GUID.encode() + body)
    assert uids.uid_map() == {b"same": 7}


def test_uids_at_their_end_begin_anew_under_a_new_uidvalidity(place: Place) -> None:
    uids = place.loaded(b"3 V5 N4 G%s\n10 :a\n4294967290 :b\n" % GUID.encode())
    assert uids.header.uidvalidity == 2_000_000_001
    assert uids.uid_map() == {b"a": 1, b"b": 2}
    assert uids.header.uidnext == 3


def test_peek_needs_head_and_tail_only(place: Place) -> None:
    lines = b"".join(b"%d :name-%d,S=1\n" % (number, number) for number in range(1, 2001))
    header = place.open(b"3 V5 N4 G%s\n" % GUID.encode() + lines).peek()
    assert header == FolderHeader(5, 2001, GUID, None)
    assert place.open(place.file.read_bytes() + b"2001 :torn").peek() is None


def test_pop3_names(place: Place) -> None:
    uids = place.open(DOVECOT + b"12 P O7 :x,S=4\n")
    names = uids.pop3_names()
    assert names.uidls == {4: b"old-uidl", 12: b"x,S=4"}
    assert names.orders == {4: 2, 12: 7}
    assert uids.pop3_names() is names
    assert place.open(b"3 V5 N4 G%s\n1 :a\n" % GUID.encode()).pop3_names().uidls == {}


@pytest.mark.parametrize("step", ["uidlist-append", "uidlist-fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_append_that_fails_leaves_the_file_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    uids = place.loaded(DOVECOT)
    monkeypatch.setattr(durable, "step", failing(step, code))
    with pytest.raises(OSError, match=os.strerror(code)):
        uids.append([b"new"])
    monkeypatch.undo()
    assert place.file.read_bytes() == DOVECOT
    uids.load()
    assert uids.append([b"new"]) == [10]


def test_a_short_write_is_cut_off(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    uids = place.loaded(DOVECOT)
    write = os.write
    calls: list[int] = []

    def full(descriptor: int, data: bytes | memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, bytes(data)[:3])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        uids.append([b"a-long-name"])
    assert place.file.read_bytes() == DOVECOT


@pytest.mark.parametrize("step", ["create", "uidlist-write", "uidlist-fsync", "uidlist-rename"])
def test_a_rewrite_that_fails_leaves_the_file_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, step: str, tmp_path: Path
) -> None:
    uids = place.loaded(DOVECOT)
    monkeypatch.setattr(durable, "step", failing(step, errno.ENOSPC))
    with pytest.raises(OSError, match="space"):
        uids.rewrite(lambda row: None)
    monkeypatch.undo()
    assert place.file.read_bytes() == DOVECOT
    assert [path.name for path in tmp_path.iterdir()] == ["dovecot-uidlist"]


def test_a_program_that_ignores_the_lock_is_noticed(place: Place) -> None:
    uids = place.loaded(DOVECOT)
    with place.file.open("ab") as file:
        file.write(b"10 :theirs\n")
    with pytest.raises(MailError):
        uids.append([b"ours"])
    uids.load()
    assert len(set(uids.uid_map().values())) == len(uids.uid_map())


def failing(step: str, code: int) -> Callable[[str], None]:
    def on(name: str) -> None:
        if name == step:
            raise OSError(code, os.strerror(code))

    return on
