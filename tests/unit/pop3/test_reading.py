"""Reading ahead of a client that takes its messages in order: fewer waits, the same answers, bounded memory."""

import pytest

from culverhouse.protocols.engine import Blocking, Step
from culverhouse.protocols.pop3 import reading
from tests.golden.pop3_driver import Account, Driver, Message, logged_in


def account(*bodies: bytes) -> Account:
    made = Account()
    for uid, body in enumerate(bodies, 1):
        message = Message(b"Subject: %d\n\n" % uid + body)
        message.known_size = message.vsize
        made.box.messages[uid] = message
    return made


def counted(driver: Driver) -> list[Step]:
    """The waits of a driver from now on."""
    waits: list[Step] = []
    driver.meanwhile = lambda step: waits.append(step) if isinstance(step, Blocking) else None
    return waits


def test_messages_in_order_cost_few_waits_and_are_the_same_as_one_by_one() -> None:
    bodies = [b"%d\n.\n" % number * (number * 50) for number in range(1, 101)]
    fast, slow = logged_in(account(*bodies)), logged_in(account(*bodies))
    waits = counted(fast)
    answers = {number: fast.feed(b"RETR %d\r\n" % number) for number in range(1, 101)}
    assert len(waits) < 30
    for number in range(100, 0, -1):
        assert slow.feed(b"RETR %d\r\n" % number) == answers[number]


def test_no_more_is_kept_than_agreed() -> None:
    driver = logged_in(account(*[b"x" * 30_000] * 50))
    driver.feed(b"RETR 1\r\n")
    kept = driver.engine._session.maildrop.reader._ahead
    assert 1 <= len(kept) <= 4
    assert sum(len(answer.piece) for answer in kept.values()) <= reading.AHEAD
    driver = logged_in(account(*[b"x"] * 1000))
    driver.feed(b"RETR 1\r\n")
    assert len(driver.engine._session.maildrop.reader._ahead) < reading.AHEAD_MESSAGES


def test_a_jump_reads_nothing_ahead() -> None:
    driver = logged_in(account(*[b"x"] * 50))
    driver.feed(b"RETR 7\r\nRETR 20\r\n")
    assert driver.engine._session.maildrop.reader._ahead == {}


def test_what_was_read_for_top_is_not_sent_for_retr() -> None:
    driver = logged_in(account(b"a\nb\n", b"c\nd\n", b"e\nf\n"))
    driver.feed(b"TOP 1 1\r\nTOP 2 1\r\n")
    assert driver.feed(b"TOP 3 2\r\n").endswith(b"e\r\nf\r\n.\r\n")
    assert driver.feed(b"RETR 3\r\n").endswith(b"octets\r\nSubject: 3\r\n\r\ne\r\nf\r\n.\r\n")
    assert driver.feed(b"TOP 3 1\r\n").endswith(b"\r\n\r\ne\r\n.\r\n")


def test_an_answer_is_used_once() -> None:
    driver = logged_in(account(b"a\n", b"b\n"))
    driver.feed(b"RETR 1\r\n")
    waits = counted(driver)
    first = driver.feed(b"RETR 2\r\n")
    assert not waits
    assert driver.feed(b"RETR 2\r\n") == first
    assert len(waits) == 1


def test_marked_messages_are_left_out_and_later_refused() -> None:
    driver = logged_in(account(b"a\n", b"b\n", b"c\n"))
    driver.feed(b"DELE 2\r\nRETR 1\r\n")
    assert list(driver.engine._session.maildrop.reader._ahead) == [(3, None)]
    driver.feed(b"DELE 3\r\n")
    assert driver.feed(b"RETR 3\r\n").startswith(b"-ERR That message is marked")


def test_a_message_that_cannot_be_read_is_told_to_who_asks_for_it() -> None:
    mail = account(b"a\n", b"b\n", b"c\n", b"d\n")
    mail.box.messages[2].fails_after = 0
    del mail.box.messages[3]
    driver = logged_in(mail)
    assert driver.feed(b"RETR 1\r\n").startswith(b"+OK 17 octets")
    assert mail.box.open_files == 0
    assert driver.feed(b"RETR 2\r\n") == b"-ERR The message cannot be read\r\n"
    assert driver.feed(b"RETR 3\r\n").startswith(b"+OK 17 octets\r\nSubject: 4")


def test_wrong_sizes_are_mended_also_when_read_ahead() -> None:
    mail = account(b"a\n", b"b\n", b"c\n")
    mail.box.messages[2].known_size = 5
    driver = logged_in(mail)
    driver.feed(b"RETR 1\r\n")
    assert mail.box.corrections == []
    assert driver.feed(b"RETR 2\r\n").startswith(b"+OK 17 octets")
    assert mail.box.corrections == [(2, 14, 17)]


@pytest.mark.parametrize("size", [reading.PIECE - 20, reading.PIECE - 12, reading.PIECE, 3 * reading.PIECE])
def test_messages_around_the_size_of_a_piece(size: int) -> None:
    mail = account(b"y" * size, b"z\n")
    driver = logged_in(mail)
    first = driver.feed(b"RETR 1\r\n")
    assert first.endswith(b"y" * size + b"\r\n.\r\n")
    assert driver.feed(b"RETR 2\r\n").endswith(b"\r\nz\r\n.\r\n")
    assert mail.box.open_files == 0
