"""Any split of a client's bytes gives the same answers, and what is rendered reads back as what it was."""

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from culverhouse.message.section import Section
from culverhouse.message.wire import string
from culverhouse.model.errors import ProtocolFault
from culverhouse.model.uids import UidSet
from culverhouse.protocols.framing import Announced, Frame, Framer, Piece
from culverhouse.protocols.imap4.fetch_items import BodyItem, Form, fetch_items
from culverhouse.protocols.imap4.list_match import Pattern
from culverhouse.protocols.imap4.reader import Reader
from culverhouse.protocols.imap4.render import mailbox
from culverhouse.protocols.imap4.types import Partial, SequenceSet
from tests.golden.driver import Connection, World

# --- framing --------------------------------------------------------------------------------------------------------

fragments = st.lists(
    st.one_of(
        st.sampled_from((
            b"a NOOP\r\n", b"b X {3}\r\nabc\r\n", b"c {2+}\r\nx\r\n", b"\n", b"\r", b"{", b"}", b"{9+}\r\n",
            b"~{4}\r\n", b"{0+}\r\n", b"x" * 60, b"d APPEND y {5+}\r\n12345 {1+}\r\n6\r\n",
        )),
        st.binary(max_size=12),
    ),
    max_size=12,
)  # fmt: skip
cuts = st.lists(st.integers(min_value=1, max_value=40), max_size=60)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    out, position = [], 0
    for size in sizes:
        out.append(data[position : position + size])
        position += size
    return [*out, data[position:]]


def framed(parts: list[bytes], choices: str) -> list[Frame | str]:
    """All frames of a stream, with literals kept, streamed or refused by turns; pieces of one literal joined."""
    framer = Framer(50, 200)
    out: list[Frame | str] = []
    turn = 0
    try:
        for part in parts:
            framer.feed(part)
            while (frame := framer.next()) is not None:
                if isinstance(frame, Piece) and out and isinstance(out[-1], Piece) and not out[-1].last:
                    out[-1] = Piece(out[-1].data + frame.data, frame.last)
                else:
                    out.append(frame)
                if isinstance(frame, Announced):
                    out.append(framer.so_far().decode("latin-1"))
                    choice = choices[turn % len(choices)]
                    turn += 1
                    {"k": framer.keep, "s": framer.stream, "r": framer.refuse}[choice]()
    except ProtocolFault as fault:
        out.append(fault.text)
    # What of a streamed literal has come so far depends on nothing but the octets.
    return out


@given(fragments, cuts, st.text("ksr", min_size=1, max_size=5))
def test_frames_do_not_depend_on_packets(stream: list[bytes], sizes: list[int], choices: str) -> None:
    data = b"".join(stream)
    assert framed(pieces(data, sizes), choices) == framed([data], choices)


# --- the whole engine -----------------------------------------------------------------------------------------------

MESSAGE = b"From: a@example.org\nSubject: one\nDate: Sat, 24 Mar 2007 23:00:00 +0200\n\nbody\n"
COMMANDS = (
    b"NOOP", b"SELECT INBOX", b"EXAMINE {5+}\r\nINBOX", b"FETCH 1:* (FLAGS UID)", b"FETCH 1 (BODY.PEEK[] ENVELOPE)",
    b"UID FETCH 1:* FULL", b"STORE 1 +FLAGS (\\Flagged)", b"STORE 1 FLAGS ()", b"SEARCH SUBJECT {3+}\r\none",
    b"UID SEARCH RETURN (ALL) ALL", b"APPEND none {6+}\r\na: b\r\n", b"LIST \"\" *", b"STATUS INBOX (MESSAGES)",
    b"IDLE\r\nDONE", b"BOGUS", b"FETCH", b"CLOSE", b"CREATE \"", b"ID NIL", b"SELECT {100000+}\r\n" + b"x" * 100,
)  # fmt: skip


def played(world: World, parts: list[bytes]) -> bytes:
    connection = Connection(world)
    world.connections.append(connection)
    connection.feed(b"0 LOGIN alice secret\r\n")
    said = b"".join(connection.feed(part) for part in parts)
    connection.engine.close()
    world.connections.remove(connection)
    return said


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(COMMANDS), max_size=8), cuts)
def test_answers_do_not_depend_on_packets(commands: list[bytes], sizes: list[int]) -> None:
    data = b"".join(b"%d %b\r\n" % (number, command) for number, command in enumerate(commands))
    answers = []
    for parts in ([data], pieces(data, sizes)):
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder) / "world")
            world.deliver("INBOX", MESSAGE, "S")
            played(world, [b"x SELECT INBOX\r\n"])
            answers.append(_timeless(played(world, parts)))
            world.close()
    assert answers[0] == answers[1]


def _timeless(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if b"HIGHESTMODSEQ" not in line and b"UIDVALIDITY" not in line]


# --- reading back ---------------------------------------------------------------------------------------------------

number = st.integers(min_value=1, max_value=0xFFFFFFFF)


@given(st.lists(st.tuples(st.none() | number, st.none() | number), min_size=1, max_size=20))
def test_sequence_sets_read_back(runs: list[tuple[int | None, int | None]]) -> None:
    made = SequenceSet(tuple(runs))
    reader = Reader(str(made).encode())
    assert reader.sequence_set() == made
    assert reader.at_end()


@given(st.sets(number, min_size=1, max_size=50))
def test_uid_sets_read_back(numbers: set[int]) -> None:
    read = Reader(str(UidSet.of(numbers)).encode()).sequence_set()
    assert {n for low, high in read.runs for n in range(low or 0, (high or 0) + 1)} == numbers


@given(st.binary(max_size=40).filter(lambda name: b"\0" not in name and name.upper() != b"INBOX"))
def test_mailbox_names_read_back(name: bytes) -> None:
    reader = Reader(mailbox(os.fsdecode(name)))
    assert os.fsencode(reader.mailbox()) == name
    assert reader.at_end()


field = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & set(b"\0"))
section = st.one_of(
    st.builds(Section, st.lists(st.integers(1, 99), max_size=4).map(tuple), st.sampled_from(("", "HEADER", "TEXT"))),
    st.builds(Section, st.lists(st.integers(1, 99), min_size=1, max_size=4).map(tuple), st.just("MIME")),
    st.builds(
        Section, st.just(()), st.sampled_from(("HEADER.FIELDS", "HEADER.FIELDS.NOT")),
        st.lists(field.map(bytes.lower), min_size=1, max_size=4).map(tuple),
    ),
)  # fmt: skip
partial = st.none() | st.builds(Partial, st.integers(0, 0xFFFFFFFF), number)


@given(section, partial)
def test_sections_read_back(asked: Section, part: Partial | None) -> None:
    """The name in an answer, with PEEK and the partial's length put back, asks for the same again."""
    spec = ".".join([*map(str, asked.path), *([asked.kind] if asked.kind else [])]).encode()
    if asked.fields:
        spec += b" (%b)" % b" ".join(map(string, asked.fields))
    angle = b"<%d.%d>" % (part.start, part.length) if part else b""
    (item,) = fetch_items(Reader(b"BODY[%b]%b" % (spec, angle)))
    assert isinstance(item, BodyItem)
    assert (item.section, item.partial, item.form) == (asked, part, Form.BODY)
    again = item.name.replace(b"<%d>" % part.start, angle) if part else item.name
    assert fetch_items(Reader(again)) == (item,)


@given(st.text("ab/*%", max_size=12), st.text("ab/", max_size=12))
def test_a_pattern_without_wildcards_matches_itself_alone(pattern: str, name: str) -> None:
    made = Pattern(pattern, "/")
    if not set(pattern) & set("*%"):
        assert made.matches(name) == (pattern == name)
    assert Pattern("*", "/").matches(name)
    assert Pattern("%", "/").matches(name) == ("/" not in name)
    assert not made.matches(name) or Pattern(pattern + "*", "/").matches(name + "/x")
