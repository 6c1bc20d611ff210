"""LIST patterns, held against a plain definition of what they mean."""

import itertools

import pytest

from culverhouse.protocols.imap4.list_match import Pattern


def naive(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] in "*%":
        if naive(pattern[1:], name):
            return True
        return bool(name) and (pattern[0] == "*" or name[0] != "/") and naive(pattern, name[1:])
    return bool(name) and name[0] == pattern[0] and naive(pattern[1:], name[1:])


def test_every_short_pattern_on_every_short_name() -> None:
    names = ["".join(letters) for length in range(4) for letters in itertools.product("a/b", repeat=length)]
    patterns = ["".join(letters) for length in range(5) for letters in itertools.product("a/*%", repeat=length)]
    for pattern in patterns:
        made = Pattern(pattern, "/")
        assert [made.matches(name) for name in names] == [naive(pattern, name) for name in names], pattern


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("inbox", "INBOX", True), ("in%", "INBOX", True), ("in%", "INBOX/x", False), ("x%", "INBOX", False),
        ("%", "a", True), ("%", "a/b", False), ("*", "a/b", True), ("%/%", "a/b", True), ("a", "A", False),
    ],
)  # fmt: skip
def test_inbox_has_no_case(pattern: str, name: str, matches: bool) -> None:
    assert Pattern(pattern, "/").matches(name) is matches


def test_a_pattern_that_would_make_a_regular_expression_backtrack() -> None:
    made = Pattern("*a" * 2000 + "b", "/")
    assert not made.matches("a" * 5000)


def test_percent_is_seen() -> None:
    assert Pattern("a%", "/").has_percent
    assert not Pattern("a*%*", "/").has_percent
