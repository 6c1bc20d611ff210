"""Strings in answers."""

import pytest

from culverhouse.message.wire import nstring, string


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"", b'""'),
        (b"plain text", b'"plain text"'),
        (b"tab\tand\x01control", b'"tab\tand\x01control"'),
        (b'say "x" \\ y', b'"say \\"x\\" \\\\ y"'),
        (b"two\r\nlines", b"{10}\r\ntwo\r\nlines"),
        (b"bare\rcr", b"{7}\r\nbare\rcr"),
        ("J\u00f6".encode(), b"{3}\r\nJ\xc3\xb6"),
        (b'8-bit \xff "q"', b'{11}\r\n8-bit \xff "q"'),
        (b"a\0b", b"{5}\r\na\xef\xbf\xbdb"),
    ],
)
def test_quoted_when_it_may_be_and_a_literal_when_it_must(value: bytes, wanted: bytes) -> None:
    assert string(value) == wanted
    assert nstring(value) == wanted


def test_nil() -> None:
    assert nstring(None) == b"NIL"
