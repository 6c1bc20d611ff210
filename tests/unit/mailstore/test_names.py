"""Names of message files."""

import pytest

from culverhouse.mailstore.maildir import names
from culverhouse.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, keyword_bit
from culverhouse.model.store import Parsed


@pytest.mark.parametrize(
    ("locator", "parsed"),
    [
        (b"1.M2P3.host,S=10,W=12:2,FS", Parsed(b"1.M2P3.host", FLAGGED | SEEN, False, 10, 12)),
        (b"new/1.M2P3.host,S=10", Parsed(b"1.M2P3.host", 0, True, 10, None)),
        (b"new/1.host:2,Sab", Parsed(b"1.host", SEEN | keyword_bit(0) | keyword_bit(1), True, None, None)),
        (b"plain", Parsed(b"plain", 0, False, None, None)),
        (b"plain:2,", Parsed(b"plain", 0, False, None, None)),
        (b"x,W=12,S=10:2,DRT", Parsed(b"x", DRAFT | ANSWERED | DELETED, False, 10, 12)),
        (b"x,U=5,S=10,W=11,FMD5=0:2,", Parsed(b"x", 0, False, 10, 11)),
        (b"x:2,PSz", Parsed(b"x", SEEN | keyword_bit(25), False, None, None)),
        (b"x:2,S,more,F", Parsed(b"x", SEEN, False, None, None)),
        (b"x:1,S", Parsed(b"x", 0, False, None, None)),
        (b"x:y,S=5:2,S", Parsed(b"x", SEEN, False, None, None)),
        (b"x,S=1_0", Parsed(b"x", 0, False, None, None)),
        (b"x,S=-5,W=+6", Parsed(b"x", 0, False, None, None)),
        (b"x,S=" + b"9" * 40, Parsed(b"x", 0, False, None, None)),
        (b"\xff\xfe:2,S", Parsed(b"\xff\xfe", SEEN, False, None, None)),
        (b"", Parsed(b"", 0, False, None, None)),
        (b":2,S", Parsed(b"", SEEN, False, None, None)),
        (b"x\nfoo:2,S", Parsed(b"x\nfoo", SEEN, False, None, None)),
    ],
)
def test_parse(locator: bytes, parsed: Parsed) -> None:
    assert names.parse(locator) == parsed
    assert names.base_of(locator) == parsed.base


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        (b"x", SEEN, b"x:2,S"),
        (b"x,S=5:2,S", FLAGGED | DRAFT | ANSWERED | SEEN | DELETED, b"x,S=5:2,DFRST"),
        (b"x:2,FS", 0, b"x:2,"),
        (b"x:2,PS", FLAGGED, b"x:2,FP"),
        (b"x:2,Sb", SEEN | keyword_bit(0) | keyword_bit(25), b"x:2,Saz"),
        (b"x:2,S,other", FLAGGED, b"x:2,F,other"),
        (b"x:1,exp", SEEN, b"x:2,S"),
        (b"x:2,", keyword_bit(26), b"x:2,"),
        (b"x:2,SSS", SEEN, b"x:2,S"),
    ],
)
def test_with_flags(name: bytes, flags: int, expected: bytes) -> None:
    assert names.with_flags(name, flags) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"x:2,S", b"x,S=7,W=8:2,S"),
        (b"x,S=1,W=2:2,", b"x,S=7,W=8:2,"),
        (b"x,U=3,S=1:2,S", b"x,S=7,W=8,U=3:2,S"),
        (b"x,W=1,S=2,Z=3", b"x,S=7,W=8,Z=3"),
    ],
)
def test_with_sizes(name: bytes, expected: bytes) -> None:
    assert names.with_sizes(name, 7, 8) == expected
    assert names.base_of(name) == names.base_of(expected)


def test_fresh_names_differ_and_parse() -> None:
    made = {names.fresh(3, 4) for _ in range(1000)}
    assert len({names.base_of(name) for name in made}) == 1000
    for name in made:
        assert names.parse(name) == Parsed(names.base_of(name), 0, False, 3, 4)
        assert b"/" not in name
        assert name.count(b",") == 2


def test_a_host_name_cannot_break_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_HOST", b"a\\057b\\072c\\054d")
    assert names.base_of(names.fresh(1, 2)).endswith(b".a\\057b\\072c\\054d")


def test_messages_get_their_uids_in_order_of_delivery() -> None:
    # As Dovecot: by seconds, then microseconds, then the rest of the name.
    ordered = [
        b"new/9.M5P1.h", b"10.M1P9.h", b"new/10.M2P1.h:2,S", b"10.M10P1.h", b"11.a.h", b"11.b.h",
    ]  # fmt: skip
    assert sorted(reversed(ordered), key=names.delivery_order) == ordered
    assert names.delivery_order(b"msg.1")[0] == 0
