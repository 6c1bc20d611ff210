"""FETCH items, SEARCH keys and rendering."""

import datetime

import pytest

from culverhouse.message.section import Section
from culverhouse.model.errors import Kind, MailError, ProtocolFault
from culverhouse.model.facts import Fact
from culverhouse.model.flags import DELETED, SEEN
from culverhouse.model.search import (
    And,
    DateField,
    DateTest,
    HasFlags,
    HeaderText,
    InUids,
    ModseqFrom,
    Not,
    OnDate,
    Or,
)
from culverhouse.model.uids import UidSet
from culverhouse.protocols.imap4.fetch_items import BodyItem, Column, Form, fetch_items
from culverhouse.protocols.imap4.reader import Reader
from culverhouse.protocols.imap4.render import render, search
from culverhouse.protocols.imap4.responses import Esearch, Id, Listed, MailboxData, Status, Vanished
from culverhouse.protocols.imap4.rows import RECENT, FlagNames
from culverhouse.protocols.imap4.search_keys import bind, search_program
from culverhouse.protocols.imap4.types import Partial, SequenceSet


def items(text: bytes) -> tuple[object, ...]:
    reader = Reader(text)
    found = fetch_items(reader)
    reader.end()
    return found


def test_macros_and_lists() -> None:
    assert items(b"FULL") == (
        Column.FLAGS, Column.INTERNALDATE, Column.SIZE, Fact.ENVELOPE, Fact.BODY,
    )  # fmt: skip
    assert items(b"(uid Flags UID)") == (Column.UID, Column.FLAGS)
    assert items(b"body") == (Fact.BODY,)


@pytest.mark.parametrize(
    ("text", "item"),
    [
        (b"BODY[]", BodyItem(b"BODY[]", Section())),
        (b"body.peek[1.2.header]<5.7>",
         BodyItem(b"BODY[1.2.HEADER]<5>", Section((1, 2), "HEADER"), Form.BODY, Partial(5, 7), True)),
        (b'BODY[HEADER.FIELDS (From {2}\r\nTo "x y")]',
         BodyItem(b'BODY[HEADER.FIELDS (From To "x y")]', Section((), "HEADER.FIELDS", (b"from", b"to", b"x y")))),
        (b"BODY[3.MIME]", BodyItem(b"BODY[3.MIME]", Section((3,), "MIME"))),
        (b"BINARY.PEEK[4]<0.9>", BodyItem(b"BINARY[4]<0>", Section((4,)), Form.BINARY, Partial(0, 9), True)),
        (b"BINARY.SIZE[]", BodyItem(b"BINARY.SIZE[]", Section(), Form.BINARY_SIZE, None, True)),
        (b"RFC822.HEADER", BodyItem(b"RFC822.HEADER", Section((), "HEADER"), peek=True)),
    ],
)  # fmt: skip
def test_sections(text: bytes, item: BodyItem) -> None:
    assert items(text) == (item,)


@pytest.mark.parametrize(
    "text",
    [b"BODY[0]", b"BODY[MIME]", b"BODY[1.]", b"BODY[1", b"BODY[HEADER.FIELDS]", b"BODY[HEADER.FIELDS ()]", b"BODY[]<>",
     b"BODY[]<1.0>", b"BODY.PEEK", b"BINARY[TEXT]", b"()", b"(UID", b"FOO", b"ALL FLAGS", b"(ALL)", b"BODY[X]"],
)  # fmt: skip
def test_what_is_no_item(text: bytes) -> None:
    with pytest.raises(ProtocolFault):
        items(text)


def test_items_are_bounded() -> None:
    with pytest.raises(MailError) as caught:
        items(b"(" + b" ".join([b"BODY[%d]" % n for n in range(1, 300)]) + b")")
    assert caught.value.kind is Kind.LIMIT
    with pytest.raises(MailError):
        items(b"BODY[" + b".".join([b"1"] * 500) + b"]")


def bound(text: bytes) -> object:
    reader = Reader(text)
    program = search_program(reader)
    reader.end()
    return bind(
        program.key,
        numbered=lambda numbers, by_uid: UidSet.of([7] if by_uid else [5]),
        recent=lambda: UidSet.of([9]),
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"UNSEEN", Not(HasFlags(SEEN))),
        (b"NOT DELETED", Not(HasFlags(DELETED))),
        (b"1:3", InUids(UidSet.of([5]))),
        (b"UID *", InUids(UidSet.of([7]))),
        (b"NEW", And((InUids(UidSet.of([9])), Not(HasFlags(SEEN))))),
        (b"OLD", Not(InUids(UidSet.of([9])))),
        (b"OR SEEN (FROM a TO b)",
         Or((HasFlags(SEEN), And((HeaderText("from", "a"), HeaderText("to", "b")))))),
        (b"SENTBEFORE 1-Jan-2000", OnDate(DateField.SENT, DateTest.BEFORE, datetime.date(2000, 1, 1))),
        (b"SINCE 1-Jan-2000", OnDate(DateField.INTERNAL, DateTest.SINCE, datetime.date(2000, 1, 1))),
        (b'MODSEQ "/flags/\\\\seen" all 5', ModseqFrom(5)),
        (b"CHARSET koi8-r SUBJECT \"\xd0\xd2\"", HeaderText("subject", "пр")),
        (b"SUBJECT \"\xc3\xa4\"", HeaderText("subject", "ä")),
        (b"SUBJECT \"\xe4\"", HeaderText("subject", "ä")),
    ],
)  # fmt: skip
def test_search_keys(text: bytes, key: object) -> None:
    assert bound(text) == key


def test_search_keys_are_bounded() -> None:
    for text in (b"NOT " * 60 + b"ALL", b"(" * 60 + b"ALL" + b")" * 60, b" ".join([b"ALL"] * 2000)):
        with pytest.raises(MailError) as caught:
            bound(text)
        assert caught.value.kind is Kind.LIMIT
    assert bound(b"NOT " * 40 + b"SEEN")


@pytest.mark.parametrize("name", [b"x-none", b"zlib", b"rot13", b"base64", b"unicode_escape", b"idna"])
def test_charsets_that_are_none(name: bytes) -> None:
    with pytest.raises(MailError) as caught:
        bound(b"CHARSET " + name + b" ALL")
    assert caught.value.kind is Kind.BADCHARSET


def test_rendering() -> None:
    assert render(Status("NO", "b\r\nad \u00fc", "LIMIT", b"a")) == b"a NO [LIMIT] b??ad ?\r\n"
    assert render(Listed("a b", "/", ("\\Noselect",))) == b'* LIST (\\Noselect) "/" "a b"\r\n'
    assert render(Listed("NIL", "\\", ())) == b'* LIST () "\\\\" "NIL"\r\n'
    assert render(Listed("\udcff\udcfe", "", ())) == b"* LIST () NIL {2}\r\n\xff\xfe\r\n"
    assert render(Listed("x", "/", childinfo=("SUBSCRIBED",))) == b'* LIST () "/" x ("CHILDINFO" ("SUBSCRIBED"))\r\n'
    assert render(Id(())) == b"* ID NIL\r\n"
    assert render(MailboxData("INBOX", [("MESSAGES", 1)])) == b"* STATUS INBOX (MESSAGES 1)\r\n"
    assert render(Esearch(b'a"b', True, [("ALL", "1:2")])) == b'* ESEARCH (TAG "a\\"b") UID ALL 1:2\r\n'
    assert render(Vanished(UidSet.of([1, 2, 5]), earlier=True)) == b"* VANISHED (EARLIER) 1:2,5\r\n"


def test_a_long_search_answer_comes_in_pieces() -> None:
    pieces = list(search(list(range(1, 20_001)), 7))
    assert max(map(len, pieces)) < 65_536
    assert b"".join(pieces) == b"* SEARCH " + b" ".join(b"%d" % n for n in range(1, 20_001)) + b" (MODSEQ 7)\r\n"
    assert b"".join(search([], None)) == b"* SEARCH\r\n"


def test_flag_names() -> None:
    names = FlagNames(("$Work", "", "b\u00e4d", "two words", "ok"))
    assert names[0] == b""
    assert names[SEEN | RECENT] == b"\\Seen \\Recent"
    # Names that cannot be said are left out, and the numbers of the others stay.
    assert names[0b11111 << 8] == b"$Work ok"
    for mask in range(0, 5000 << 13, 1 << 13):
        names[mask]
    assert len(names) <= 4096


def test_sequence_sets_are_written_as_they_were_read() -> None:
    assert str(SequenceSet(((1, None), (None, None), (3, 3), (9, 4)))) == "1:*,*,3,9:4"
