"""Parts, pieces and searches of awkward mail, as Dovecot and as we tell them: Python's own email test messages and,
where they are, imaptest's messages and real mail.

Known differences, left out below: a section that is not there is NIL here and "" there; Dovecot counts a leaf as its
own part 1 as well (2.1 is 2), which RFC 3501 6.4.5 says of a whole message only; where a broken message's header ends.
"""

import importlib.resources
import mailbox
import os
from pathlib import Path

from tests.compliance.connection import Reply
from tests.compliance.values import List, text_of
from tests.differential.dovecot import Dovecot
from tests.differential.picture import Client, fetched
from tests.serving import PASSWORD, deliver, serving

SCRIPTS = Path(os.environ.get("IMAPTEST_SCRIPTS", Path(__file__).resolve().parents[3] / "shared" / "imaptest-scripts"))

PATHS = ["1", "2", "3", "4", "1.1", "1.2", "2.1", "2.2", "1.1.1", "2.1.1", "3.1"]
ITEMS = ["HEADER", "TEXT", *[f"{path}{kind}" for path in PATHS for kind in ("", ".MIME", ".HEADER", ".TEXT")]]
FIELDS = ["HEADER.FIELDS (SUBJECT FROM X-NONE CONTENT-TYPE)", "HEADER.FIELDS.NOT (RECEIVED TO)"]
SEARCHES = [
    "ALL", "SUBJECT test", "FROM barry", "TO list", "BODY the", "TEXT python", 'HEADER Received ""', "LARGER 2000",
    "SMALLER 700", "SENTON 25-Sep-1998", "OR SUBJECT re CC a", "HEADER Message-ID python.org", "1:5 TEXT e",
    'HEADER X-Mailer ""', "NOT (SUBJECT a LARGER 900)",
]  # fmt: skip
BROKEN = (b"no separating newline", b"<p>baz</p>", b"boundary*", b"_aaaaaaaaaa1", b"mixed;;", b"\0")
"""In messages whose structure is a matter of taste."""


def corpus() -> list[bytes]:
    found = []
    data = importlib.resources.files("test.test_email").joinpath("data")
    for path in sorted(data.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".txt"):
            found.append(path.read_bytes())
    for file in sorted([*SCRIPTS.glob("*.mbox"), *(SCRIPTS.parent / "mail").glob("*.mbox")]):
        box = mailbox.mbox(file, create=False)
        found += [box.get_bytes(key) for key in list(box.keys())[:30]]
        box.close()
    return [message for message in found if not any(word in message for word in BROKEN)]


def sections(client: Client, number: int) -> dict[str, bytes]:
    """What is there of all sections, by UID and name."""
    client.ok(b"EXAMINE INBOX")
    told: dict[str, bytes] = {}
    for uid in range(1, number + 1):
        names = " ".join(f"BODY.PEEK[{item}]" for item in ITEMS)
        for row in fetched(client.ok(f"UID FETCH {uid} (RFC822.SIZE BODY.PEEK[]<3.50> {names})".encode())):
            values = ((name, text_of(value) or b"") for name, value in row.items())
            told |= {f"{uid} {name}": value for name, value in values if value not in (b"", b"NIL")}
        for item in FIELDS:
            (reply,) = client.ok(f"FETCH {uid} BODY.PEEK[{item}]".encode())
            row = reply.values[2]
            assert isinstance(row, List)
            told[f"{uid} BODY[{item}]"] = text_of(row.items[-1]) or b""
    return told


def searches(client: Client) -> dict[str, list[bytes]]:
    client.ok(b"EXAMINE INBOX")
    return {search: found(client.ok(b"UID SEARCH " + search.encode())) for search in SEARCHES}


def found(replies: list[Reply]) -> list[bytes]:
    return [text_of(value) or b"" for reply in replies if reply.word == b"SEARCH" for value in reply.values[1:]]


def is_own_part_one(key: str, told: dict[str, bytes]) -> bool:
    """Dovecot's 2.1 for the leaf 2."""
    path, dot, kind = key.partition("BODY[")[2].rstrip("]").partition(".1")
    uid = key.partition(" ")[0]
    return bool(dot) and told.get(f"{uid} BODY[{path}{kind}]") == told[key]


def test_sections_and_searches(folder: Path) -> None:
    mail = corpus()
    assert len(mail) > 30
    with Dovecot(folder / "mail") as dovecot:
        with Client(dovecot.imap_port, "alice", Dovecot.password) as client:
            client.ok(b"SELECT INBOX")
            for message in mail:
                deliver(dovecot.maildir(), message)
                client.ok(b"NOOP")  # each gets its UID by itself, in this order
        with Client(dovecot.imap_port, "alice", Dovecot.password) as client:
            theirs, their_searches = sections(client, len(mail)), searches(client)
    with serving(folder) as server, Client(server.imap, "alice", PASSWORD) as client:
        ours, our_searches = sections(client, len(mail)), searches(client)
    assert our_searches == their_searches
    differing = {key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)}
    unexplained = {key for key in differing if key in ours or not is_own_part_one(key, theirs)}
    assert not unexplained, {key: (theirs.get(key), ours.get(key)) for key in sorted(unexplained)[:5]}
    assert len(ours) > 8 * len(mail)
