"""Mailbox names in modified UTF-7 and the casemap, by random text."""

import os

from hypothesis import given
from hypothesis import strategies as st

from culverhouse.message import utf7
from culverhouse.message.casemap import casemap

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
names = st.text(st.sampled_from("&-AaOQ+,/=\u00e4 9b"), max_size=14)


@given(text)
def test_every_text_has_one_name(value: str) -> None:
    name = utf7.encode(value)
    assert name.isascii()
    assert name.isprintable()
    assert utf7.is_valid(name)
    assert utf7.decode(name) == value


@given(st.one_of(names, st.text(max_size=20), st.binary(max_size=20).map(os.fsdecode)))
def test_what_is_valid_encodes_back_to_itself(name: str) -> None:
    try:
        value = utf7.decode(name)
    except ValueError:
        assert not utf7.is_valid(name)
    else:
        assert utf7.is_valid(name)
        assert utf7.encode(value) == name


@given(text)
def test_the_casemap_is_idempotent(value: str) -> None:
    once = casemap(value)
    assert casemap(once) == once


@given(text, text)
def test_the_casemap_of_a_whole_is_that_of_its_pieces(first: str, second: str) -> None:
    """So a substring of the text is a substring of the mapped text."""
    assert casemap(first + second) == casemap(first) + casemap(second)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_ascii_is_upper_case(value: str) -> None:
    assert casemap(value) == value.upper()
    assert casemap(value + "\u4f60") == value.upper() + "\u4f60"
