"""All facts in one pass are the same as one by one."""

import datetime

import pytest

from culverhouse.message import bodystructure, envelope, facts, headers, parts
from culverhouse.message.lines import normalise
from culverhouse.model.facts import Fact

MESSAGE = normalise(
    b"Received: x\nDate: Sun, 25 Mar 2007 23:00:00 +0300\nFrom: a@b\nSubject: s\nto: c@d\n"
    b"Content-Type: multipart/alternative; boundary=x\n\n--x\n\none\n--x\nContent-Type: text/html\n\ntwo\n--x--\n"
)
FIELDS = frozenset({b"from", b"to", b"subject", b"missing"})


def test_each_fact() -> None:
    root = parts.parse(MESSAGE)
    header = MESSAGE[: root.body_start]
    assert facts.facts(MESSAGE, frozenset(Fact), FIELDS) == {
        Fact.ENVELOPE: envelope.envelope(header),
        Fact.BODY: bodystructure.body(root, MESSAGE),
        Fact.BODYSTRUCTURE: bodystructure.bodystructure(root, MESSAGE),
        Fact.HEADERS: b"From: a@b\r\nSubject: s\r\nto: c@d\r\n",
        Fact.SENT: datetime.date(2007, 3, 25).toordinal().to_bytes(4, "big"),
    }


@pytest.mark.parametrize("fact", list(Fact))
def test_asked_for_alone_each_fact_is_the_same(fact: Fact) -> None:
    everything = facts.facts(MESSAGE, frozenset(Fact), FIELDS)
    assert facts.facts(MESSAGE, frozenset({fact}), FIELDS) == {fact: everything[fact]}


def test_nothing_asked_nothing_given() -> None:
    assert facts.facts(MESSAGE, frozenset(), frozenset()) == {}


def test_a_message_without_a_usable_date() -> None:
    for header in (b"\r\n", b"Date: yesterday\r\n\r\n", b""):
        assert facts.facts(header, frozenset({Fact.SENT}), frozenset()) == {Fact.SENT: b"\0\0\0\0"}


def test_the_block_can_be_cut_down_later() -> None:
    block = facts.facts(MESSAGE, frozenset({Fact.HEADERS}), FIELDS)[Fact.HEADERS]
    assert headers.cut_block(block, frozenset({b"to"})) == b"to: c@d\r\n"
