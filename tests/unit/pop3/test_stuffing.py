"""Dot-stuffing and TOP's cut, against the definition, however the message is cut into pieces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from culverhouse.message.lines import normalise
from culverhouse.protocols.pop3.stuffing import DotStuffer, Head

WORDS = (b".", b"..", b"\r", b"\n", b"\r\n", b"\n.", b"\r\n.", b"x", b"a: b", b"\0", b"")
MAIL = st.lists(st.sampled_from(WORDS)).map(b"".join)
CUTS = st.lists(st.integers(1, 4))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    out, place = [], 0
    for cut in cuts:
        out.append(data[place : place + cut])
        place += cut
    return [*out, data[place:]]


def stuffed(data: bytes) -> bytes:
    """RFC 1939 3, line by line."""
    data = normalise(data)
    lines = data.split(b"\r\n")
    out = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    return out + (b"" if not out or out.endswith(b"\r\n") else b"\r\n") + b".\r\n"


@given(MAIL, CUTS)
def test_stuffing_is_that_of_the_whole_message(mail: bytes, cuts: list[int]) -> None:
    stuffer = DotStuffer()
    out = b"".join(stuffer.feed(piece) for piece in pieces(mail, cuts)) + stuffer.finish()
    assert out == stuffed(mail)
    assert stuffer.sent == len(normalise(mail))


@given(MAIL, CUTS)
def test_no_line_of_the_message_is_the_end(mail: bytes, cuts: list[int]) -> None:
    stuffer = DotStuffer()
    out = b"".join(stuffer.feed(piece) for piece in pieces(mail, cuts)) + stuffer.finish()
    assert (b"\r\n" + out).index(b"\r\n.\r\n") == len(out) - 3


@given(MAIL, CUTS, st.integers(0, 5))
def test_top_cuts_after_the_lines_asked_for(mail: bytes, cuts: list[int], lines: int) -> None:
    head = Head(lines)
    out = b""
    for piece in pieces(mail, cuts):
        out += head.feed(piece)
        if head.done:
            break
    blank = re.search(rb"(?:\A|\n)\r?\n", mail)
    if blank is None:
        assert out == mail
    else:
        body = mail[blank.end() :].split(b"\n")
        kept = b"\n".join(body[:lines]) + (b"\n" if len(body) > lines > 0 else b"")
        assert out == mail[: blank.end()] + kept


@pytest.mark.parametrize("octets", [1, 127, 128, 129])
def test_a_piece_at_most_doubles(octets: int) -> None:
    stuffer = DotStuffer()
    assert len(stuffer.feed(b"\n." * octets)) <= 4 * octets + 1
