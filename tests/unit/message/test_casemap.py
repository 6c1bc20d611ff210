"""i;unicode-casemap (RFC 5051)."""

import sys
import unicodedata

import pytest

from culverhouse.message.casemap import casemap


@pytest.mark.parametrize(
    ("text", "mapped"),
    [
        ("", ""),
        ("abc XYZ 09 []", "ABC XYZ 09 []"),
        ("j\u00f6rg", "JO\u0308RG"),
        ("\u00d6", "O\u0308"),
        ("o\u0308", "O\u0308"),
        ("\u1e69", "S\u0323\u0307"),
        ("\u03b1\u0391", "\u0391\u0391"),
        ("\u0441\u0421", "\u0421\u0421"),
        ("\u03c2\u03c3", "\u03a3\u03a3"),
        # there is no simple titlecase of sharp s, dotless i has one
        ("\u00df", "\u00df"),
        ("\u0131", "I"),
        ("\u017f", "S"),
        # compatibility decompositions, mapped again
        ("\uff21\uff41", "AA"),
        ("\ufb01x", "FIX"),
        ("\u01c4\u01c6", "DZ\u030cDZ\u030c"),
        ("\u00b2\u2460", "21"),
        ("\u00a0", " "),
        # nothing to map
        ("\u4f60\u597d", "\u4f60\u597d"),
        ("\uac00", "\uac00"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_casemap(text: str, mapped: str) -> None:
    assert casemap(text) == mapped


def test_mixed_runs() -> None:
    assert casemap("a\u00e9b\u00e9\u00e9c") == "AE\u0301BE\u0301E\u0301C"


def test_mapping_every_character_twice_changes_nothing() -> None:
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(char := chr(code)) in ("Cn", "Co", "Cs"):
            continue
        once = casemap(char)
        assert casemap(once) == once, hex(code)


def test_upper_and_lower_case_meet() -> None:
    for text in ("stra\u00dfe", "\u03b1\u03b2\u03b3", "\u0436\u0443\u043a", "\u00e9l\u00e8ve", "\u01c9", "\u1e9b"):
        titled = "".join(char.title() if len(char.title()) == 1 else char for char in text)
        assert casemap(titled) == casemap(text)
