"""Charsets: every text codec that Python knows, under the names that mail uses, and never a failure."""

import encodings.aliases

import pytest

from culverhouse.message import charset


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("utf-8", b"J\xc3\xb6rg", "J\u00f6rg"),
        ("UTF8", b"J\xc3\xb6rg", "J\u00f6rg"),
        ("us-ascii", b"plain", "plain"),
        ("us-ascii", b"J\xc3\xb6rg", "J\u00f6rg"),
        ("us-ascii", b"J\xf6rg", "J\u00f6rg"),
        ("ISO-8859-1", b"J\xf6rg", "J\u00f6rg"),
        ("iso-8859-1", b"\x93quoted\x94", "\u201cquoted\u201d"),
        ("latin1", b"\xe9", "\u00e9"),
        ("iso-8859-15", b"\xa4", "\u20ac"),
        ("ISO_8859-2:1987", b"\xb1", "\u0105"),
        ("windows-1251", b"\xcf", "\u041f"),
        ("cp1251", b"\xcf", "\u041f"),
        ("x-cp1251", b"\xcf", "\u041f"),
        ("koi8-r", b"\xf0", "\u041f"),
        ("KOI8-U", b"\xa4", "\u0454"),
        ("ks_c_5601-1987", b"\xb0\xa1", "\uac00"),
        ("euc-kr", b"\xb0\xa1", "\uac00"),
        ("gb2312", b"\xc4\xe3", "\u4f60"),
        ("GBK", b"\xc4\xe3", "\u4f60"),
        ("hz-gb-2312", b"~{Dc~}", "\u4f60"),
        ("big5", b"\xa7\x41", "\u4f60"),
        ("Shift_JIS", b"\x82\xa0", "\u3042"),
        ("x-sjis", b"\x87\x40", "\u2460"),
        ("iso-2022-jp", b"\x1b$B$\"\x1b(B", "\u3042"),
        ("euc-jp", b"\xa4\xa2", "\u3042"),
        ("iso-8859-8-i", b"\xe0", "\u05d0"),
        ("tis-620", b"\xa1", "\u0e01"),
        ("windows-874", b"\x80", "\u20ac"),
        ("macintosh", b"\x8a", "\u00e4"),
        ("utf-7", b"J+APY-rg", "J\u00f6rg"),
        ("unicode-1-1-utf-7", b"+IKw-", "\u20ac"),
        ("utf-16", b"\x20\xac", "\u20ac"),
        ("utf-16", b"\xff\xfe\xac\x20", "\u20ac"),
        ("utf-16le", b"\xac\x20", "\u20ac"),
        ("utf-32", b"\x00\x00\x20\xac", "\u20ac"),
        ("utf-8*en", b"\xc3\xb6", "\u00f6"),
        ("ibm850", b"\x84", "\u00e4"),
        ("cp437", b"\x84", "\u00e4"),
        ("unknown-8bit", b"J\xc3\xb6", "J\u00f6"),
        ("no such charset", b"J\xf6", "J\u00f6"),
        ("", b"J\xc3\xb6", "J\u00f6"),
    ],
)
def test_names_that_mail_uses(name: str, data: bytes, text: str) -> None:
    assert charset.decode(data, name) == text


def test_every_text_codec_decodes_every_octet_without_failing() -> None:
    data = bytes(range(256)) * 2
    names = set(encodings.aliases.aliases) | set(encodings.aliases.aliases.values())
    known = [name for name in names if charset.is_known(name)]
    assert len(known) > 200
    for name in known:
        text = charset.decode(data, name)
        assert isinstance(text, str)
        text.encode("utf-8")  # no lone surrogate


@pytest.mark.parametrize(
    "name",
    ["zip", "zlib", "bz2", "hex", "base64", "rot13", "rot_13", "uu", "quopri", "punycode", "idna", "unicode_escape",
     "raw_unicode_escape", "undefined", "mbcs", "oem", "../x", "os", "encodings.utf_8", "\u0661", "x" * 9999],
)  # fmt: skip
def test_what_is_no_charset_reaches_no_codec(name: str) -> None:
    assert not charset.is_known(name)
    assert charset.decode(b"4a=4a\\x41", name) == "4a=4a\\x41"


def test_made_up_names_leave_nothing_behind() -> None:
    before = dict(encodings._cache)
    for number in range(2000):
        charset.decode(b"x", f"made-up-{number}")
    assert encodings._cache == before


def test_undecodable_octets_are_replaced() -> None:
    assert charset.decode(b"a\xffb", "utf-8") == "a\ufffdb"
    assert charset.decode(b"+2AA-", "utf-7") == "\ufffd"
    assert charset.guess(b"\x81") == "\ufffd"
