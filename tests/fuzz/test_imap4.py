"""The IMAP engine under arbitrary and mutated command streams in every state: only ProtocolFault escapes, memory and
steps stay bounded, every answer is well formed, and nothing is left open.

A long campaign: `python -m tests.fuzz.test_imap4 [SECONDS [SEED]]`; a failing seed makes its case again.
"""

import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

import pytest

from culverhouse.model.errors import ProtocolFault
from culverhouse.protocols.imap4.limits import Limits
from tests.golden.driver import Connection, World

CASES = int(os.environ.get("CULVERHOUSE_FUZZ_CASES", "60"))
STATES = ("stranger", "exchange", "user", "selected", "examined", "idle", "append")

COMMANDS = [
    b"CAPABILITY", b"NOOP", b"LOGOUT", b"STARTTLS", b"AUTHENTICATE PLAIN", b"AUTHENTICATE PLAIN =",
    b"LOGIN alice secret",
    b"LOGIN {5+}\r\nalice {6+}\r\nsecret", b"ID NIL", b'ID ("name" "x" "y" NIL)', b"ENABLE CONDSTORE QRESYNC",
    b"SELECT INBOX", b"SELECT INBOX (CONDSTORE)", b"SELECT INBOX (QRESYNC (1 1 1:5 (1,2 1,2)))", b"EXAMINE INBOX",
    b"CREATE a/b", b"CREATE x (USE (\\Sent))", b"DELETE a/b", b"RENAME a c", b"SUBSCRIBE a", b"UNSUBSCRIBE a",
    b'LIST "" *', b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (% a*) RETURN (CHILDREN STATUS (MESSAGES SIZE))', b'LSUB "" %',
    b"STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE APPENDLIMIT)", b"NAMESPACE",
    b"APPEND INBOX (\\Seen a) \"17-Jul-1996 02:44:25 -0700\" {6+}\r\na: b\r\n", b"APPEND {5+}\r\nINBOX ~{3+}\r\na\0b",
    b"APPEND INBOX {2+}\r\nab {3+}\r\nabc", b"IDLE", b"DONE", b"CHECK", b"CLOSE", b"UNSELECT", b"EXPUNGE",
    b"UID EXPUNGE 1:*", b"SEARCH RETURN (ALL MIN) CHARSET UTF-8 OR SUBJECT {1+}\r\na NOT (UID 1:3 UNSEEN)",
    b"UID SEARCH MODSEQ 1 SENTSINCE 1-Jan-2000 LARGER 5", b"SEARCH BODY x TEXT y HEADER a b KEYWORD c NEW",
    b"FETCH 1:* FULL", b"FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (FROM TO)] RFC822.SIZE)",
    b"UID FETCH 1:* (BODY[] BODY[1.2.TEXT]<5.9> BINARY[1] BINARY.SIZE[2] BODY[2.MIME])",
    b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)", b"FETCH 1,3:2,* BODYSTRUCTURE",
    b"STORE 1:* +FLAGS (\\Deleted k)",
    b"UID STORE 2 (UNCHANGEDSINCE 5) -FLAGS.SILENT \\Seen", b"COPY 1 INBOX", b"UID MOVE 1 a", b"MOVE 2 INBOX",
    b"GET / HTTP/1.1", b"", b"*", b"AGFsaWNlAHNlY3JldA==", b"XYZZY",
]  # fmt: skip
SPICE = [b"(", b")", b'"', b"\\", b"{3}", b"{3+}", b"{0+}\r\n", b"{99999999999}", b"\0", b"\xff", b"*", b"%", b":",
         b",", b"4294967295", b"99999999999999999999", b" ", b"  ", b"[", b"]", b"<", b">", b"<0.1>", b"NIL", b"\r",
         b"\n", b"(" * 200, b"NOT " * 90, b"1," * 500, b"x" * 5000, b"&AOQ-", b"&", b"..", b"/",
         b"a/" * 60]  # fmt: skip
MAILS = [
    b"", b"a: b\n\n", b"Subject: a\nFrom: a <a@b>\n\nx\n", b"no header", b"\0\n\n\0",
    b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x\nContent-Type: message/rfc822\n\nA: b\n\nc\n--x--\n",
    b"Content-Transfer-Encoding: base64\n\nYWJ", b"Content-Transfer-Encoding: nonsense\n\n?",
    b"Subject: large\n\n" + b"line\n" * 60_000,
]


def mutated(chance: random.Random, command: bytes) -> bytes:
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 5])):
        place = chance.randrange(len(command) + 1)
        end = place + chance.choice([0, 0, 1, 3, 20])
        command = command[:place] + chance.choice([*SPICE, b"", chance.randbytes(3)]) + command[end:]
    return command


def stream(chance: random.Random) -> bytes:
    parts = []
    for number in range(chance.randrange(1, 25)):
        if chance.random() < 0.95:
            parts.append(b"%d " % number if chance.random() < 0.97 else b"")
        parts.append(mutated(chance, chance.choice(COMMANDS)))
        parts.append(chance.choice([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b""]))
    return b"".join(parts)


def well_formed(answer: bytes) -> None:
    """Lines with their literals, each beginning with a tag, `*` or `+`."""
    position = 0
    while position < len(answer):
        start = position
        while True:
            end = answer.find(b"\r\n", position)
            assert end >= 0, answer[start : start + 200]
            line = answer[position:end]
            position = end + 2
            literal = re.search(rb"(~?)\{(\d+)\}\Z", line)
            if literal is None:
                break
            content = answer[position : position + int(literal[2])]
            assert literal[1] or b"\0" not in content
            position += len(content)
        line = answer[start:end]
        assert re.match(rb"(?:\*|\+|[!#$&'\-,./-\[\]^-z|}~]{1,256}) ", line), line[:200]
        if not line.startswith(b"+"):
            assert b"\0" not in line.split(b"~{")[0]


def prepared(world: World, state: str) -> Connection:
    connection = Connection(world, Limits(drop=300_000, drop_before_login=30_000))
    world.connections.append(connection)
    if state == "exchange":
        connection.feed(b"s AUTHENTICATE PLAIN\r\n")
    elif state != "stranger":
        connection.feed(b"s LOGIN alice secret\r\n")
    begin = {
        "selected": b"s SELECT INBOX\r\n", "examined": b"s ENABLE QRESYNC\r\ns EXAMINE INBOX\r\n",
        "idle": b"s SELECT INBOX\r\ns IDLE\r\n", "append": b"s APPEND INBOX {50}\r\n",
    }  # fmt: skip
    connection.feed(begin.get(state, b""))
    return connection


def run(seed: str, state: str, world: World) -> None:
    """One connection that begins in `state` and gets bytes that the seed determines."""
    chance = random.Random(seed)
    for _ in range(chance.randrange(3)):
        world.deliver("INBOX", chance.choice(MAILS), chance.choice(["", "S", "FT"]))
    connection = prepared(world, state)
    bystander = world.connect()
    bystander.feed(b"x SELECT INBOX\r\ny IDLE\r\n")
    data = stream(chance)
    place = 0
    answer = b""
    try:
        while place < len(data) and connection.closed is None:
            size = chance.choice([1, 7, 300, 5000])
            answer += connection.feed(data[place : place + size])
            place += size
            assert connection.engine._session.framer.buffered <= 200_000
            if chance.random() < 0.02:
                connection.engine.timer()
                connection.pump()
        if chance.random() < 0.2:
            connection.engine.shutdown("over")
            connection.pump()
    except ProtocolFault:
        connection.closed = "fault"
    well_formed(answer + connection.taken())
    well_formed(bystander.taken())
    for one in (connection, bystander):
        one.engine.close()
        world.connections.remove(one)
    assert world.account.views() == 0
    assert not [path for path in (world.mail / "tmp").iterdir() if not path.name.startswith("culverhouse-")]


def fuzz_once(seed: str) -> None:
    """One case of a long campaign; the seed makes it again."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "world")
        try:
            for mail in MAILS:
                world.deliver("INBOX", mail)
            run(seed, random.Random(seed).choice(STATES), world)
        finally:
            world.close()


@pytest.mark.parametrize("state", STATES)
def test_arbitrary_streams(state: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    try:
        for mail in MAILS:
            world.deliver("INBOX", mail)
        for case in range(CASES):
            run(f"imap4 {state} {case}", state, world)
    finally:
        world.close()


def main() -> None:
    """A campaign of so many seconds, or one seed."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    if len(sys.argv) > 2:
        fuzz_once(sys.argv[2])
        return
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        seed = f"{time.time_ns()}"
        try:
            fuzz_once(seed)
        except BaseException:
            print(f"seed {seed}", file=sys.stderr)
            raise
        number += 1
    print(f"{number} cases")


if __name__ == "__main__":
    main()
