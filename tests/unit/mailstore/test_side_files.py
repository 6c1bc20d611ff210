"""The small files of a folder and of a store: keywords, UIDVALIDITY, our own side file, the ceiling, subscriptions."""

import os
import threading
from pathlib import Path

import pytest

from culverhouse.mailstore import durable
from culverhouse.mailstore.maildir import ceiling, keywords, side_file, uidvalidity
from culverhouse.mailstore.maildir.side_file import Side, SideFile
from culverhouse.mailstore.maildir.uidlist_text import Header
from culverhouse.mailstore.subscriptions import Subscriptions
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import keyword_bit
from culverhouse.model.store import FolderHeader

# -- dovecot-keywords --


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"0 $Forwarded\n1 kw2\n", ("$Forwarded", "kw2")),
        (b"2 c\n0 a\n", ("a", "", "c")),
        (b"0 a\n1 A\n2 b", ("a", "", "b")),
        (b"junk\n-1 x\n26 x\n99999999999 x\nx y\n3\n3 \n1 ok\n", ("", "ok")),
        (b"0 two words\n", ("two words",)),
        (b"", ()),
        (b"0 \xff\n", ("\udcff",)),
    ],
)
def test_keyword_names(data: bytes, names: tuple[str, ...]) -> None:
    assert keywords.parse(data) == names
    assert keywords.parse(keywords.render(names)) == names


def test_a_new_keyword_comes_after_the_last_and_fills_gaps_only_then() -> None:
    names = ["a", "", "c"]
    assert keywords.place(names, "C") == 2
    assert keywords.place(names, "d", 4) == 3
    assert keywords.place(names, "e", 4) == 1
    assert keywords.place(names, "f", 4) is None
    assert names == ["a", "e", "c", "d"]


def test_the_keyword_files_time_grows_by_whole_seconds(tmp_path: Path) -> None:
    # Dovecot looks at seconds only, and at nothing but the time.
    file = keywords.KeywordFile(os.fsencode(tmp_path), 0o600)
    seen = set()
    for number in range(3):
        file.write([f"k{number}"])
        seen.add(int((tmp_path / "dovecot-keywords").stat().st_mtime))
        assert file.names() == (f"k{number}",)
    assert len(seen) == 3


def test_keywords_written_by_others_are_seen(tmp_path: Path) -> None:
    file = keywords.KeywordFile(os.fsencode(tmp_path), 0o600)
    assert file.names() == ()
    (tmp_path / "dovecot-keywords").write_bytes(b"0 theirs\n")
    assert file.names() == ("theirs",)
    (tmp_path / "draft").write_bytes(b"0 again!\n")
    (tmp_path / "draft").rename(tmp_path / "dovecot-keywords")
    assert file.names() == ("again!",)


# -- dovecot-uidvalidity --


def markers(path: Path) -> list[int]:
    return sorted(int(entry.name.split(".")[1], 16) for entry in path.glob("dovecot-uidvalidity.*"))


def test_uidvalidity_counts_on_from_dovecots(tmp_path: Path) -> None:
    (tmp_path / "dovecot-uidvalidity").write_bytes(b"6b04db70")
    (tmp_path / "dovecot-uidvalidity.6b04db70").touch()
    assert uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600) == 0x6B04DB71
    assert (tmp_path / "dovecot-uidvalidity").read_bytes() == b"6b04db71"
    assert markers(tmp_path) == [0x6B04DB71]


def test_uidvalidity_begins_with_the_time(tmp_path: Path) -> None:
    first = uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600)
    assert first > 1_700_000_000
    assert markers(tmp_path) == [first]
    assert uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600) == first + 1


@pytest.mark.parametrize("hint", [b"", b"zz", b"00000005", b"ffffffffffff", None])
def test_the_marker_counts_where_the_hint_is_wrong(tmp_path: Path, hint: bytes | None) -> None:
    if hint is not None:
        (tmp_path / "dovecot-uidvalidity").write_bytes(hint)
    (tmp_path / "dovecot-uidvalidity.00000009").touch()
    assert uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600) == 10
    assert (tmp_path / "dovecot-uidvalidity").read_bytes()[:8] == b"0000000a"


def test_of_several_markers_the_highest_counts(tmp_path: Path) -> None:
    for value in (b"00000009", b"00000030", b"nonsense"):
        (tmp_path / f"dovecot-uidvalidity.{value.decode()}").touch()
    assert uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600) == 0x31
    assert (tmp_path / "dovecot-uidvalidity.nonsense").exists()
    (tmp_path / "dovecot-uidvalidity.nonsense").unlink()
    assert markers(tmp_path) == [0x31]


def test_uidvalidity_passes_over_values_from_elsewhere(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    (tmp_path / "dovecot-uidvalidity.00000009").touch()
    assert uidvalidity.next_uidvalidity(root, 0o600, above=0x50) == 0x51
    uidvalidity.pass_over(root, 0o600, 0x90)
    assert uidvalidity.next_uidvalidity(root, 0o600) > 0x90
    uidvalidity.pass_over(root, 0o600, 0x10)
    assert markers(tmp_path) == [0x91]


def test_uidvalidity_ends(tmp_path: Path) -> None:
    (tmp_path / "dovecot-uidvalidity.ffffffff").touch()
    with pytest.raises(MailError):
        uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600)


def test_no_uidvalidity_is_given_twice(tmp_path: Path) -> None:
    given: list[int] = []

    def take() -> None:
        for _ in range(10):
            given.append(uidvalidity.next_uidvalidity(os.fsencode(tmp_path), 0o600))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given)) == 30


# -- culverhouse-mailbox --


def test_the_side_file_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "culverhouse-mailbox"
    path.write_text('{"version": 1, "special_use": ["\\\\Sent"], "acl": {"bob": "lrs"}}')
    file = SideFile(os.fsencode(tmp_path), 0o600, lambda *_: pytest.fail("reported"))
    side = file.load()
    assert side.special_use == ("\\Sent",)
    mask = keyword_bit(26) | keyword_bit(55)
    file.write(Side(("\\Junk",), ("x",), {b"a\xff": mask}, side.rest))
    again = SideFile(os.fsencode(tmp_path), 0o600, lambda *_: None).load()
    assert again == Side(("\\Junk",), ("x",), {b"a\xff": mask}, {"acl": {"bob": "lrs"}})


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": "1"}', b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_damaged_side_file_is_set_aside(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "culverhouse-mailbox").write_bytes(data)
    reports: list[str] = []
    file = SideFile(os.fsencode(tmp_path), 0o600, lambda event, *_: reports.append(event))
    assert file.load() == side_file.EMPTY
    assert reports == ["side-file-damaged"]
    assert (tmp_path / "culverhouse-mailbox.damaged").read_bytes() == data
    file.write(Side(("\\Sent",)))
    assert file.load().special_use == ("\\Sent",)


def test_odd_values_in_a_side_file_are_passed_over() -> None:
    side = side_file.parse(
        b'{"version": 1, "special_use": "x", "keywords": {"names": ["a", 5], "messages": {"m": [26, 99, "x", -1, 3],'
        b' "n": {}, "o": []}}}'
    )
    assert (side.special_use, side.names, dict(side.flags)) == ((), ("a",), {b"m": keyword_bit(26)})


def test_a_later_version_is_read_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "culverhouse-mailbox").write_text('{"version": 2, "special_use": ["\\\\Sent"], "keywords": 7}')
    file = SideFile(os.fsencode(tmp_path), 0o600, lambda *_: None)
    side = file.load()
    assert side.special_use == ("\\Sent",)
    with pytest.raises(MailError) as caught:
        file.write(side)
    assert caught.value.kind is Kind.CANNOT


# -- culverhouse-modseq --


def test_the_ceiling_remembers_the_header(tmp_path: Path) -> None:
    directory = os.fsencode(tmp_path)
    assert ceiling.read(directory) == (0, None)
    ceiling.write(directory, 0o600, 12345, FolderHeader(7, 8, "0" * 32))
    assert ceiling.read(directory) == (12345, Header(3, 7, 8, "0" * 32))


@pytest.mark.parametrize("data", [b"", b"12", b"x V1 N1 G1\n", b"-5\n", b"9" * 30 + b"\n", b"12 V1"])
def test_a_damaged_ceiling_counts_as_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "culverhouse-modseq").write_bytes(data)
    assert ceiling.read(os.fsencode(tmp_path)) == (0, None)


def test_a_ceiling_alone_is_good(tmp_path: Path) -> None:
    (tmp_path / "culverhouse-modseq").write_bytes(b"99\n")
    assert ceiling.read(os.fsencode(tmp_path)) == (99, None)


# -- subscriptions --


def test_dovecots_version_2_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "subscriptions"
    path.write_bytes(b"V\t2\n\nA\nA\tB\nR&AOk-\n")
    file = Subscriptions(os.fsencode(tmp_path), 0o600, b".")
    assert file.names() == [(b"A",), (b"A", b"B"), (b"R&AOk-",)]
    file.change((b"new", b"one.two"), True)
    file.change((b"A",), False)
    assert path.read_bytes() == b"V\t2\n\nA\tB\nR&AOk-\nnew\tone.two\n"


@pytest.mark.parametrize("separator", [b".", b"/"])
def test_the_old_form_is_kept(tmp_path: Path, separator: bytes) -> None:
    path = tmp_path / "subscriptions"
    path.write_bytes(b"A" + separator + b"B\nINBOX\n")
    file = Subscriptions(os.fsencode(tmp_path), 0o600, separator)
    assert file.names() == [(b"A", b"B"), (b"INBOX",)]
    file.change((b"C", b"D"), True)
    assert path.read_bytes() == b"A" + separator + b"B\nINBOX\nC" + separator + b"D\n"
    with pytest.raises(MailError) as caught:
        file.change((b"C", b"x" + separator + b"y"), True)
    assert caught.value.kind is Kind.CANNOT
    assert not (tmp_path / "subscriptions.lock").exists()


def test_a_new_file_is_version_2_with_escapes(tmp_path: Path) -> None:
    file = Subscriptions(os.fsencode(tmp_path), 0o640, b".")
    assert not file.exists()
    parts = (b"a\tb\1c", b"d\r\n\1t")
    file.change(parts, True)
    assert (tmp_path / "subscriptions").read_bytes() == b"V\t2\n\na\1tb\0011c\td\1r\1n\0011t\n"
    assert (tmp_path / "subscriptions").stat().st_mode & 0o777 == 0o640
    assert file.names() == [parts]


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "subscriptions"
    path.write_bytes(b"V\t2\n\nA\nA\n")
    file = Subscriptions(os.fsencode(tmp_path), 0o600, b".")
    file.change((b"A",), True)
    file.change((b"B",), False)
    assert path.read_bytes() == b"V\t2\n\nA\nA\n"


def test_unsubscribing_from_nothing_makes_the_file(tmp_path: Path) -> None:
    # So that default mailboxes are not made again for somebody who wants none.
    file = Subscriptions(os.fsencode(tmp_path), 0o600, b".")
    file.change((b"A",), False)
    assert file.exists()


@pytest.mark.parametrize("step", ["create", "subscriptions-write", "subscriptions-fsync", "subscriptions-rename"])
def test_a_failing_disk_leaves_the_subscriptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "subscriptions"
    path.write_bytes(b"V\t2\n\nA\n")

    def fail(name: str) -> None:
        if name == step:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "step", fail)
    with pytest.raises(OSError, match="space"):
        Subscriptions(os.fsencode(tmp_path), 0o600, b".").change((b"B",), True)
    assert path.read_bytes() == b"V\t2\n\nA\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["subscriptions"]


def test_the_draft_of_a_dovecot_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "subscriptions.lock").write_bytes(b"V\t2\n\nA\n")
    file = Subscriptions(os.fsencode(tmp_path), 0o600, b".")
    with pytest.raises(MailError) as caught, file._lock.held(0.02):
        pass
    assert caught.value.kind is Kind.INUSE
    assert (tmp_path / "subscriptions.lock").exists()
