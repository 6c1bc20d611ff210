"""Mailbox names and directories."""

import os
from pathlib import Path

import pytest

from culverhouse.mailstore.layout import LAYOUTS, Layout, MaildirPlusPlus, Nested
from culverhouse.model.errors import Kind, MailError


def make(kind: str, root: Path, separator: str = "/", prefix: str = "") -> Layout:
    return LAYOUTS[kind](os.fsencode(root), separator, prefix)


def kind_of(layout: Layout, name: str) -> Kind:
    with pytest.raises(MailError) as caught:
        layout.relative(name)
    return caught.value.kind


@pytest.mark.parametrize(
    ("kind", "separator", "prefix", "name", "relative"),
    [
        ("maildir++", "/", "", "INBOX", b""),
        ("maildir++", "/", "", "inBox", b""),
        ("maildir++", "/", "", "A/B c", b".A.B c"),
        ("maildir++", ".", "", "A.B", b".A.B"),
        ("maildir++", ".", "INBOX.", "INBOX.A.B", b".A.B"),
        ("maildir++", ".", "INBOX.", "Inbox.A", b".A"),
        ("maildir++", "/", "", "INBOX/A", b".INBOX.A"),
        ("maildir++", "/", "Mail/", "Mail/INBOX", b".INBOX"),
        ("maildir++", "/", "", "a\udcff", b".a\xff"),
        ("maildir++", "/", "", "tmp/cur", b".tmp.cur"),
        ("fs", "/", "", "A/B c", b"A/B c"),
        ("fs", ".", "", "A.B", b"A/B"),
        ("fs", "/", "", "INBOX", b""),
        ("fs", "/", "", "a.b", b"a.b"),
        ("fs", "/", "", "a\udcff/b", b"a\xff/b"),
    ],
)
def test_names_and_directories(
    kind: str, separator: str, prefix: str, name: str, relative: bytes, tmp_path: Path
) -> None:
    layout = make(kind, tmp_path, separator, prefix)
    assert layout.relative(name) == relative
    assert layout.relative(layout.name(layout.parts(name)) or "?") == relative


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("maildir++", "a.b"), ("maildir++", "."), ("maildir++", ".."), ("maildir++", "a/../b"), ("maildir++", "a//b"),
        ("maildir++", ""), ("maildir++", "/a"), ("maildir++", "a/"), ("maildir++", "a\0"), ("maildir++", "x" * 255),
        ("maildir++", "/".join("x" * 100 for _ in range(3))),
        ("fs", "."), ("fs", ".."), ("fs", "a/../../b"), ("fs", "../x"), ("fs", "a//b"), ("fs", ""), ("fs", "/etc"),
        ("fs", "a/"), ("fs", "cur"), ("fs", "a/new"), ("fs", "a/tmp/b"), ("fs", "dovecot-uidlist"), ("fs", "dovecot"),
        ("fs", "a/dovecot.index"), ("fs", "culverhouse-mailbox"), ("fs", ".hidden"), ("fs", "a/.b"), ("fs", "a\0"),
        ("fs", "subscriptions"), ("fs", "maildirfolder"), ("fs", "x" * 256), ("fs", "/".join(["x" * 100] * 40)),
    ],
)  # fmt: skip
def test_what_a_layout_cannot_hold(kind: str, name: str, tmp_path: Path) -> None:
    assert kind_of(make(kind, tmp_path), name) is Kind.CANNOT


def test_a_slash_is_no_part_of_a_name_under_another_separator(tmp_path: Path) -> None:
    for kind in LAYOUTS:
        assert kind_of(make(kind, tmp_path, "."), "a/b") is Kind.CANNOT
        assert kind_of(make(kind, tmp_path, "."), "a/../../b") is Kind.CANNOT


def test_outside_the_prefix_there_is_nothing(tmp_path: Path) -> None:
    assert kind_of(make("fs", tmp_path, "/", "Mail/"), "Sent") is Kind.NONEXISTENT
    assert kind_of(make("fs", tmp_path, "/", "Mail/"), "mail/Sent") is Kind.NONEXISTENT
    assert kind_of(make("fs", tmp_path, "/", "Mail/"), "Mail/") is Kind.CANNOT


@pytest.mark.parametrize("kind", LAYOUTS)
def test_no_name_leads_out_of_the_root(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    layout = make(kind, root)
    names = ["..", "../x", "a/..", "a/../..", "/x", "//x", "a/./b", "\0", "...", "a/.../b", "~", "~root", "%2e%2e"]
    for name in names:
        try:
            relative = layout.relative(name)
        except MailError:
            continue
        assert os.path.normpath(layout.path(relative)).startswith(os.fsencode(root) + b"/")


def test_maildir_plus_plus_lists_what_can_be_named(tmp_path: Path) -> None:
    names = [b".A", b".A.B", b".a\xff", b".x^y", b"plain", b"..DOVECOT-TRASHED", b".A..B", b".A.", b".INBOX", b".Inbox"]
    for name in names:
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
    (tmp_path / ".file").touch()
    layout = make("maildir++", tmp_path)
    assert isinstance(layout, MaildirPlusPlus)
    assert sorted((found.name, found.relative) for found in layout.walk()) == [
        ("A", b".A"), ("A/B", b".A.B"), ("a\udcff", b".a\xff"), ("x^y", b".x^y"),
    ]  # fmt: skip
    assert sorted(found.name for found in make("maildir++", tmp_path, "^").walk()) == ["A", "A^B", "a\udcff"]
    assert sorted(found.name for found in make("maildir++", tmp_path, ".", "INBOX.").walk()) == [
        "INBOX.A", "INBOX.A.B", "INBOX.INBOX", "INBOX.Inbox", "INBOX.a\udcff", "INBOX.x^y"
    ]  # fmt: skip


def test_nested_tells_mailboxes_from_ways_to_them(tmp_path: Path) -> None:
    for name in ("A/cur", "A/B/C/cur", "A/tmp", "cur", "new", ".hidden/cur", "dovecot.x/cur", "A/cur/deep/cur", "D"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    layout = make("fs", tmp_path)
    assert isinstance(layout, Nested)
    assert sorted((found.name, found.selectable) for found in layout.walk()) == [
        ("A", True), ("A/B", False), ("A/B/C", True), ("D", False)
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "inner", "outer"), [("maildir++", ".in", ".out"), ("fs", "in", "out")])
def test_links_count_only_inside_the_root(kind: str, inner: str, outer: str, tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    (root / inner / "cur").mkdir(parents=True)
    (elsewhere / "cur").mkdir(parents=True)
    (tmp_path / "root-2" / "cur").mkdir(parents=True)
    (root / outer).symlink_to(elsewhere)
    (root / (outer + "2")).symlink_to(tmp_path / "root-2")
    (root / (outer + "3")).symlink_to(root / "nowhere")
    (root / (inner + "2")).symlink_to(root / inner)
    layout = make(kind, root)
    assert sorted(found.name for found in layout.walk()) == ["in", "in2"]
    assert layout.resolve(layout.relative("in2")) == os.fsencode(root / inner)
    for name in ("out", "out2", "out3"):
        assert layout.resolve(layout.relative(name)) is None


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "cur").mkdir(parents=True)
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert sorted(found.name for found in make("fs", tmp_path).walk()) == ["a", "a/again"]


def test_a_file_on_the_way_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert make("fs", tmp_path).resolve(b"a") is None
    assert make("fs", tmp_path).resolve(b"a/b") is None


def test_families(tmp_path: Path) -> None:
    for name in (".a", ".a.b", ".a.b.c", ".ab", ".b"):
        (tmp_path / name).mkdir()
    layout = make("maildir++", tmp_path)
    assert layout.family(b".a") == [b".a", b".a.b", b".a.b.c"]
    assert [layout.moved(one, b".a", b".x.y") for one in layout.family(b".a")] == [b".x.y", b".x.y.b", b".x.y.b.c"]
    with pytest.raises(MailError):
        layout.moved(b".a." + b"z" * 200, b".a", b"." + b"y" * 100)
