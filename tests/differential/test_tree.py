"""A tree that Dovecot wrote is served by us as it is, and handed back the same day (DESIGN, *Who holds what*)."""

import time
from pathlib import Path

import pytest

from tests.clients.conftest import messages
from tests.differential.dovecot import Dovecot
from tests.differential.picture import Client, everything, uidls
from tests.serving import PASSWORD, deliver, serving

FOLDERS = ["Work", "Work/Plans", "Entw&APw-rfe", "with blank", "Trash", "a&AOk-/b&AOk-"]
FLAGS = ["\\Seen", "\\Answered", "\\Flagged", "\\Draft"]
KEYWORDS = ["$Label1", "$Forwarded", "NonJunk", "todo", "k" * 40]
DOVECOT = Dovecot.password


def build(dovecot: Dovecot) -> None:
    """Folders, flags, keywords, gaps in the UIDs and unseen mail, all by Dovecot itself."""
    mail = messages()
    with Client(dovecot.imap_port, "alice", DOVECOT) as client:
        for folder in FOLDERS:
            client.ok(f'CREATE "{folder}"'.encode())
            client.ok(f'SUBSCRIBE "{folder}"'.encode())
        for number, message in enumerate([*mail, *mail[:3]]):
            flags = " ".join(flag for bit, flag in enumerate(FLAGS) if number >> bit & 1)
            client.append(["INBOX", *FOLDERS][number % 4], message, flags, date(number))
        for folder in (b"INBOX", b"Work"):
            client.ok(b"SELECT " + folder)
            for number, keyword in enumerate(KEYWORDS):
                client.ok(f"STORE {number % 4 + 1} +FLAGS ({keyword})".encode())
            client.ok(b"STORE 2 +FLAGS (\\Deleted)")
            client.ok(b"EXPUNGE")
            client.ok(b"STORE 1 +FLAGS (\\Deleted)")
            client.ok(b"UNSELECT")
    for message in mail[:2]:
        deliver(dovecot.maildir(), message)


def change(port: int, password: str) -> None:
    """What a day's work does to a mailbox."""
    with Client(port, "alice", password) as client:
        client.append("Work", b"Subject: appended\n\nby one of us\n", "\\Flagged mine", date(1))
        client.ok(b"CREATE Fresh")
        client.ok(b"SELECT INBOX")
        client.ok(b"UID STORE 1:4 +FLAGS (\\Answered $Label1 new-one)")
        client.ok(b"UID STORE 3 -FLAGS (\\Seen $Forwarded)")
        client.ok(b"UID COPY 1,3 Fresh")
        client.ok(b"UID MOVE 4 Work")
        client.ok(b"UID STORE 3 +FLAGS (\\Deleted)")
        client.ok(b"EXPUNGE")
        client.ok(b"UNSELECT")
        client.ok(b'RENAME "with blank" without')
        client.ok(b"DELETE Trash")


def date(number: int) -> str:
    return f"{number % 28 + 1:2d}-Mar-2021 10:11:{number % 60:02d} +0200"


@pytest.fixture(params=["maildir++", "fs"])
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def dovecot_on(folder: Path, layout: str) -> Dovecot:
    return Dovecot(folder / "mail", ("alice",), layout=layout)


def test_identical_to_the_client_and_dovecot_takes_it_back(folder: Path, layout: str) -> None:
    with dovecot_on(folder, layout) as dovecot:
        build(dovecot)
        theirs = everything(dovecot.imap_port, "alice", DOVECOT)
        their_uidls = uidls(dovecot.pop3_port, "alice", DOVECOT)
        with Client(dovecot.imap_port, "alice", DOVECOT) as client:
            their_subscriptions = client.names("LSUB")
    assert sum(len(box.messages) for box in theirs.values()) > 10
    with serving(folder, layout=layout) as server:
        ours = everything(server.imap, "alice", PASSWORD)
        assert uidls(server.pop3, "alice", PASSWORD) == their_uidls
        with Client(server.imap, "alice", PASSWORD) as client:
            assert client.names("LSUB") == their_subscriptions
    for name, box in theirs.items():
        assert ours[name] == box, name
    with dovecot_on(folder, layout) as dovecot:
        again = everything(dovecot.imap_port, "alice", DOVECOT)
        assert uidls(dovecot.pop3_port, "alice", DOVECOT) == their_uidls
        assert complaints(dovecot) == []
    for name, box in theirs.items():
        assert again[name] == box, name


@pytest.mark.parametrize("first", ["dovecot", "culverhouse"])
def test_changes_by_either_are_seen_by_the_other(first: str, folder: Path, layout: str) -> None:
    with dovecot_on(folder, layout) as dovecot:
        build(dovecot)
        everything(dovecot.imap_port, "alice", DOVECOT)
    seen = []
    for who in (first, "culverhouse" if first == "dovecot" else "dovecot"):
        # Dovecot tells changes of one and the same second apart by the time it looked, and may look only later.
        time.sleep(1.1)
        if who == "dovecot":
            with dovecot_on(folder, layout) as dovecot:
                if who == first:
                    change(dovecot.imap_port, DOVECOT)
                seen.append(everything(dovecot.imap_port, "alice", DOVECOT))
                assert complaints(dovecot) == []
        else:
            with serving(folder, layout=layout) as server:
                if who == first:
                    change(server.imap, PASSWORD)
                seen.append(everything(server.imap, "alice", PASSWORD))
    assert {"Fresh", "without"} <= seen[0].keys()
    assert not {"Trash", "with blank"} & seen[0].keys()
    assert len(seen[0]["Fresh"].messages) == 2
    for name, box in seen[0].items():
        assert seen[1][name] == box, name
    if first == "dovecot":
        assert "Trash" not in seen[1] or not seen[1]["Trash"].messages, "made anew at most, as a default mailbox"


def test_both_at_once_never_give_a_uid_twice(folder: Path) -> None:
    """Both servers append to the same mailbox in turn, while both have it open."""
    with dovecot_on(folder, "maildir++") as dovecot:
        build(dovecot)
        with (
            serving(folder) as server,
            Client(dovecot.imap_port, "alice", DOVECOT) as theirs,
            Client(server.imap, "alice", PASSWORD) as ours,
        ):
            dovecot.make_writable()
            before = theirs.mailbox("Work")
            assert ours.mailbox("Work") == before
            for turn in range(20):
                (theirs, ours)[turn % 2].append("Work", b"Subject: %d\n\nx\n" % turn)
                dovecot.make_writable()
            time.sleep(1.1)
            after = theirs.mailbox("Work")
            assert ours.mailbox("Work") == after
            new = [seen.text for uid, seen in sorted(after.messages.items()) if uid not in before.messages]
            assert new == [b"Subject: %d\r\n\r\nx\r\n" % turn for turn in range(20)]
            assert before.messages.items() <= after.messages.items()
            assert complaints(dovecot) == []


def complaints(dovecot: Dovecot) -> list[str]:
    """What Dovecot found wrong with the tree."""
    return [line for line in dovecot.log.splitlines() if " Error: " in line or " Warning: " in line]
