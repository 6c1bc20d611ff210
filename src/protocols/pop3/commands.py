"""POP3's commands: what each is called, in which state it may come, and what it does.

A command is a generator of steps. What it yields the engine hands to the host; the host's answer is what `yield`
returns, its failure is raised there. `LINE` asks for the client's next line. Rules that keep it right:

1. A command yields at least one response, and exactly one unless it closes the connection.
2. A `MailError` that a command lets out before it sent anything becomes its -ERR; after the first octet of a
   multi-line response there is no way to report a failure but to close the connection, so that a client never takes
   half a message for a whole one.
3. Arguments are octets from a stranger: numbers are ASCII digits of bounded length, everything else is refused.
"""

import contextlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...model.errors import MailError
from ..engine import Blocking, Close, Compute, Log, Send, Step
from . import codes
from .codes import err, ok
from .reading import Reader, Reading

if TYPE_CHECKING:
    from ...account.results import Filled
    from .maildrop import Maildrop
    from .session import Session


class AwaitLine:
    """The type of `LINE`."""


LINE = AwaitLine()
"""Yielded for the client's next line."""

Run = Generator["Step | AwaitLine", Any, None]

AUTHORIZATION = 1
TRANSACTION = 2
ANY = AUTHORIZATION | TRANSACTION

LINES_PER_PIECE = 2000
"""Lines of a listing that are made at once: some 50 kB and 1 ms."""

_NUMBER = re.compile(rb"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `run` gets the session and what followed the keyword and one space."""

    name: bytes
    states: int
    run: "Callable[[Session, bytes], Run]"


class BadArgument(Exception):
    """The client's arguments are wrong; the text is for it."""


def numbers(argument: bytes, least: int, most: int, form: str) -> list[int]:
    """Between `least` and `most` numbers; `form` is what the command looks like."""
    words = argument.split()
    if not least <= len(words) <= most or not all(_NUMBER.fullmatch(word) for word in words):
        raise BadArgument(f"Syntax: {form}")
    return [int(word) for word in words]


def message_number(session: "Session", number: int) -> int:
    """A message number that exists and isn't marked as deleted (RFC 1939 5)."""
    drop = session.maildrop
    if number not in drop:
        raise BadArgument(
            "That message is marked as deleted"
            if number in drop.deleted
            else f"There is no such message, the last one is {len(drop.uids)}"
        )
    return number


def listing(first: str, numbers: Sequence[int], lines: Callable[[Sequence[int]], Iterable[bytes]]) -> Iterator[Send]:
    """A multi-line response with lines for these numbers, made piece by piece."""
    yield Send(ok(first))
    for start in range(0, len(numbers), LINES_PER_PIECE):
        yield Send(b"".join(lines(numbers[start : start + LINES_PER_PIECE])))
    yield Send(b".\r\n")


def capa(session: "Session", argument: bytes) -> Run:
    """CAPA (RFC 2449 5)."""
    numbers(argument, 0, 0, "CAPA")
    yield Send(ok("Capability list follows") + b"".join(name + b"\r\n" for name in session.capabilities()) + b".\r\n")


def noop(session: "Session", argument: bytes) -> Run:
    """NOOP (RFC 1939 5)."""
    numbers(argument, 0, 0, "NOOP")
    yield Send(ok())


def stat(session: "Session", argument: bytes) -> Run:
    """STAT (RFC 1939 5)."""
    numbers(argument, 0, 0, "STAT")
    octets = yield from measured(session)
    yield Send(b"+OK %d %d\r\n" % (len(session.maildrop), octets))


def measured(session: "Session") -> Generator[Step | AwaitLine, Any, int]:
    """The octets of the maildrop; when the index cannot tell, every size is looked at."""
    if session.maildrop.octets is None:
        yield from sized(session)
    return session.maildrop.octets or 0


def sized(session: "Session") -> Generator[Step | AwaitLine, Any, Sequence[int]]:
    """All sizes, once those that are missing have been found."""
    drop = session.maildrop
    if drop.sizes is None:
        told = drop.octets
        missing: list[int] = yield Blocking(drop.take_sizes)
        if missing:
            drop.sizes, drop.octets = None, told
            for job in drop.size_jobs(missing):
                filled: Filled = yield Compute(job)
                drop.learn(filled)
            yield Blocking(drop.take_sizes)
    return drop.sizes or ()


def list_(session: "Session", argument: bytes) -> Run:
    """LIST (RFC 1939 5)."""
    wanted = numbers(argument, 0, 1, "LIST [message number]")
    drop = session.maildrop
    if wanted:
        number = message_number(session, wanted[0])
        if drop.size(number) is None:
            yield from sized(session)
        yield Send(b"+OK %d %d\r\n" % (number, drop.size(number) or 0))
        return
    known = yield from sized(session)
    first = f"{len(drop)} messages ({drop.octets} octets)"
    yield from listing(first, drop.numbers(), lambda piece: [b"%d %d\r\n" % (n, known[n - 1]) for n in piece])


def uidl(session: "Session", argument: bytes) -> Run:
    """UIDL (RFC 1939 7)."""
    wanted = numbers(argument, 0, 1, "UIDL [message number]")
    drop = session.maildrop
    if wanted:
        number = message_number(session, wanted[0])
        yield Send(b"+OK %d %b\r\n" % (number, drop.uidl(number)))
        return
    yield from listing("", drop.numbers(), lambda piece: [b"%d %b\r\n" % (n, drop.uidl(n)) for n in piece])


def retr(session: "Session", argument: bytes) -> Run:
    """RETR (RFC 1939 5)."""
    number = message_number(session, *numbers(argument, 1, 1, "RETR message-number"))
    yield from message(session, number, None)
    session.maildrop.seen.add(number)
    session.maildrop.counters.retrieved += 1


def top(session: "Session", argument: bytes) -> Run:
    """TOP (RFC 1939 7)."""
    number, lines = numbers(argument, 2, 2, "TOP message-number lines")
    message_number(session, number)
    yield from message(session, number, lines)
    session.maildrop.counters.topped += 1


def message(session: "Session", number: int, lines: int | None) -> Run:
    """Send one message, a piece at a time."""
    drop = session.maildrop
    reader = drop.reader
    reading = reader.ready(number, lines)
    if reading is None:
        reading = yield Blocking(lambda: reader.read(number, lines, drop.deleted))
    yield from whole_message(drop, reader, reading)
    if reading.wrong:
        yield from correct(session, number, reading)


def whole_message(drop: "Maildrop", reader: Reader, reading: Reading) -> Run:
    """The pieces of one message. After the first no failure can be told."""
    size = reading.octets if reading.ended else reading.recorded
    first = ok(f"{size} octets" if size is not None and reading.lines is None else "")
    yield Send(first + reading.piece)
    drop.counters.octets += len(reading.piece)
    while not reading.ended:
        try:
            yield Blocking(lambda: reader.advance(reading))
        except MailError:
            yield Close("message-unreadable")
            return
        yield Send(reading.piece)
        drop.counters.octets += len(reading.piece)


def correct(session: "Session", number: int, reading: Reading) -> Run:
    """A file name or index row that lies about a size is set right, for the next session; that it cannot be is not
    the client's matter."""
    drop = session.maildrop
    mailbox, uid = drop.view.mailbox, drop.uids[number - 1]
    with contextlib.suppress(MailError):
        yield Blocking(lambda: mailbox.corrected(uid, reading.message.size, reading.octets), session.account.key)


def dele(session: "Session", argument: bytes) -> Run:
    """DELE (RFC 1939 5)."""
    number = message_number(session, *numbers(argument, 1, 1, "DELE message-number"))
    yield from measured(session)
    session.maildrop.mark(number)
    yield Send(ok("Marked to be deleted"))


def rset(session: "Session", argument: bytes) -> Run:
    """RSET (RFC 1939 5): no mark survives it, nor the note of what was read."""
    numbers(argument, 0, 0, "RSET")
    session.maildrop.unmark()
    session.maildrop.seen.clear()
    yield Send(ok())


def quit_(session: "Session", argument: bytes) -> Run:
    """QUIT (RFC 1939 4 and 6): the only way into the UPDATE state."""
    numbers(argument, 0, 0, "QUIT")
    drop = session.drop
    answer = ok("Bye")
    if drop is not None:
        try:
            if drop.deleted:
                yield Blocking(drop.update, session.account.key)
        except MailError as error:
            # RFC 1939 6: the response says that some messages are still there.
            answer = err(f"Not all messages were deleted: {error.text}", codes.TEMPORARY)
        if drop.seen - drop.deleted.keys():
            yield Blocking(drop.note_seen, session.account.key)
        # The lock goes before the answer, for many clients come back the moment they have it.
        drop.close()
        done = drop.counters
        yield Log(
            "command",
            {
                "command": "QUIT",
                "retrieved": done.retrieved,
                "topped": done.topped,
                "deleted": done.deleted,
                "octets": done.octets,
            },
        )
    yield Send(answer)
    yield Close("quit")
