"""Dates in headers and date-times in commands."""

import datetime

import pytest

from culverhouse.message.dates import date_of, internaldate, parse_date_time, sent_date
from culverhouse.message.headers import header_end

TESTS = {
    "sentbefore": lambda sent, day: sent is not None and sent < day,
    "senton": lambda sent, day: sent == day,
    "sentsince": lambda sent, day: sent is not None and sent >= day,
}


def test_imaptest_search_date(imaptest) -> None:
    script = imaptest("search-date")
    sent = [sent_date(message[: header_end(message)]) for message in script.messages]
    compared = 0
    for step in script.steps:
        words = step.command.split()[1:]
        numbers = list(range(1, len(sent) + 1))
        if words[0][0].isdigit():
            first, _, last = words.pop(0).partition(":")
            numbers = numbers[int(first) - 1 : None if last == "*" else int(last)]
        negated = words[0] == "not"
        test, text = words[-2:]
        day = datetime.datetime.strptime(text, "%d-%b-%Y").date()
        found = [number for number in numbers if TESTS[test](sent[number - 1], day) is not negated]
        assert found == [int(number) for number in step.wanted[0].split()[1:]], step.command
        compared += 1
    assert compared >= 26


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (b"Thu, 15 Feb 2007 01:02:03 +0200", (2007, 2, 15)),
        (b"15 Feb 2007 01:02 EST", (2007, 2, 15)),
        (b"Thu,15 Feb 2007 01:02:03", (2007, 2, 15)),
        (b"Thu (Thursday), 5 (five) february 2007", (2007, 2, 5)),
        (b"Thursday, 15-Feb-07 01:02:03 GMT", (2007, 2, 15)),
        (b"15 Feb 07 01:02:03", (2007, 2, 15)),
        (b"15 Feb 96 01:02:03", (1996, 2, 15)),
        (b"15 Feb 107 01:02:03", (2007, 2, 15)),
        (b"Thu Feb 15 01:02:03 2007", (2007, 2, 15)),
        (b"Feb 15, 2007", (2007, 2, 15)),
        (b"2007-02-15T01:02:03Z", (2007, 2, 15)),
        (b"Sun, 25 Mar 2007 23:59:60 -1200", (2007, 3, 25)),
        (b"Thu, 29 Feb 2007 01:02:03 +0200", None),
        (b"Thu, 15 Foo 2007 01:02:03 +0200", None),
        (b"99 Jan 2007", None),
        (b"1 Jan 0000", None),
        (b"", None),
        (b"yesterday", None),
        (b"x" * 300 + b"15 Feb 2007", None),
    ],
)
def test_date_of(value: bytes, day: tuple[int, int, int] | None) -> None:
    assert date_of(value) == (None if day is None else datetime.date(*day))


def test_sent_date() -> None:
    assert sent_date(b"Date: Thu,\r\n 15 Feb\r\n\t2007 01:02:03 +0200\r\n\r\n") == datetime.date(2007, 2, 15)
    assert sent_date(b"X-Date: 15 Feb 2007\r\n\r\n") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b'" 1-Jan-1970 00:00:00 +0000"', 0),
        (b'"01-Jan-1970 00:00:00 +0000"', 0),
        (b"17-Jul-1996 02:44:25 -0700", 837596665),
        (b'"17-JUL-1996 02:44:25 +0530"', 837551665),
        (b'"31-Dec-1969 23:59:59 +0000"', -1),
        (b'"31-Dec-2016 23:59:60 +0000"', 1483228800),
    ],
)
def test_parse_date_time(text: bytes, seconds: int) -> None:
    assert parse_date_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [b"", b'""', b'"1-Jan-1970 00:00:00 +0000"', b'" 1-Jan-1970 00:00:00 +0000', b' 1-Jan-1970 00:00:00 +0000"',
     b'"31-Feb-1970 00:00:00 +0000"', b'"00-Jan-1970 00:00:00 +0000"', b'"01-Jan-0000 00:00:00 +0000"',
     b'"01-Jan-1970 24:00:00 +0000"', b'"01-Jan-1970 00:60:00 +0000"', b'"01-Jan-1970 00:00:61 +0000"',
     b'"01-Jan-1970 00:00:00 +2400"', b'"01-Jan-1970 00:00:00 +0060"', b'"01-Jan-1970 00:00:00 0000"',
     b'"01-Xxx-1970 00:00:00 +0000"', b'"01-Jan-70 00:00:00 +0000"', b'"01-Jan-1970 00:00:00 +0000"x',
     '"01-Jan-\u0661970 00:00:00 +0000"'.encode()],
)  # fmt: skip
def test_wrong_date_times_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_date_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (837596665, b'"17-Jul-1996 09:44:25 +0000"'),
        (-1, b'"31-Dec-1969 23:59:59 +0000"'),
        (253402300799, b'"31-Dec-9999 23:59:59 +0000"'),
        (1 << 60, b'"31-Dec-9999 '),
        (-(1 << 60), b'" 1-Jan-0001 '),
    ],
)
def test_internaldate(seconds: int, text: bytes) -> None:
    assert internaldate(seconds).startswith(text)


def test_internaldate_reads_back() -> None:
    for seconds in (0, 1, 86399, 86400, 951826000, 1709164800, 4102444799):
        assert parse_date_time(internaldate(seconds)) == seconds
