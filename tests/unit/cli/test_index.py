"""`culverhouse index`: on a real Maildir with a real index, sound, damaged and gone."""

import json
from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture(name="maildir")
def maildir_fixture(config: Path, culverhouse: Run) -> Path:
    for user in ("alice", "bob"):
        culverhouse("user", "add", "--config", config, user, "--scheme", "PLAIN", stdin=b"x")
    maildir = config.parent / "mail" / "alice" / "Maildir"
    for folder in (maildir, maildir / ".Entw&APw-rfe"):
        for name in ("cur", "new", "tmp"):
            (folder / name).mkdir(parents=True)
    (maildir / "cur" / "1.a:2,S").write_bytes(b"Subject: one\n\nx\n")
    (maildir / "new" / "2.a").write_bytes(b"Subject: two\n\nx\n")
    (maildir / ".Entw&APw-rfe" / "cur" / "3.a:2,").write_bytes(b"Subject: three\n\nx\n")
    return maildir


def rows(answer: tuple[int, str, str], code: int = 0) -> list[dict[str, object]]:
    assert answer[0] == code, answer
    found: list[dict[str, object]] = json.loads(answer[1])
    return found


def test_status_and_rebuild(culverhouse: Run, config: Path, maildir: Path) -> None:
    option = ("--config", config, "--json")
    assert [row["state"] for row in rows(culverhouse("index", "status", *option))] == [
        "not indexed",
        "not indexed",
        "no mail yet",
    ]
    built = rows(culverhouse("index", "rebuild", *option, "alice"))
    assert [(row["mailbox"], row["messages"], row["unseen"]) for row in built] == [("INBOX", 2, 1), ("Entwürfe", 1, 1)]
    shown = rows(culverhouse("index", "status", *option, "alice"))
    assert [(row["mailbox"], row["state"], row["messages"]) for row in shown] == [
        ("INBOX", "indexed", 2),
        ("Entwürfe", "indexed", 1),
    ]
    again = rows(culverhouse("index", "rebuild", *option, "ALICE", "Entwürfe"))
    assert [(row["mailbox"], row["uidvalidity"], row["uidnext"]) for row in again] == [
        ("Entwürfe", built[1]["uidvalidity"], built[1]["uidnext"])
    ]
    table = culverhouse("index", "status", "--config", config, "alice", "inbox")[1].splitlines()
    assert [line.split()[:3] for line in table] == [["USER", "MAILBOX", "STATE"], ["alice", "INBOX", "indexed"]]


def test_verify_finds_damage_and_rebuild_mends_it(culverhouse: Run, config: Path, maildir: Path) -> None:
    option = ("--config", config, "--json", "alice")
    assert [row["state"] for row in rows(culverhouse("index", "verify", *option))] == ["no index"]
    culverhouse("index", "rebuild", *option)
    (found,) = rows(culverhouse("index", "verify", *option))
    assert (found["state"], found["messages"], found["problems"]) == ("sound", 3, [])
    data = config.parent / "index" / "alice" / "data.mdb"
    octets = bytearray(data.read_bytes())
    for start in range(2 * 4096, len(octets), 4096):
        octets[start + 16 : start + 1000] = b"\xa5" * 984
    data.write_bytes(octets)
    (found,) = rows(culverhouse("index", "verify", *option), 1)
    assert found["state"] == "damaged"
    assert found["problems"]
    culverhouse("index", "rebuild", *option)
    (found,) = rows(culverhouse("index", "verify", *option))
    assert (found["state"], found["messages"]) == ("sound", 3)


def test_who_is_not_there(culverhouse: Run, config: Path, maildir: Path) -> None:
    assert culverhouse("index", "status", "--config", config, "nobody")[0] == 1
    code, _, err = culverhouse("index", "rebuild", "--config", config, "alice", "Nix")
    assert code == 1
    assert "alice has no mailbox Nix" in err
