"""APPEND: messages on their way in, in pieces and under failures; literal8; and its pure part, binary.encoded."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from culverhouse.model.errors import Kind, MailError
from culverhouse.protocols.engine import Blocking, Need, Send
from culverhouse.protocols.imap4.binary import encoded
from tests.golden.driver import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world", max_message_size=50_000_000)
    yield made
    made.close()


def left_over(world: World) -> list[Path]:
    return list((world.mail / "tmp").iterdir())


def test_a_large_message_is_never_whole_in_memory(world: World) -> None:
    connection = world.connect()
    chunk = b"a line of text, sixty-four octets with its end, more or less..\r\n" * 1000
    size = 300 * len(chunk)
    writes = 0
    tracemalloc.start()
    try:
        connection.feed(b"a APPEND INBOX {%d+}\r\n" % size)
        for _ in range(300):
            connection.feed(chunk)
            writes += sum(isinstance(step, Blocking) for step in connection.steps)
            connection.steps.clear()
        assert connection.feed(b"\r\n").startswith(b"a OK [APPENDUID ")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert size / 262_144 < writes <= size / 131_072 + 10


def test_a_disk_that_fills_up_is_told_and_the_rest_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = world.connect()
    real = world.account.spool

    class Full:
        def __init__(self, spool: Any) -> None:
            self.spool = spool
            self.written = 0

        def write(self, data: bytes) -> None:
            self.written += len(data)
            if self.written > 200_000:
                self.spool.discard()
                raise MailError(Kind.OVERQUOTA, "The disk is full")
            self.spool.write(data)

        def discard(self) -> None:
            self.spool.discard()

    monkeypatch.setattr(world.account, "spool", lambda name: Full(real(name)))
    for announced in (b"{1000000+}", b"{1000000}"):
        answer = connection.feed(b"a APPEND INBOX " + announced + b"\r\n")
        answer += b"".join(connection.feed(b"x" * 100_000) for _ in range(10))
        assert answer.removeprefix(b"+ OK\r\n") == b"a NO [OVERQUOTA] The disk is full\r\n"
        assert connection.feed(b"\r\nb NOOP\r\n") == b"b OK Done\r\n"
        assert not left_over(world)


@pytest.mark.parametrize("end", [b"nonsense\r\n", b" (\\Foo) {1+}\r\nx\r\n", b" {99999999}\r\n", b" {0+}\r\n\r\n",
                                 b" " + b"x" * 70_000 + b"\r\n"])  # fmt: skip
def test_all_or_none(world: World, end: bytes) -> None:
    connection = world.connect()
    answer = connection.feed(b"a APPEND INBOX {4+}\r\na: b {4+}\r\nc: d" + end + b"b STATUS INBOX (MESSAGES)\r\n")
    assert answer.split(b" ")[1] in (b"BAD", b"NO")
    assert answer.endswith(b"* STATUS INBOX (MESSAGES 0)\r\nb OK Done\r\n")
    assert not left_over(world)


def test_a_lost_connection_leaves_nothing(world: World) -> None:
    connection = world.connect()
    connection.feed(b"a APPEND INBOX {4+}\r\na: b {1000+}\r\n" + b"x" * 500)
    assert len(left_over(world)) == 2
    connection.engine.close()
    assert not left_over(world)


def test_nothing_is_read_while_a_piece_is_written(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a APPEND INBOX {1000000+}\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.receive(b"x" * 200_000)
    assert not engine.hungry
    engine.resume(step.call())
    step = engine.next_step()
    assert isinstance(step, Blocking)
    assert engine.hungry
    engine.resume(step.call())
    assert isinstance(engine.next_step(), Need)


def test_too_many_messages_in_one_append(world: World) -> None:
    connection = world.connect()
    answer = connection.feed(b"a APPEND INBOX" + b" {4+}\r\na: b" * 1001 + b"\r\n")
    assert answer == b"a NO [LIMIT] An APPEND may hold 1000 messages\r\n"
    assert not left_over(world)


def test_octets_arrive_as_they_were_sent(world: World) -> None:
    connection = world.connect()
    message = b"a: b\r\n\r\nbare\nboth\r\nend\r"
    connection.feed(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(message), message))
    assert next((world.mail / "new").iterdir()).read_bytes() == message
    connection.command(b"SELECT INBOX")
    assert b"bare\r\nboth\r\nend\r)" in connection.command(b"FETCH 1 BODY.PEEK[]")


# --- literal8 -------------------------------------------------------------------------------------------------------

BINARY = b"From: a\r\nMime-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def test_binary_content_can_be_fetched_both_ways(world: World) -> None:
    connection = world.connect()
    content = bytes(range(256)) + b"\n\r\r\n"
    message = BINARY + content
    answer = connection.feed(b"a APPEND INBOX ~{%d+}\r\n%b\r\n" % (len(message), message))
    assert answer.startswith(b"a OK [APPENDUID ")
    connection.command(b"SELECT INBOX")
    assert b"BINARY[1] ~{%d}\r\n%b)\r\n" % (len(content), content) in connection.command(b"FETCH 1 BINARY.PEEK[1]")
    body = connection.command(b"FETCH 1 BODY.PEEK[]")
    assert b"\0" not in body
    assert b"Content-Transfer-Encoding: base64\r\n" in body


def test_what_is_not_binary_stays_as_it_is() -> None:
    for message in (
        b"Subject: x\r\n\r\ntext\r\n", b"no header", b"", b"a: b\n\n\0",
        b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\0\r\n",
    ):  # fmt: skip
        if b"\0" not in message or b"base64" in message:
            assert encoded(message) == message


def test_nested_binary_parts() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: BINARY\r\nX: y\r\n\r\n"
        b"preamble\r\n--x\r\n"
        b"Content-Type: image/x\r\nContent-Transfer-Encoding:\r\n binary\r\n\r\n\0\1\2\r\n--x\r\n\r\nplain\r\n--x\r\n"
        b"Content-Type: text/plain\r\n\r\nnul\0\r\n--x--\r\nepilogue\r\n"
    )
    assert encoded(message) == (
        b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\nX: y\r\n\r\n"
        b"preamble\r\n--x\r\n"
        b"Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--x\r\n\r\nplain\r\n--x\r\n"
        b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\nbnVsAA==\r\n--x--\r\nepilogue\r\n"
    )


def test_long_content_is_broken_into_lines() -> None:
    made = encoded(BINARY + b"\0" * 1000)
    assert max(map(len, made.split(b"\r\n"))) <= 76
    assert made.endswith(b"\r\n")


def test_sends_are_answers_only(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a APPEND INBOX {3}\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.resume(step.call())
    assert engine.next_step() == Send(b"+ OK\r\n")
