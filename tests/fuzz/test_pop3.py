"""The POP3 engine under arbitrary bytes in every state: only ProtocolFault escapes, memory stays bounded, nothing is
deleted without QUIT, and nothing is left open."""

import os
import random

import pytest

from culverhouse.model.errors import ProtocolFault
from tests.golden.pop3_driver import Account, Driver, Message, greeting, logged_in

CASES = int(os.environ.get("CULVERHOUSE_FUZZ_CASES", "150"))

WORDS = [b"CAPA", b"STLS", b"AUTH", b"USER", b"PASS", b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP", b"DELE", b"RSET",
         b"NOOP", b"AUTH PLAIN", b"AUTH CHALLENGE", b"AUTH LASTWORD =", b"*", b"=", b"+", b"alice", b"secret", b"1",
         b"2", b"3", b"0", b"-1", b"99999999999", b"AGFsaWNlAHNlY3JldA==", b"\0", b"\xff\xfe", b"%s", b"\x1b[0m",
         b"GET / HTTP/1.1", b".", b"..", b"A" * 300, b"A" * 2000, b"A" * 20000]  # fmt: skip
MAILS = [b"", b"\n", b"a: b\n\n.\n..\n", b"x" * 300_000, b".\r\n.\r\r\n." * 9, b"\n." * 70_000]
ENDS = [b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b" ", b" ", b"\r\n\r\n"]


def account(chance: random.Random) -> Account:
    made = Account()
    for uid in chance.sample(range(1, 50), 5):
        message = Message(chance.choice(MAILS))
        message.known_size = chance.choice([None, message.vsize, 3])
        message.fails_after = chance.choice([None, None, None, 0, 200_000])
        made.box.messages[uid] = message
        made.box.uidls[uid] = chance.choice([b"", b"ok", b"bad one", b"\xff", b"x" * 200])
        made.box.orders[uid] = chance.randrange(3)
    made.box.failing = set(chance.choice([[], [], ["remove"], ["store"], ["mailbox"], ["open"]]))
    return made


def stream(chance: random.Random) -> bytes:
    parts = []
    for _ in range(chance.randrange(1, 60)):
        parts.append(chance.choice(WORDS) if chance.random() < 0.9 else chance.randbytes(chance.randrange(40)))
        parts.append(chance.choice(ENDS))
    return b"".join(parts)


STATES = ("plain", "starttls", "tls", "transaction", "exchange")


@pytest.mark.parametrize("state", STATES)
def test_arbitrary_bytes(state: str) -> None:
    for case in range(CASES):
        run(f"pop3 {state} {case}", state)


def fuzz_once(seed: str) -> None:
    """One case of a long campaign; the seed makes it again."""
    run(seed, random.Random(seed).choice(STATES))


def run(seed: str, state: str) -> None:
    """One connection that begins in `state` and gets bytes that the seed determines."""
    chance = random.Random(seed)
    mail = account(chance)
    before = dict(mail.box.messages)
    if state in ("transaction", "exchange"):
        mail.box.failing.discard("mailbox")
    driver = logged_in(mail) if state == "transaction" else Driver(greeting(
        {"plain": "always", "starttls": "starttls", "tls": "tls", "exchange": "tls"}[state]), mail)  # fmt: skip
    if state == "exchange":
        driver.feed(b"AUTH CHALLENGE\r\n")
    data = stream(chance)
    assert b"QUIT" not in data.upper()
    place = 0
    try:
        while place < len(data) and driver.ended is None:
            size = chance.choice([1, 2, 5, 50, 4000])
            driver.feed(data[place : place + size])
            place += size
            assert len(driver.engine._buffer) <= 64 * 1024, "only one unfinished line may stay behind"
    except ProtocolFault:
        pass
    if chance.random() < 0.5:
        driver.lost()
    else:
        driver.engine.timer()
        driver.run()
    driver.engine.close()
    assert mail.box.messages == before, f"{seed}: something was deleted without QUIT"
    assert (mail.box.locked, mail.box.views, mail.box.open_files) == (False, 0, 0), seed
    assert driver.largest <= 256 * 1024 + 600


def test_arbitrary_bytes_with_quit_delete_what_was_marked_and_no_more() -> None:
    chance = random.Random("pop3 quit")
    for _ in range(CASES):
        mail = account(chance)
        mail.box.failing = set()
        driver = logged_in(mail)
        order = list(driver.engine._session.maildrop.uids)
        data = stream(chance).replace(b"RSET", b"DELE 2\r\n")
        driver.feed(data + b"\r\n")
        drop = driver.engine._session.drop
        marked = {order[number - 1] for number in drop.deleted} if drop and driver.ended is None else set()
        driver.feed(b"QUIT\r\n")
        assert set(mail.box.messages) == set(order) - marked
