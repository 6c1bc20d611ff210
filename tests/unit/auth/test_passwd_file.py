"""The passwd-file: Dovecot's format read as it is, edited without losing anything."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from culverhouse.auth.backends.passwd_file import (
    EditRefused,
    PasswdFile,
    add_user,
    delete_user,
    list_users,
    parse,
    parse_line,
    set_password,
)

SAMPLE = """\
# comment:x
alice:{PLAIN}secret:1000:1001:Alice:/home/alice:/bin/sh:userdb_quota_rule=*:storage=1G allow_nets=10.0.0.0/8 nologin

bob@example.org:$1$F1.Psgyp$FBEhKpRBLUz1GhXJMd3A7/
carol:{SHA}x:root:root::
broken
:x
dave:{PLAIN}x::::relative
eve:{PLAIN}x:no-such-user-here
alice:{PLAIN}second
frank::::::
"""


def test_the_format() -> None:
    users, reports = parse(SAMPLE.encode() + b"bad\xff:x\n", "CRYPT")
    alice = users["alice"]
    assert (alice.password, alice.uid, alice.gid, alice.home) == ("{PLAIN}secret", 1000, 1001, "/home/alice")
    assert alice.extra == {"userdb_quota_rule": "*:storage=1G", "allow_nets": "10.0.0.0/8", "nologin": "yes"}
    assert users["bob@example.org"].password == "{CRYPT}$1$F1.Psgyp$FBEhKpRBLUz1GhXJMd3A7/"
    assert (users["bob@example.org"].uid, users["bob@example.org"].home) == (None, None)
    assert (users["carol"].uid, users["carol"].gid) == (0, 0)
    assert users["frank"].password == ""
    assert set(users) == {"alice", "bob@example.org", "carol", "frank"}
    assert [line for line, _ in reports] == [6, 7, 8, 9, 10, 12]


def test_reports_and_representations_show_no_password() -> None:
    users, reports = parse(SAMPLE.encode(), "CRYPT")
    assert "secret" not in repr(users)
    assert not any("PLAIN" in text or "second" in text for _, text in reports)


@pytest.mark.parametrize("home", ["rel", "/a/../b", ".."])
def test_homes_that_cannot_be(home: str) -> None:
    with pytest.raises(ValueError, match="home"):
        parse_line(f"x:{{PLAIN}}y::::{home}::")


def test_changes_are_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("alice:{PLAIN}one\n")
    backend = PasswdFile(str(path))
    for number in range(50):
        path.write_text(f"alice:{{PLAIN}}{number:03}\n")
        record = backend.lookup("alice")
        assert record is not None
        assert record.password == f"{{PLAIN}}{number:03}"


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users"
    path.write_text("alice:{PLAIN}one\nbroken\n")
    os.utime(path, ns=(1, 1))
    backend = PasswdFile(str(path))
    deadline = time.monotonic() + 10
    while backend._seen is None and time.monotonic() < deadline:
        assert backend.lookup("alice")
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("read again"))
    assert backend.lookup("alice")
    assert backend.lookup("bob") is None


def test_lines_that_cannot_be_used_are_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(b"alice:{PLAIN}x::::relative\nbroken\n:x\n\xff:x\nbob:{PLAIN}one\nbob:{PLAIN}two\r\n")
    backend = PasswdFile(str(path))
    for _ in range(3):
        assert backend.lookup("alice") is None
        assert backend.lookup("broken") is None
        assert backend.lookup("") is None
    record = backend.lookup("bob")
    assert record is not None
    assert record.password == "{PLAIN}one"
    assert all(found.user == "bob" for found in map(backend.mimic, range(10)) if found)
    (report, other) = sorted(backend.drain_reports())
    assert "users: 'alice': the home" in report
    assert "not valid UTF-8" in other
    assert backend.drain_reports() == []


def test_scram_is_served_when_everybody_can(tmp_path: Path) -> None:
    path = tmp_path / "users"
    backend = PasswdFile(str(path))
    assert not backend.serves_scram()
    for text, expected in (
        ("", False),
        ("a:{PLAIN}x\n", True),
        (
            "a:{PLAIN}x\nb:{SCRAM-SHA-256}4096,YWFh,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,"
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
            True,
        ),
        ("a:{PLAIN}x\nb:{SCRAM-SHA-256}damaged\n", False),
        ("a:{PLAIN}x\nb:{ARGON2ID}x\n", False),
        ("a:{PLAIN}x:1:2\r\nb:*\nc:\nd:!x:1\n# e:{ARGON2ID}\n\n", True),
        ("a:secret\n", False),
    ):
        path.write_text(text)
        assert backend.serves_scram() is expected, text
    path.write_text("a:secret\nb:{PLAIN}x\n")
    assert PasswdFile(str(path), "PLAIN").serves_scram()


def test_editing_keeps_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_bytes(SAMPLE.encode() + b"# caf\xe9 without a line end")
    path.chmod(0o640)
    add_user(str(path), "zoe@example.org", "{PLAIN}z", "/home/zoe")
    set_password(str(path), "bob@example.org", "{PLAIN}new")
    set_password(str(path), "frank", "{PLAIN}f")
    set_password(str(path), "alice", "{PLAIN}changed")
    lines = path.read_bytes().split(b"\n")
    before = SAMPLE.encode().split(b"\n")
    assert lines[1] == before[1].replace(b"{PLAIN}secret", b"{PLAIN}changed")
    assert lines[3] == b"bob@example.org:{PLAIN}new"
    assert lines[10] == b"frank:{PLAIN}f:::::"
    assert lines[11:] == [b"# caf\xe9 without a line end", b"zoe@example.org:{PLAIN}z::::/home/zoe::", b""]
    assert [lines[n] for n in (0, 2, 4, 5, 6, 7, 8, 9)] == [before[n] for n in (0, 2, 4, 5, 6, 7, 8, 9)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    delete_user(str(path), "alice")
    users, _ = list_users(str(path))
    assert [user.user for user in users] == ["bob@example.org", "carol", "frank", "zoe@example.org"]
    assert b"second" not in path.read_bytes()
    assert os.listdir(tmp_path) == ["users"]


def test_refused_edits_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("alice:{PLAIN}x\n")
    before = path.stat()
    for call in (
        lambda: add_user(str(path), "alice", "{PLAIN}y"),
        lambda: add_user(str(path), "a:b", "{PLAIN}y"),
        lambda: add_user(str(path), "a\nroot", "{PLAIN}y"),
        lambda: add_user(str(path), "#a", "{PLAIN}y"),
        lambda: add_user(str(path), "", "{PLAIN}y"),
        lambda: add_user(str(path), "x", "{PLAIN}y:0"),
        lambda: add_user(str(path), "x", "{PLAIN}y", "/h\n"),
        lambda: set_password(str(path), "bob", "{PLAIN}y"),
        lambda: set_password(str(path), "alice", "{PLAIN}y\nroot:x"),
        lambda: delete_user(str(path), "bob"),
    ):
        with pytest.raises(EditRefused):
            call()
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with pytest.raises(FileNotFoundError):
        delete_user(str(tmp_path / "none"), "alice")
    assert os.listdir(tmp_path) == ["users"]


def test_a_new_file_is_private_and_a_link_stays_a_link(tmp_path: Path) -> None:
    add_user(str(tmp_path / "users"), "alice", "{PLAIN}x")
    assert stat.S_IMODE((tmp_path / "users").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to("users")
    add_user(str(tmp_path / "link"), "bob", "{PLAIN}x")
    assert (tmp_path / "link").is_symlink()
    assert len((tmp_path / "users").read_text().splitlines()) == 2


def test_editors_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "users"
    code = (
        "import sys; from culverhouse.auth.backends.passwd_file import add_user\n"
        "for n in range(20): add_user(sys.argv[1], f'{sys.argv[2]}-{n}', '{PLAIN}x')"
    )
    editors = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "abc"]
    assert [editor.wait(30) for editor in editors] == [0, 0, 0]
    users, reports = list_users(str(path))
    assert len(users) == 60
    assert reports == []
