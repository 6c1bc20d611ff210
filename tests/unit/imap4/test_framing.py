"""Where commands and literals begin and end, whatever is in them."""

import pytest

from culverhouse.model.errors import ProtocolFault
from culverhouse.protocols.framing import Announced, Frame, Framer, Line, Overlong, Piece


def framer(line: int = 100, drop: int = 1000) -> Framer:
    return Framer(line, drop)


def frames(made: Framer, data: bytes) -> list[Frame]:
    """All frames of some bytes; announced literals are kept."""
    made.feed(data)
    out: list[Frame] = []
    while (frame := made.next()) is not None:
        out.append(frame)
        if isinstance(frame, Announced):
            made.keep()
    return out


def test_lines_end_with_crlf_or_lf() -> None:
    assert frames(framer(), b"a NOOP\r\nb NOOP\n\r\nc") == [Line(b"a NOOP"), Line(b"b NOOP"), Line(b"")]


def test_a_kept_literal_is_part_of_the_text() -> None:
    made = framer()
    found = frames(made, b"a LOGIN {5}\r\nal\r\nx {3+}\r\n{1}\r\nb NOOP\r\n")
    assert found == [
        Announced(b"a LOGIN {5}", 5, True, False),
        Announced(b"a LOGIN {5}", 3, False, False),
        Line(b"a LOGIN {5}\r\nal\r\nx {3+}\r\n{1}"),
        Line(b"b NOOP"),
    ]


def test_only_the_end_of_a_line_announces() -> None:
    assert frames(framer(), b"a {3} b\r\nb {x}\r\nc {}\r\nd }\r\n") == [
        Line(b"a {3} b"), Line(b"b {x}"), Line(b"c {}"), Line(b"d }"),
    ]  # fmt: skip


def test_a_tilde_marks_a_literal8() -> None:
    made = framer()
    made.feed(b"a APPEND x ~{2+}\r\n")
    assert made.next() == Announced(b"a APPEND x ~{2+}", 2, False, True)
    assert made.so_far() == b"a APPEND x ~{2+}"


def test_a_streamed_literal_comes_in_pieces_and_the_text_starts_anew() -> None:
    made = framer()
    made.feed(b"a APPEND x {5}\r\n")
    assert isinstance(made.next(), Announced)
    made.stream()
    assert made.next() is None
    made.feed(b"ab")
    assert made.next() == Piece(b"ab", last=False)
    made.feed(b"cde (x) {1}\r\n")
    assert made.next() == Piece(b"cde", last=True)
    assert made.next() == Announced(b" (x) {1}", 1, True, False)
    assert made.so_far() == b" (x) {1}"
    made.stream()
    made.feed(b"f\r\nb NOOP\r\n")
    assert [made.next(), made.next(), made.next()] == [Piece(b"f", last=True), Line(b""), Line(b"b NOOP")]


def test_an_empty_literal_is_one_empty_piece() -> None:
    made = framer()
    made.feed(b"a {0+}\r\n\r\n")
    made.next()
    made.stream()
    assert [made.next(), made.next()] == [Piece(b"", last=True), Line(b"")]


def test_a_refused_synchronising_literal_ends_the_command() -> None:
    made = framer()
    made.feed(b"a X {50}\r\nb NOOP\r\n")
    made.next()
    made.refuse()
    assert made.next() == Line(b"b NOOP")


def test_a_refused_non_synchronising_literal_is_skipped_with_the_rest_of_its_command() -> None:
    made = framer()
    made.feed(b"a X {5+}\r\n12\r\n3 more {2+}\r\nxy end\r\nb NOOP\r\n")
    made.next()
    made.refuse()
    assert made.next() == Line(b"b NOOP")


def test_what_is_skipped_is_bounded() -> None:
    made = framer(drop=1000)
    made.feed(b"a X {1001+}\r\n")
    made.next()
    with pytest.raises(ProtocolFault) as caught:
        made.refuse()
    assert caught.value.fatal


def test_abandoning_in_the_middle_of_a_streamed_literal() -> None:
    made = framer()
    made.feed(b"a X {6+}\r\nabc")
    made.next()
    made.stream()
    assert made.next() == Piece(b"abc", last=False)
    made.abandon()
    made.feed(b"def {2+}\r\nxy\r\nb NOOP\r\n")
    assert made.next() == Line(b"b NOOP")


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_a_line_that_is_too_long_is_dropped_to_its_end(chunk: int) -> None:
    made = framer(line=20, drop=1000)
    data = b"a " + b"x" * 100 + b" {4+}\r\nab\r\n rest\r\nb NOOP\r\n"
    found: list[Frame] = []
    for start in range(0, len(data), chunk):
        found += frames(made, data[start : start + chunk])
    assert isinstance(found[0], Overlong)
    assert found[0].text.startswith(b"a xxx")
    assert found[1:] == [Line(b"b NOOP")]


def test_a_line_of_just_the_limit_is_taken() -> None:
    for ending in (b"\r\n", b"\n"):
        made = framer(line=20)
        assert frames(made, b"x" * 20 + ending) == [Line(b"x" * 20)]
    made = framer(line=20)
    found: list[Frame] = []
    for octet in b"x" * 20 + b"\r\n":
        found += frames(made, bytes([octet]))
    assert found == [Line(b"x" * 20)]


def test_the_limit_counts_all_lines_of_a_command_but_not_its_literals() -> None:
    assert isinstance(frames(framer(line=20), b"a {30+}\r\n" + b"y" * 30 + b" 12345\r\n")[-1], Line)
    assert isinstance(frames(framer(line=20), b"a {30+}\r\n" + b"y" * 30 + b"x" * 20 + b"\r\n")[-1], Overlong)


def test_a_line_that_never_ends_is_a_fault() -> None:
    made = framer(line=20, drop=1000)
    for _ in range(20):
        frames(made, b"x" * 50)
    with pytest.raises(ProtocolFault):
        frames(made, b"x" * 50)


def test_clearing_tells_what_was_lost() -> None:
    made = framer()
    made.feed(b"a NOOP\r\nb NOOP\r\n")
    assert made.next() == Line(b"a NOOP")
    assert made.clear() == 8
    assert made.next() is None
    assert made.clear() == 0
