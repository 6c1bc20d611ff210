"""Raw fields and blocks of them."""

import pytest

from culverhouse.message import headers

HEADER = (
    b"Received: one\r\n\ttwo\r\n"
    b"Subject : spaced\r\n"
    b"to: a@b\r\n"
    b"X-Empty:\r\n"
    b"TO: c@d,\r\n e@f\r\n"
    b"\r\n"
)


def test_fields_keep_their_octets_and_lower_their_names() -> None:
    assert headers.fields(HEADER) == [
        (b"received", b"Received: one\r\n\ttwo\r\n"),
        (b"subject", b"Subject : spaced\r\n"),
        (b"to", b"to: a@b\r\n"),
        (b"x-empty", b"X-Empty:\r\n"),
        (b"to", b"TO: c@d,\r\n e@f\r\n"),
    ]


def test_a_block_has_the_named_fields_in_message_order() -> None:
    wanted = frozenset({b"to", b"subject", b"missing"})
    block = headers.field_block(HEADER, wanted)
    assert block == b"Subject : spaced\r\nto: a@b\r\nTO: c@d,\r\n e@f\r\n"
    assert headers.cut_block(block, frozenset({b"to"})) == b"to: a@b\r\nTO: c@d,\r\n e@f\r\n"
    assert headers.cut_block(block, frozenset()) == b""


def test_the_excluding_block_has_everything_else() -> None:
    header = b"Subject: s\r\nno field at all\r\n\twith a fold\r\nFrom: a@b\r\n c\r\nX: y\r\n\r\n"
    names = frozenset({b"from", b"subject"})
    assert headers.field_block(header, names, exclude=True) == b"no field at all\r\n\twith a fold\r\nX: y\r\n"
    assert headers.field_block(header, frozenset(), exclude=True) == header[:-2]
    assert headers.field_block(b"Subject: s\r\n\r\n", names, exclude=True) == b""


def test_lines_that_are_no_field_belong_to_none() -> None:
    header = b"From x@y Mon Jan 1\r\nSubject: s\r\nno colon here\r\n folded\r\nTo: a@b\r\nbad name: x\r\n: y\r\n"
    assert [name for name, _ in headers.fields(header)] == [b"subject", b"to"]


def test_a_header_that_ends_without_a_line_end() -> None:
    assert headers.fields(b"To: a@b") == [(b"to", b"To: a@b\r\n")]
    assert headers.field_block(b"To: a@b", frozenset({b"to"})) == b"To: a@b\r\n"
    assert headers.field_block(b"Cc: x\r\nTo: a@b", frozenset({b"to"}), exclude=True) == b"Cc: x\r\n"
    assert headers.field_block(b"To: a@b\r\nCc: x", frozenset({b"to"}), exclude=True) == b"Cc: x\r\n"


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"\r\n", 2),
        (b"\r\nbody", 2),
        (b"A: b\r\n\r\nbody", 8),
        (b"A: b\r\n", 6),
        (b"A: b\r\n \r\nB: c\r\n\r\n", 17),
        (b"A: b\r\r\n\r\nbody", 9),
    ],
)
def test_the_header_ends_behind_the_blank_line(data: bytes, end: int) -> None:
    assert headers.header_end(data) == end


def test_first_unfolds() -> None:
    assert headers.first(HEADER, b"received") == b"one\ttwo"
    assert headers.first(HEADER, b"subject") == b"spaced"
    assert headers.first(HEADER, b"to") == b"a@b"
    assert headers.first(HEADER, b"x-empty") == b""
    assert headers.first(HEADER, b"nothing") is None


def test_unfolding_keeps_what_is_not_a_fold() -> None:
    assert headers.unfold(b" a  b\r\n   c\r\n\td\te \r") == b"a  b   c\td\te"


def test_fields_behind_the_first_megabyte_are_not_scanned() -> None:
    header = b"X: y\r\n" * (headers.MAX_SCANNED // 6 + 10) + b"Subject: s\r\n\r\n"
    assert headers.first(header, b"subject") is None
    assert headers.first(header[len(header) // 2 :], b"subject") == b"s"
