"""FETCH of message files: large ones in pieces, broken ones, \\Seen, and what cannot be read."""

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from culverhouse.protocols.engine import Blocking, Send
from culverhouse.protocols.imap4 import bodies, octets
from tests.golden.driver import Connection, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    yield made
    made.close()


def literal(answer: bytes, name: bytes) -> bytes:
    """The literal behind an item."""
    match = re.search(re.escape(name) + rb" ~?\{(\d+)\}\r\n", answer)
    assert match is not None, answer[:300]
    return answer[match.end() : match.end() + int(match[1])]


def selected(world: World) -> Connection:
    connection = world.connect()
    connection.command(b"SELECT INBOX")
    return connection


def large(lines: int = 40_000) -> bytes:
    attachment = base64.encodebytes(bytes(range(256)) * 1500)
    return (
        b"Subject: large\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\n"
        + b"some line of text\n" * lines
        + b"--x\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n"
        + attachment
        + b"--x--\n"
    )


def test_a_large_message_comes_in_bounded_steps(world: World) -> None:
    message = large()
    world.deliver("INBOX", message)
    connection = selected(world)
    engine = connection.engine
    engine.receive(b"a FETCH 1 BODY.PEEK[]\r\n")
    sent = b""
    while not sent.endswith(b"a OK Fetched\r\n"):
        step = engine.next_step()
        if isinstance(step, Send):
            assert len(step.data) <= 2 * 65_536
            sent += step.data
        else:
            assert isinstance(step, Blocking)
            value = step.call()
            assert sum(len(piece) for share in value.shares for piece in share.octets) <= bodies.BUDGET + octets.PIECE
            engine.resume(value)
    assert literal(sent, b"BODY[]") == message.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_all_sections_of_a_large_message_are_those_of_a_small_one(world: World, ending: bytes) -> None:
    world.deliver("INBOX", large().replace(b"\n", ending))
    whole = large().replace(b"\n", b"\r\n")
    header, body = whole.split(b"\r\n\r\n", 1)
    connection = selected(world)
    assert literal(connection.command(b"FETCH 1 BODY.PEEK[HEADER]"), b"BODY[HEADER]") == header + b"\r\n\r\n"
    assert literal(connection.command(b"FETCH 1 BODY.PEEK[TEXT]"), b"BODY[TEXT]") == body
    assert literal(connection.command(b"FETCH 1 BODY.PEEK[TEXT]<100000.70000>"), b"BODY[TEXT]<100000>") == (
        body[100_000:170_000]
    )
    answer = connection.command(b"FETCH 1 (BODY.PEEK[1] BODY.PEEK[2.MIME] BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)])")
    # The line break before a boundary is the boundary's.
    assert literal(answer, b"BODY[1]") == (b"some line of text\r\n" * 40_000)[:-2]
    assert literal(answer, b"BODY[2.MIME]").startswith(b"Content-Type: application/octet-stream\r\n")
    assert literal(answer, b"BODY[HEADER.FIELDS.NOT (SUBJECT)]").startswith(b"Content-Type: multipart/mixed")
    decoded = bytes(range(256)) * 1500
    assert literal(connection.command(b"FETCH 1 BINARY.PEEK[2]"), b"BINARY[2]") == decoded
    assert literal(connection.command(b"FETCH 1 BINARY.PEEK[2]<100000.99>"), b"BINARY[2]<100000>") == (
        decoded[100_000:100_099]
    )
    assert b"BINARY.SIZE[2] 384000" in connection.command(b"FETCH 1 BINARY.SIZE[2]")


def test_a_large_message_that_is_fetched_in_pieces_is_parsed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver("INBOX", large())
    connection = selected(world)
    parsed: list[int] = []
    counted: list[int] = []
    real_parse, real_layout = bodies.parse, bodies.Layout
    monkeypatch.setattr(bodies, "parse", lambda data: parsed.append(len(data)) or real_parse(data))
    monkeypatch.setattr(bodies, "Layout", lambda file: counted.append(1) or real_layout(file))
    body = b""
    while len(body) % 65_536 == 0:
        name = b"BODY[1]<%d>" % len(body)
        body += literal(connection.command(b"FETCH 1 BODY.PEEK[1]<%d.65536>" % len(body)), name)
    assert body == (b"some line of text\r\n" * 40_000)[:-2]
    assert (len(parsed), len(counted)) == (1, 1)
    # Another mailbox forgets it.
    connection.command(b"SELECT INBOX")
    connection.command(b"FETCH 1 BODY.PEEK[1]<0.10>")
    assert len(parsed) == 2


def test_seen_is_set_once_for_many_messages_and_told_in_their_rows(world: World) -> None:
    for number in range(5):
        world.deliver("INBOX", b"Subject: %d\n\nbody\n" % number, "S" if number == 2 else "")
    connection = selected(world)
    other = selected(world)
    answer = connection.command(b"FETCH 1:* (BODY[TEXT])")
    assert answer.count(b"FLAGS (") == 4
    assert len([step for step in connection.steps if isinstance(step, Blocking) and step.key]) <= 3
    assert connection.command(b"NOOP") == b"a OK Done\r\n"
    assert other.command(b"NOOP").count(b"FETCH (FLAGS (\\Seen))\r\n") == 4


def test_examine_and_peek_set_nothing(world: World) -> None:
    world.deliver("INBOX", b"Subject: x\n\nbody\n")
    connection = world.connect()
    connection.command(b"EXAMINE INBOX")
    assert b"FLAGS" not in connection.command(b"FETCH 1 (BODY[] RFC822 RFC822.TEXT)")
    connection.command(b"SELECT INBOX")
    assert b"FLAGS" not in connection.command(b"FETCH 1 (BODY.PEEK[] RFC822.HEADER BINARY.PEEK[1])")
    assert b"* SEARCH 1\r\n" in connection.command(b"SEARCH UNSEEN")


def broken(world: World, number: int) -> None:
    """Make a message's file unreadable, also for root: a directory in its place."""
    path = sorted((world.mail / "cur").iterdir(), key=lambda path: path.name)[number]
    path.unlink()
    path.mkdir()


def test_a_message_that_cannot_be_read_stops_no_other(world: World) -> None:
    for number in range(3):
        world.deliver("INBOX", b"Subject: %d\n\nbody %d\n" % (number, number), "F")
    connection = selected(world)
    broken(world, 1)
    for items in (b"BODY.PEEK[]", b"ENVELOPE", b"(UID BODY[TEXT])", b"BODYSTRUCTURE"):
        answer = connection.command(b"FETCH 1:* " + items)
        assert b"* 1 FETCH (" in answer, items
        assert b"* 2 FETCH (" not in answer, items
        assert b"* 3 FETCH (" in answer, items
        assert re.search(rb"a NO \[CORRUPTION\] The message with UID 2 could not be read", answer), answer
    assert connection.command(b"NOOP").endswith(b"a OK Done\r\n")


def test_two_header_items_in_one_fetch_do_not_mix(world: World) -> None:
    for number in range(2):
        world.deliver("INBOX", b"From: a\nTo: b\nSubject: %d\n\nbody\n" % number, "F")
    one, other = selected(world), selected(world)
    one.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    one.command(b"EXPUNGE")
    # Of the first, which is expunged but in view, the index keeps nothing.
    for _ in range(2):
        answer = other.command(b"FETCH 1:2 (BODY.PEEK[HEADER.FIELDS (TO)] BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])")
        assert answer.count(b"BODY[HEADER.FIELDS (TO)] {9}\r\nTo: b\r\n\r\n ") == 2
        assert b"BODY[HEADER.FIELDS (FROM SUBJECT)] {23}\r\nFrom: a\r\nSubject: 0\r\n\r\n)" in answer


def test_a_message_that_vanishes_is_told_as_expunged(world: World) -> None:
    for number in range(2):
        world.deliver("INBOX", b"Subject: %d\n\n" % number, "F")
    connection = selected(world)
    min((world.mail / "cur").iterdir(), key=lambda path: path.name).unlink()
    answer = connection.command(b"FETCH 1:2 BODY.PEEK[]")
    assert b"* 2 FETCH (" in answer
    assert b"a NO [EXPUNGEISSUED]" in answer


def test_sizes_that_names_have_wrong_are_put_right(world: World) -> None:
    folder = world.mail / "cur"
    (folder / "1700000000.M1P1.test,S=5,W=5:2,").write_bytes(b"Subject: x\n\nbody of more than five\n")
    connection = selected(world)
    size = len(b"Subject: x\r\n\r\nbody of more than five\r\n")
    answer = connection.command(b"FETCH 1 BODY.PEEK[]")
    assert len(literal(answer, b"BODY[]")) == size
    assert b"RFC822.SIZE %d)" % size in connection.command(b"FETCH 1 RFC822.SIZE")


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\n", b"no header at all", b"Subject: x", b"\0\0\0\n\n\0", b"\xff\xfe\n\n\xff",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n" * 600,
        b"Content-Type: message/rfc822\n\n" * 600,
        b"To: " + b"(" * 65_536 + b"\n\n",
        b"To: " + b"a@b, " * 13_000 + b"\n\n",
        b"Subject: " + b"=?utf-8?q?=" * 5000 + b"\n\n",
        b"Content-Type: text/plain; charset=nonsense\nContent-Transfer-Encoding: base64\n\nAAA",
        b"Content-Type: multipart/mixed\n\n--\n--\n",
        b"Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx\n----\n",
    ],
)  # fmt: skip
def test_broken_mime_never_ends_the_connection(world: World, message: bytes) -> None:
    world.deliver("INBOX", message, "F")
    connection = selected(world)
    for items in (
        b"FULL", b"(BODYSTRUCTURE BODY.PEEK[] RFC822.SIZE)", b"(BODY.PEEK[1] BODY.PEEK[1.1.TEXT] BODY.PEEK[9])",
        b"(BINARY.PEEK[1] BINARY.SIZE[1] BODY.PEEK[HEADER.FIELDS (TO)])", b"RFC822.TEXT",
    ):  # fmt: skip
        answer = connection.command(b"FETCH 1 " + items)
        assert b"* 1 FETCH (" in answer
        assert answer.endswith(b"a OK Fetched\r\n")
    assert connection.command(b"SEARCH OR BODY zzz SUBJECT zzz").endswith(b"a OK Searched\r\n")
    sizes = connection.command(b"FETCH 1 (RFC822.SIZE BODY.PEEK[])")
    size = re.search(rb"RFC822.SIZE (\d+)", sizes)
    assert size is not None
    assert int(size[1]) == len(literal(sizes, b"BODY[]"))
    assert b"\0" not in sizes


def test_a_file_that_shrinks_while_it_is_sent_ends_the_connection_without_a_word(world: World) -> None:
    world.deliver("INBOX", large(), "F")
    connection = selected(world)
    engine = connection.engine
    engine.receive(b"a FETCH 1 BODY.PEEK[]\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.resume(step.call())
    path = next((world.mail / "cur").iterdir())
    os.truncate(path, 1000)
    connection.pump()
    assert connection.closed == "A message changed while it was sent"
    assert b"BYE" not in connection.taken()[-1000:]


def test_expunged_messages_stay_readable_until_they_were_told(world: World) -> None:
    for number in range(2):
        world.deliver("INBOX", b"Subject: %d\n\nbody %d\n" % (number, number), "F")
    one, other = selected(world), selected(world)
    one.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    one.command(b"EXPUNGE")
    for items in (b"BODY.PEEK[TEXT]", b"(FLAGS ENVELOPE)", b"(RFC822.SIZE INTERNALDATE)"):
        answer = other.command(b"FETCH 1 " + items)
        assert b"* 1 FETCH (" in answer
        assert answer.endswith(b"a OK Fetched\r\n")
    assert b"* 1 EXPUNGE\r\n" in other.command(b"NOOP")
    assert b"body 1" in other.command(b"FETCH 1 BODY.PEEK[TEXT]")
