"""The same messages, fetched and searched through Dovecot and through us. The known differences are listed, each with
its reason; everything else has to agree."""

import importlib.util
import mailbox as mbox_format
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.conftest import REAL, messages
from tests.compliance.mbox import Source
from tests.compliance.test_imaptest_scripts import SCRIPTS
from tests.compliance.values import text_of
from tests.differential.dovecot import Dovecot, reachable_folder
from tests.differential.picture import Client, Mailbox
from tests.serving import PASSWORD, serving

UIDVALIDITY = 1795481512

STRUCTURE = {
    "msg_14.txt": "`Content-Type: text` is no media type: text/plain then (RFC 2045 5.2); Dovecot says empty strings",
    "msg_32.txt": "a charset in RFC 2231 form: Dovecot does not see it and adds a default one",
    "msg_33.txt": "a boundary in RFC 2231 form: Dovecot does not see it and finds no parts",
    "real 0": "the first boundary line follows the header at once: Dovecot sees no parts",
}
ENVELOPE = {
    "real 6": "an address that is none (`a!b@c d.e`): each makes of it what it can",
}
SEARCHES = [
    b"ALL", b"SEEN", b"UNSEEN", b"KEYWORD NonJunk", b"LARGER 2000", b"SMALLER 500", b"NOT LARGER 2000",
    b"SINCE 1-Jan-2008", b"BEFORE 1-Jan-2008", b"SENTSINCE 1-Jan-2007", b"SENTBEFORE 1-Jan-1997",
    b"SENTON 24-Mar-2007", b"ON 21-Nov-2026", b"SUBJECT test", b"SUBJECT \"\"", b"FROM netscape", b"FROM user",
    b"TO user", b"CC user", b"BCC user", b"HEADER Message-ID \"\"", b"HEADER Content-Type multipart",
    b"HEADER X-Nothing \"\"", b"BODY test", b"BODY hello", b"TEXT boundary", b"TEXT mime", b"TEXT netscape",
    b"OR FROM user1 FROM user2", b"NOT SUBJECT s", b"1:20 UNSEEN", b"UID 5:30 NOT 7", b"UID 4294967295",
    b"CHARSET UTF-8 SUBJECT {2}\r\n\xc3\xbc", b"CHARSET UTF-8 BODY {4}\r\nK\xc3\x96L",
    b"CHARSET ISO-8859-1 TEXT {1}\r\n\xf6",
]  # fmt: skip
FORWARDED = re.compile(rb"^content-type:\s*message/(rfc822|news)", re.IGNORECASE | re.MULTILINE)
DATE = re.compile(rb"^date:.*\d\d:\d\d(?::\d\d)? ", re.IGNORECASE | re.MULTILINE)
DIFFERENCES: dict[bytes, tuple[str, Callable[[str, bytes], bool]]] = {
    b"SENTBEFORE 1-Jan-1997": (
        "a message without a valid Date field was sent on no day (RFC 3501 6.4.4); Dovecot takes it for one of 1970",
        lambda name, data: DATE.search(data) is None or name.startswith("sort-date"),
    ),
    b"BODY test": (
        "the header of a forwarded message is part of the body that forwards it; Dovecot leaves it out of BODY",
        lambda name, data: FORWARDED.search(data) is not None,
    ),
    b"TEXT mime": (
        "what stands before the first part (RFC 2046 5.1.1: to be ignored) is searched by Dovecot in TEXT",
        lambda name, data: name == "msg_21.txt",
    ),
}
"""Searches that differ: why, and for which messages they may."""


@dataclass
class Both:
    """What the two servers say, and the messages with their names."""

    mail: list[tuple[str, bytes]]
    theirs: Mailbox
    ours: Mailbox
    found: dict[bytes, tuple[list[int], list[int]]]


def corpus() -> list[tuple[str, bytes]]:
    """Every message at hand, with a name."""
    found = [(f"own {number}", message) for number, message in enumerate(messages()[:3])]
    if SCRIPTS.is_dir():
        for path in sorted(SCRIPTS.glob("*.mbox")):
            found += [(f"{path.name} {number}", data) for number, (data, _) in enumerate(Source(path).messages)]
    if importlib.util.find_spec("test.test_email"):
        import test.test_email

        folder = Path(next(iter(test.test_email.__path__))) / "data"
        found += [(path.name, path.read_bytes()) for path in sorted(folder.glob("msg_*.txt"))]
    if REAL.exists():
        box = mbox_format.mbox(REAL, create=False)
        found += [(f"real {number}", box.get_bytes(key)) for number, key in enumerate(box.keys())]
        box.close()
    if os.environ.get("CULVERHOUSE_CI") and len(found) < 200:
        pytest.fail(f"only {len(found)} messages to compare")
    return found


def build(maildir: Path, corpus: list[tuple[str, bytes]]) -> None:
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    lines = [f"3 V{UIDVALIDITY} N{len(corpus) + 1} G7578f72fa8df046b1756000083ecc375\n"]
    for uid, (_, data) in enumerate(corpus, 1):
        path = maildir / "cur" / f"{UIDVALIDITY}.M{uid}P1.host:2,{'S' if uid % 3 else ''}{'a' if uid % 5 == 0 else ''}"
        path.write_bytes(data)
        os.utime(path, (1_100_000_000 + uid * 1_000_000,) * 2)
        lines.append(f"{uid} :{path.name.partition(':')[0]}\n")
    (maildir / "dovecot-uidlist").write_text("".join(lines))
    (maildir / "dovecot-keywords").write_text("0 NonJunk\n")


def search(client: Client, key: bytes) -> list[int]:
    client.ok(b"EXAMINE INBOX")
    return [
        int(text_of(value) or 0)
        for reply in client.ok(b"UID SEARCH " + key)
        if reply.word == b"SEARCH"
        for value in reply.values[1:]
    ]


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    mail = corpus()
    with reachable_folder() as folder:
        dovecot = Dovecot(folder / "mail")
        build(dovecot.maildir(), mail)
        with dovecot, Client(dovecot.imap_port, "alice", dovecot.password) as client:
            theirs = client.mailbox("INBOX", structure=True)
            their_finds = [search(client, key) for key in SEARCHES]
        with serving(folder) as server, Client(server.imap, "alice", PASSWORD) as client:
            ours = client.mailbox("INBOX", structure=True)
            our_finds = [search(client, key) for key in SEARCHES]
        found = dict(zip(SEARCHES, zip(their_finds, our_finds, strict=True), strict=True))
        yield Both(mail, theirs, ours, found)


@pytest.mark.parametrize("field", ["flags", "internaldate", "size", "text"])
def test_facts_of_the_store_agree(both: Both, field: str) -> None:
    assert both.ours.messages.keys() == both.theirs.messages.keys()
    for uid, message in both.theirs.messages.items():
        assert getattr(both.ours.messages[uid], field) == getattr(message, field), both.mail[uid - 1][0]


@pytest.mark.parametrize(("field", "known"), [("envelope", ENVELOPE), ("structure", STRUCTURE)])
def test_facts_of_the_message_agree(both: Both, field: str, known: dict[str, str]) -> None:
    differing = {
        name: (getattr(both.ours.messages[uid], field), getattr(message, field))
        for uid, message in both.theirs.messages.items()
        if getattr(both.ours.messages[uid], field) != getattr(message, field)
        for name in [both.mail[uid - 1][0]]
    }
    assert not {name: pair for name, pair in differing.items() if name not in known}
    stale = [name for name, _ in both.mail if name in known and name not in differing]
    assert not stale, "these no longer differ: take them off the list"


@pytest.mark.parametrize("key", SEARCHES, ids=lambda key: key.decode("latin-1").replace("\r\n", " "))
def test_searches_agree(both: Both, key: bytes) -> None:
    theirs, ours = both.found[key]
    _, may_differ = DIFFERENCES.get(key, ("", lambda name, data: False))
    differing = [both.mail[uid - 1] for uid in sorted({*ours} ^ {*theirs})]
    assert not [name for name, data in differing if not may_differ(name, data)]
    assert bool(differing) == (key in DIFFERENCES), "no longer differs: take it off the list"
    assert ours == sorted(ours)
