"""The part tree: which octets belong to which part."""

import pytest

from culverhouse.message import parts
from culverhouse.message.lines import normalise
from culverhouse.message.parts import Part


def tree(message: bytes) -> list[tuple[int, bytes, bytes]]:
    """(depth, header, body) of each part below the root."""
    data = normalise(message)
    found: list[tuple[int, bytes, bytes]] = []

    def visit(part: Part, depth: int) -> None:
        header, body = data[part.header_start : part.body_start], data[part.body_start : part.body_end]
        found.append((depth, header, body))
        for child in ([part.message] if part.message else []) + part.children:
            visit(child, depth + 1)

    visit(parts.parse(data), 0)
    return found[1:]


MIXED = b"Content-Type: multipart/mixed; boundary=x\n\n"


@pytest.mark.parametrize(
    ("rest", "wanted"),
    [
        (b"--x\n\na\n--x--\n", [(1, b"\r\n", b"a")]),
        (b"preamble\n--x\nA: b\n\na\n\n--x--\nepilogue", [(1, b"A: b\r\n\r\n", b"a\r\n")]),
        (b"--x  \n\na\n--x \t\n\nb\n--x-- \n", [(1, b"\r\n", b"a"), (1, b"\r\n", b"b")]),
        # no end, an end without line end, nothing at all
        (b"--x\n\nfoo", [(1, b"\r\n", b"foo")]),
        (b"--x\n\na\n--x--", [(1, b"\r\n", b"a")]),
        (b"--x", [(1, b"", b"")]),
        (b"--x\n\n--x--\n", [(1, b"\r\n", b"")]),
        (b"--x\n--x--\n", [(1, b"", b"")]),
        (b"--x\n--x\n\na\n--x--\n", [(1, b"", b""), (1, b"\r\n", b"a")]),
        # the blank line may be missing: a boundary ends the header as well
        (b"--x\nA: b\n--x\n\na\n--x--\n", [(1, b"A: b\r\n", b""), (1, b"\r\n", b"a")]),
        (b"--x\nA: b", [(1, b"A: b", b"")]),
        # what follows the end is epilogue
        (b"--x\n\na\n--x--\n--x\n\nb\n--x--\n", [(1, b"\r\n", b"a")]),
        # RFC 2046 5.1.1: the boundary need not be the whole line, but has to begin it
        (b"--x junk\n\na\n--x-- junk\n", [(1, b"\r\n", b"a")]),
        (b"--x\n\na\n --x\nb--x\n--x--\n", [(1, b"\r\n", b"a\r\n --x\r\nb--x")]),
        (b"no boundary\n-- \nsignature\n", []),
    ],
)
def test_the_children_of_a_multipart(rest: bytes, wanted: list[tuple[int, bytes, bytes]]) -> None:
    assert tree(MIXED + rest) == wanted


def nested(boundary: bytes) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=" + boundary + b"\n\n"


def bodies(message: bytes) -> list[tuple[int, bytes]]:
    return [(depth, body) for depth, _, body in tree(message)]


def test_an_outer_boundary_closes_what_is_open_inside() -> None:
    message = MIXED + b"--x\n" + nested(b"y") + b"--y\n\na\n--x\n\nb\n--x--\n"
    assert bodies(message) == [(1, b"--y\r\n\r\na"), (2, b"a"), (1, b"b")]


def test_the_longer_of_two_boundaries_wins() -> None:
    message = MIXED + b"--x\n" + nested(b"xy") + b"--xy\n\na\n--xy--\n--x\n\nb\n--x--\n"
    assert bodies(message) == [(1, b"--xy\r\n\r\na\r\n--xy--"), (2, b"a"), (1, b"b")]


def test_the_inner_of_two_equal_boundaries_wins() -> None:
    message = MIXED + b"--x\n" + nested(b"x") + b"--x\n\na\n--x--\n--x\n\nb\n--x--\n"
    assert bodies(message) == [(1, b"--x\r\n\r\na\r\n--x--"), (2, b"a"), (1, b"b")]


def test_the_epilogue_of_an_inner_multipart_is_its_own() -> None:
    message = MIXED + b"--x\n" + nested(b"y") + b"--y\n\na\n--y--\nepilogue\n--x--\n"
    assert bodies(message) == [(1, b"--y\r\n\r\na\r\n--y--\r\nepilogue"), (2, b"a")]


def test_an_embedded_message_ends_at_the_boundary_of_its_multipart() -> None:
    message = MIXED + b"--x\nContent-Type: message/rfc822\n\nSubject: s\n\ninner\n--x\n\nb\n--x--\n"
    data = normalise(message)
    root = parts.parse(data)
    embedded = root.children[0].message
    assert embedded is not None
    assert data[embedded.body_start : embedded.body_end] == b"inner"
    assert data[embedded.header_start : embedded.body_start] == b"Subject: s\r\n\r\n"
    assert embedded.body_end == root.children[0].body_end
    assert (root.children[0].lines, embedded.lines) == (2, 0)
    assert root.children[1].message is None


def test_an_embedded_message_whose_header_is_cut_by_a_boundary() -> None:
    message = MIXED + b"--x\nContent-Type: message/rfc822\n\nSubject: s\n--x\n\nb\n--x--\n"
    assert bodies(message) == [(1, b"Subject: s"), (2, b""), (1, b"b")]


def test_no_more_parts_than_the_limit() -> None:
    message = MIXED + b"--x\n\na\n" * (parts.MAX_PARTS + 50) + b"--x--\n"
    root = parts.parse(normalise(message))
    assert len(root.children) == parts.MAX_PARTS - 1
    last = root.children[-1]
    assert last.body_end == root.body_end
    assert last.body_end - last.body_start > 50 * len(b"--x\r\n\r\na\r\n")


def test_properties_of_a_part() -> None:
    root = parts.parse(
        b"Content-Type: Text/HTML; Charset=UTF-8\r\nContent-Transfer-Encoding: Base64\r\nContent-ID: <a>\r\n"
        b"Content-Description: d\r\nContent-Language: en\r\nContent-Location: l\r\nContent-MD5: m\r\n"
        b"Content-Disposition: inline; a=b\r\n\r\nbody\r\n"
    )
    assert root.content_type == (b"text", b"html")
    assert root.header.written_type == (b"Text", b"HTML")
    assert root.params == ((b"Charset", b"UTF-8"),)
    assert root.header.param(b"charset") == b"UTF-8"
    assert root.encoding == b"base64"
    assert (root.id, root.description, root.location, root.md5) == (b"<a>", b"d", b"l", b"m")
    assert root.language == [b"en"]
    assert root.disposition == (b"inline", ((b"a", b"b"),))
    assert root.lines == 1
    assert not root.is_multipart


def test_equal_part_headers_are_read_once_and_shared() -> None:
    message = MIXED + b"--x\nContent-Type: text/html\n\na\n--x\nContent-Type: text/html\n\nb\n--x--\n"
    first, second = parts.parse(normalise(message)).children
    assert first.header is second.header
    assert first.body_start != second.body_start
    # The same octets mean another type in a digest.
    digest = parts.parse(normalise(message.replace(b"mixed", b"digest").replace(b"text/html", b"")))
    assert digest.children[0].content_type == (b"text", b"plain")


def test_walk_is_in_message_order() -> None:
    embedded = b"--x\nContent-Type: message/rfc822\n\nSubject: s\n\ninner\n"
    message = MIXED + embedded + b"--x\n" + nested(b"y") + b"--y\n\na\n--y--\n--x--"
    starts = [part.header_start for part in parts.parse(normalise(message)).walk()]
    assert len(starts) == 5
    assert starts == sorted(starts)
