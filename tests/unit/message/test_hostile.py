"""Hostile mail takes linear work.

The work is counted, not timed: executed lines of our own code, for an input and for one twice as long, may at most
double (with a little for what does not grow). Work inside one call of a regular expression is not seen by that. So no
pattern may have an unbounded repeat that backtracks, and each kind of pattern meets a long run of what it likes least,
with which quadratic work would not come to an end.
"""

import importlib
import re
import re._constants as sre
import re._parser as sre_parse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import culverhouse.message
from culverhouse.message import addresses, charset, headers, lexical, mime, parts, text, transfer, utf7
from culverhouse.message.casemap import casemap
from culverhouse.message.dates import date_of
from culverhouse.message.encoded_words import decode_header
from culverhouse.message.facts import facts
from culverhouse.message.lines import normalise
from culverhouse.message.wire import string
from culverhouse.model.facts import Fact

ROOM = culverhouse.message.__path__[0]
FIELDS = frozenset({b"to", b"subject"})


def everything(message: bytes) -> None:
    """All that is ever done with a message."""
    data = normalise(message)
    facts(data, frozenset(Fact), FIELDS)
    root = parts.parse(data)
    header = data[: root.body_start]
    for found in text.texts(data, root):
        casemap(found)
    text.header_text(header)
    headers.field_block(header, FIELDS, exclude=True)


class Counter:
    lines = 0


@contextmanager
def counted() -> Iterator[Counter]:
    counter = Counter()

    def on_line(frame: FrameType, event: str, argument: object) -> object:
        if event == "line":
            counter.lines += 1
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> object:
        return on_line if frame.f_code.co_filename.startswith(ROOM) else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield counter
    finally:
        sys.settrace(before)


Make = Callable[[int], bytes]


def field(name: bytes, unit: bytes, before: bytes = b"") -> Make:
    return lambda size: name + b": " + before + unit * (size // len(unit)) + b"\n\nbody\n"


def body(kind: bytes, unit: bytes, encoding: bytes = b"7bit", before: bytes = b"") -> Make:
    head = b"Content-Type: " + kind + b"\nContent-Transfer-Encoding: " + encoding + b"\n\n" + before
    return lambda size: head + unit * (size // len(unit))


def nested(size: int) -> bytes:
    level = b"Content-Type: multipart/mixed; boundary=b%06d\n\n--b%06d\n"
    return b"".join(level % (number, number) for number in range(size // 58))


def deeper_than_the_limit(make: Make) -> Make:
    """Below the limit of depth each level has more boundaries to compare with; from there on the work is even."""
    return lambda size: make(10 * size)


def inside_many_boundaries(size: int) -> bytes:
    level = b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n"
    return b"".join(level % (b"a" * n, b"a" * n) for n in range(1, 99)) + b"--b\n--\n" * (size // 7)


def segments(size: int) -> bytes:
    return b"Content-Type: x/y" + b"".join(b";a*%d=b" % number for number in range(size // 8)) + b"\n\n"


TO, SUBJECT, TYPE = b"To", b"Subject", b"Content-Type"
HOSTILE: dict[str, Make] = {
    **{f"To {unit!r}": field(TO, unit) for unit in (
        b"(", b")", b"()", b"(\\", b'"', b"<", b">", b",", b";", b":", b"@", b"\\", b"[", b"[]", b"=?", b"=?a?q?",
        b"=?a?q?,", b"a@b,", b"a@b; ", b"<a@b> x ", b"a . ", b"a @ ", b"g:;", b"\n a", b"\0", b"\xff", b"a", b" ",
    )},
    "To escaped quotes in an open quote": field(TO, b'\\"', b'"'),
    "To colons behind an at": field(TO, b" :", b"x@a" + b" a" * 50),
    "To routes": field(TO, b"<@a,"),
    "Subject of encoded words": field(SUBJECT, b"=?utf-8?q?=C3=B6?= "),
    "Subject of changing charsets": field(SUBJECT, b"=?utf-8?q?a?= =?latin1?b?YQ=?= "),
    "Subject of half words": field(SUBJECT, b"=?x?q? "),
    "parameters": field(TYPE, b";a=b", b"text/plain"),
    "parameters with open quotes": field(TYPE, b';a="\\', b"text/plain"),
    "parameter segments": segments,
    "one parameter segment over and over": field(TYPE, b";a*1=b", b"x/y"),
    "comments in a type": field(TYPE, b"(", b"text/plain"),
    "percent signs": field(TYPE, b"%2", b"multipart/x; boundary*=a'b'"),
    "languages": field(b"Content-Language", b"a,"),
    "dates": field(b"Date", b"Jan 1 "),
    "many fields": lambda size: b"a:\n" * (size // 3) + b"\n",
    "many addresses fields": lambda size: b"To: a@b\n" * (size // 8) + b"\n",
    "a name without colon": lambda size: b"a" * size,
    "spaces before a colon that never comes": lambda size: b"a" + b" " * size + b"\n\n",
    "carriage returns": lambda size: b"\r" * size,
    "line feeds": lambda size: b"\n" * size,
    "NULs": lambda size: b"\0" * size,
    "a header of folds": lambda size: b"To: a" + b" \n" * (size // 2),
    "lines that may be boundaries": body(b"multipart/mixed; boundary=x", b"--\n"),
    "empty parts": body(b"multipart/mixed; boundary=x", b"--x\n"),
    "parts without a blank line": body(b"multipart/mixed; boundary=x", b"--x\na: b\n"),
    "ends of a multipart": body(b"multipart/mixed; boundary=x", b"--x--\n"),
    "a digest": body(b"multipart/digest; boundary=x", b"--x\n\nSubject: a\n\n"),
    "nested multiparts": deeper_than_the_limit(nested),
    "nested multiparts of one boundary": deeper_than_the_limit(
        lambda size: b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * (size // 48)
    ),
    "nested messages": deeper_than_the_limit(lambda size: b"Content-Type: message/rfc822\n\n" * (size // 30)),
    "lines against many boundaries": deeper_than_the_limit(inside_many_boundaries),
    "base64 of padding": body(b"text/plain", b"A=", b"base64"),
    "base64 of junk": body(b"text/plain", b"\xff", b"base64"),
    "quoted-printable of equals signs": body(b"text/plain", b"=", b"quoted-printable"),
    "quoted-printable of spaces": body(b"text/plain", b" ", b"quoted-printable"),
    "quoted-printable of blank lines": body(b"text/plain", b" \n", b"quoted-printable"),
    "uuencode": body(b"text/plain", b"#86)C\n", b"x-uue", b"begin 644 x\n"),
    "uuencode that never begins": body(b"text/plain", b"\nbegin 644 ", b"x-uue"),
    "wrong utf-7": body(b"text/plain; charset=utf-7", b"+2AA-"),
    "wrong iso-2022-jp": body(b"text/plain; charset=iso-2022-jp", b"\x1b$B"),
    "wrong gb18030": body(b"text/plain; charset=gb2312", b"\x81"),
    "wrong utf-8": body(b"text/plain; charset=utf-8", b"\xff"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE))
def test_twice_the_input_is_at_most_twice_the_work(name: str) -> None:
    work = []
    for size in (1_000, 2_000):
        message = HOSTILE[name](size)
        with counted() as counter:
            everything(message)
        work.append(counter.lines)
    assert work[0] > 50
    assert work[1] <= 2.1 * work[0] + 100


MAY_BACKTRACK = {
    ("dates", "_ASCTIME"),  # sees at most 200 octets
    ("mime", "_SEGMENT"),  # whole names only, and gives up one octet at a time
}


def backtracking(parsed: Any) -> Iterator[str]:
    """The unbounded repeats in a parsed pattern that are not possessive."""
    for operation, argument in parsed:
        if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            if argument[1] is sre.MAXREPEAT:
                yield str(argument[2])
            yield from backtracking(argument[2])
        elif operation is sre.POSSESSIVE_REPEAT:
            yield from backtracking(argument[2])
        elif operation is sre.SUBPATTERN:
            yield from backtracking(argument[3])
        elif operation is sre.BRANCH:
            for branch in argument[1]:
                yield from backtracking(branch)
        elif operation in (sre.ASSERT, sre.ASSERT_NOT):
            yield from backtracking(argument[1])


def test_no_pattern_backtracks_without_bound() -> None:
    found = set()
    checked = 0
    for path in Path(ROOM).glob("*.py"):
        if path.stem == "__init__":
            continue
        for name, value in vars(importlib.import_module(f"culverhouse.message.{path.stem}")).items():
            pattern = getattr(value, "__self__", value)
            if isinstance(pattern, re.Pattern):
                checked += 1
                if list(backtracking(sre_parse.parse(pattern.pattern, pattern.flags))):
                    found.add((path.stem, name))
    assert checked > 25
    assert found == MAY_BACKTRACK


LARGE = 1 << 18


@pytest.mark.parametrize(
    "call",
    [
        lambda: headers.scan(b"a" + b" " * LARGE),
        lambda: headers.scan(b"a" * LARGE),
        lambda: headers.scan(b"a:" + b"\r\n " * LARGE),
        lambda: headers.field_block(b"a" + b" " * LARGE, FIELDS, exclude=True),
        lambda: mime.content_type(b"x/y;" + b" " * LARGE),
        lambda: mime.content_type(b"x/y;a" + b"=" * LARGE),
        lambda: mime.content_type(b'x/y;a="' + b"\\" * LARGE),
        lambda: mime.content_type(b"x/y;" + b"(" * LARGE),
        lambda: mime.content_type(b"x/y;" + b'"(' * LARGE),
        lambda: mime.plain_value(b"%" * LARGE),
        lambda: lexical.comment_end(b"(" + b"\\" * LARGE, 0),
        lambda: addresses.parse(b'"' + b'\\"' * 100_000),
        lambda: addresses.parse(b"=?a?q?" + b"a" * LARGE),
        lambda: addresses.parse(b"[" + b"a" * LARGE),
        lambda: addresses.parse(b"a" * LARGE + b" "),
        lambda: addresses.parse(b"a " * 100_000 + b"<"),
        lambda: decode_header(b"=?" * LARGE),
        lambda: decode_header(b"=?x?q?" + b" " * LARGE),
        lambda: transfer.quoted_printable(b" " * LARGE),
        lambda: transfer.quoted_printable(b"=" * LARGE),
        lambda: transfer.base64(b"=" * LARGE),
        lambda: transfer.base64(b"A=" + b"A" * LARGE + b"!"),
        lambda: transfer.uuencode(b"begin " * (LARGE // 6)),
        lambda: transfer.uuencode(b"begin" + b" " * LARGE),
        lambda: utf7.is_valid("&" + "A" * LARGE),
        lambda: utf7.is_valid("&" * LARGE),
        lambda: date_of(b"(" * LARGE),
        lambda: charset.codec("-" * LARGE),
        lambda: casemap("\u0390" * LARGE),
        lambda: string(b'"' * LARGE),
    ],
)  # fmt: skip
def test_a_long_run_of_what_a_pattern_likes_least(call: Callable[[], object]) -> None:
    call()


def test_the_counter_would_see_quadratic_work() -> None:
    def count(size: int) -> int:
        with counted() as counter:
            for end in range(size):
                headers.header_end(b"x", end)
                list(parts.parse(b"").walk())
        return counter.lines

    assert count(200) > 1.9 * count(100) > 100


def test_500_nested_parts_are_served() -> None:
    for message in (nested(500 * 58), b"Content-Type: message/rfc822\n\n" * 500):
        data = normalise(message)
        shown = facts(data, frozenset({Fact.BODYSTRUCTURE}), frozenset())[Fact.BODYSTRUCTURE]
        assert shown.count(b"(") == shown.count(b")") > 100


def test_64_kilobytes_of_addresses_are_served_whole() -> None:
    value = b", ".join(b"Some Name <someone.%d@example.org>" % number for number in range(2000))
    assert len(value) > 65536
    found = addresses.parse(value)
    assert len(found) == 2000
    assert found[-1] == addresses.Address(b"Some Name", None, b"someone.1999", b"example.org")


def test_10000_encoded_words_are_decoded() -> None:
    assert decode_header(b" ".join([b"=?utf-8?q?=C3=B6?="] * 10_000)) == "\u00f6" * 10_000


def test_2000_open_parentheses_do_not_hide_an_address() -> None:
    assert addresses.parse(b"(" * 2000 + b" x <a@b>") == [addresses.Address(b"x", None, b"a", b"b")]
    assert addresses.parse(b"(" * 2000 + b")" * 2000 + b" x <a@b>") == [addresses.Address(b"x", None, b"a", b"b")]


def test_huge_lines() -> None:
    long = b"x" * 3_000_000
    head = b"Subject: " + long[:100_000] + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    data = head + b"--b\r\n\r\n" + long + b"\r\n--b--\r\n"
    root = parts.parse(data)
    (part,) = root.children
    assert data[part.body_start : part.body_end] == long
    assert transfer.quoted_printable(long) == long
    assert len(charset.decode(long, "utf-8")) == len(long)
