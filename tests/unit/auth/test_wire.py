"""Messages between workers and the auth process: round trips, and what a taken-over worker might send."""

import json
import struct

import pytest

from culverhouse.auth.wire import (
    MAX_MESSAGE,
    AuthCancel,
    AuthContinue,
    AuthStart,
    Challenge,
    Failure,
    Frames,
    Hello,
    Kick,
    Mechanisms,
    Message,
    Reason,
    SessionClosed,
    SessionOpened,
    SessionsActive,
    Success,
    WireError,
    decode,
    encode,
)
from culverhouse.model.secret import Secret

MESSAGES: list[Message] = [
    Hello("worker-1"),
    AuthStart(1, "c1", "imap", "PLAIN", Secret(b"\0a\0\xff"), "192.0.2.1", True, True, {"tls-exporter": b"\0\1"}),
    AuthStart(2, "c2", "pop3", "LOGIN", None, "", False, False),
    AuthContinue(1, Secret(b"")),
    AuthCancel(1),
    SessionOpened("c1", "älice", "imap", "::1", True, 1.5),
    SessionClosed("c1"),
    SessionsActive(("a", "b")),
    Mechanisms(("PLAIN", "SCRAM-SHA-256-PLUS")),
    Challenge(1, b"r=x"),
    Success(1, "alice"),
    Success(1, "alice", "/home/alice", 5, 6, {"quota": "1"}, b"v=x"),
    Failure(3, Reason.UNAVAILABLE, "later", "al", "disk"),
    Kick("c1", "bye"),
]


def test_round_trip_byte_by_byte() -> None:
    stream = b"".join(map(encode, MESSAGES))
    frames = Frames()
    found: list[Message] = []
    for octet in stream:
        found += frames.feed(bytes([octet]))
    assert found == MESSAGES
    assert list(Frames().feed(stream)) == MESSAGES


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(AuthStart(1, "c", "imap", "PLAIN", Secret(b"hunter2"), "", True, True))
    assert "hunter2" not in repr(AuthContinue(1, Secret(b"hunter2")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"1",
        b'{"type":"Nobody"}',
        b'{"type":[]}',
        b'{"type":"Hello"}',
        b'{"worker":"x"}',
        b'{"type":"Hello","worker":1}',
        b'{"type":"Hello","worker":"x","more":1}',
        b'{"type":"Hello","worker":null}',
        b'{"type":"AuthCancel","id":true}',
        b'{"type":"AuthCancel","id":1.0}',
        b'{"type":"AuthCancel","id":"1"}',
        b'{"type":"AuthContinue","id":1,"response":"!"}',
        b'{"type":"AuthContinue","id":1,"response":5}',
        b'{"type":"SessionsActive","connections":"ab"}',
        b'{"type":"SessionsActive","connections":[1]}',
        b'{"type":"Failure","id":1,"reason":"no","text":"","user":"","detail":""}',
        b'{"type":"Failure","id":1,"reason":[],"text":"","user":"","detail":""}',
        b'{"type":"SessionOpened","connection":"a","user":"u","service":"i","address":"","tls":true,"since":"x"}',
        b"[" * 50_000,
        b"\xff\xfe",
        b'{"type":"__class__"}',
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


def test_size_is_limited_before_anything_is_kept() -> None:
    frames = Frames()
    with pytest.raises(WireError):
        list(frames.feed(struct.pack(">I", MAX_MESSAGE + 1)))
    with pytest.raises(WireError):
        encode(Hello("x" * MAX_MESSAGE))


def test_messages_before_a_bad_one_count() -> None:
    bad = json.dumps({"type": "Nobody"}).encode()
    messages = Frames().feed(encode(MESSAGES[0]) + struct.pack(">I", len(bad)) + bad)
    assert next(messages) == MESSAGES[0]
    with pytest.raises(WireError):
        next(messages)


def test_the_reasons_are_those_of_the_protocols() -> None:
    from culverhouse.protocols.engine import SaslReason

    assert {reason.value for reason in Reason} == {reason.value for reason in SaslReason}
