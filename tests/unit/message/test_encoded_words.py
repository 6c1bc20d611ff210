"""RFC 2047."""

import pytest

from culverhouse.message.encoded_words import decode_header


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b" folded\r\n\tvalue ", "folded value"),
        (b"=?iso-8859-1?q?J=F6rg?=", "J\u00f6rg"),
        (b"=?UTF-8?B?SsO2cmc=?=", "J\u00f6rg"),
        (b"=?utf-8*de?q?J=C3=B6rg?=", "J\u00f6rg"),
        (b"=?utf-8?q?a_b=5F?=", "a b_"),
        # the examples of RFC 2047 8
        (b"=?ISO-8859-1?Q?a?=", "a"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
        # a character split between two words
        (b"=?utf-8?b?w7?= =?utf-8?b?Y=?=", "\ufffd"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "\u00f6"),
        (b"a =?utf-8?q?b?= c =?utf-8?q?d?=", "a b c d"),
        (b"x=?utf-8?q?y?=z", "xyz"),
        # what is broken
        (b"=?utf-8?q?raw space?=", "raw space"),
        (b"=?utf-8?b?SsO2cmc?=", "J\u00f6rg"),
        (b"=?utf-8?b?!!?=", ""),
        (b"=?utf-8?x?a?=", "=?utf-8?x?a?="),
        (b"=?utf-8?q?open", "=?utf-8?q?open"),
        (b"=?no-such?q?=C3=B6?=", "\u00f6"),
        (b"J\xc3\xb6 =?utf-8?q?=C3=B6?=", "J\u00f6 \u00f6"),
        (b"J\xf6", "J\u00f6"),
        (b"", ""),
    ],
)
def test_decode_header(value: bytes, text: str) -> None:
    assert decode_header(value) == text
