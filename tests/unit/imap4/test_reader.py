"""The tokens of the grammar: what they take, and what they say of anything else."""

import datetime
from collections.abc import Callable

import pytest

from culverhouse.model.errors import MailError, ProtocolFault
from culverhouse.model.flags import DELETED, SEEN
from culverhouse.protocols.imap4.reader import Reader
from culverhouse.protocols.imap4.types import FlagList, SequenceSet


def whole(rule: Callable[[Reader], object], text: bytes) -> object:
    """One token and nothing behind it."""
    reader = Reader(text)
    value = rule(reader)
    reader.end()
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"abc def", b"abc"), (b"a]b", b"a]b"), (b'"a b"', b"a b"), (b'"a\\"b\\\\"', b'a"b\\'), (b'""', b""),
        (b"{3}\r\na\r\n", b"a\r\n"), (b"{2+}\r\n\xff\xfe", b"\xff\xfe"), (b'"\xc3\xa4"', b"\xc3\xa4"),
    ],
)  # fmt: skip
def test_astring(text: bytes, value: bytes) -> None:
    assert Reader(text).astring() == value


@pytest.mark.parametrize("text", [b"", b"(", b'"abc', b'"a\\b"', b"%", b"\x80", b"{5}\r\nabc", b'"a\0"', b"{1}\r\n\0"])
def test_what_is_no_astring(text: bytes) -> None:
    with pytest.raises(ProtocolFault):
        Reader(text).astring()


def test_a_fault_says_what_was_expected_where() -> None:
    reader = Reader(b"a b ")
    reader.pos = 2
    reader.atom()
    reader.sp()
    with pytest.raises(ProtocolFault, match="Expected a number at the end of the command"):
        reader.number()
    with pytest.raises(ProtocolFault, match="Expected a number at octet 1"):
        Reader(b"x").number()


def test_nothing_is_consumed_by_what_does_not_match() -> None:
    reader = Reader(b"99 x")
    for attempt in (lambda: reader.number("a number", 1, 50), reader.date, lambda: reader.listed(reader.atom, "atoms")):
        with pytest.raises(ProtocolFault):
            attempt()
        assert reader.pos == 0


@pytest.mark.parametrize("text", [b"1_0", b" 7", b"+5", b"-1", b"0x10", b"\xd9\xa1", b"", b"4294967296", b"9" * 5000])
def test_numbers_are_digits_of_32_bits(text: bytes) -> None:
    with pytest.raises(ProtocolFault):
        whole(Reader.number, text)


def test_numbers() -> None:
    assert Reader(b"0").number() == 0
    assert Reader(b"4294967295").number() == 4294967295
    assert Reader(b"9223372036854775807").modseq() == (1 << 63) - 1
    with pytest.raises(ProtocolFault):
        Reader(b"9223372036854775808").modseq()


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        (b"1", ((1, 1),)), (b"*", ((None, None),)), (b"4:2", ((4, 2),)), (b"1:*", ((1, None),)),
        (b"*:1,3", ((None, 1), (3, 3))), (b"4294967295", ((4294967295, 4294967295),)),
    ],
)  # fmt: skip
def test_sequence_sets(text: bytes, runs: tuple[tuple[int | None, int | None], ...]) -> None:
    reader = Reader(text)
    made = reader.sequence_set()
    assert made == SequenceSet(runs)
    assert reader.at_end()
    assert str(made).encode() == text


@pytest.mark.parametrize("text", [b"0", b"01", b"1:", b":1", b"1,", b"1:2:3", b"4294967296", b"a", b"$", b""])
def test_what_is_no_sequence_set(text: bytes) -> None:
    with pytest.raises(ProtocolFault):
        whole(Reader.sequence_set, text)


def test_a_set_of_too_many_ranges_is_refused() -> None:
    with pytest.raises(MailError):
        Reader(b",".join([b"1"] * 30_000)).sequence_set()


def test_flags() -> None:
    read = Reader(b"(\\Seen \\DELETED \\Recent $Work foo FOO)").flag_list()
    assert read == FlagList(SEEN | DELETED, ("$Work", "foo"))
    assert Reader(b"()").flag_list() == FlagList()
    for wrong in (b"(\\Foo)", b"(\\)", b"(a  b)", b"(a", b'("a")', b"(a]b)", b"(\\*)"):
        with pytest.raises(ProtocolFault):
            Reader(wrong).flag_list()
    with pytest.raises(MailError):
        Reader(b"(" + b"x" * 256 + b")").flag_list()


def test_dates() -> None:
    assert Reader(b"1-Feb-2003").date() == datetime.date(2003, 2, 1)
    assert Reader(b'"24-dec-1999"').date() == datetime.date(1999, 12, 24)
    for wrong in (b"31-Feb-2003", b"1-Foo-2003", b'"1-Feb-2003', b"1-Feb-20031", b"0-Feb-2003", b"001-Feb-2003"):
        with pytest.raises(ProtocolFault):
            Reader(wrong).date()


def test_mailbox_names() -> None:
    assert Reader(b"inBox").mailbox() == "INBOX"
    assert Reader(b'"inbox/x"').mailbox() == "inbox/x"
    assert Reader(b"{1}\r\n\xff").mailbox() == "\udcff"
    assert Reader(b"a%b*c]").list_mailbox() == "a%b*c]"


def test_unclosed_quotes_cost_no_time() -> None:
    with pytest.raises(ProtocolFault):
        Reader(b'"' + b'a\\"' * 20_000).astring()
    with pytest.raises(ProtocolFault):
        whole(Reader.sequence_set, b"1," * 10_000 + b"x")


def test_nil() -> None:
    assert Reader(b"nil").nstring() is None
    assert Reader(b'"nil"').nstring() == b"nil"
    assert Reader(b"NIL").astring() == b"NIL"
