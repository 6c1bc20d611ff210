"""APPEND (RFC 3501 6.3.11), with MULTIAPPEND (RFC 3502), literal8 (RFC 3516 4.4) and APPENDLIMIT (RFC 7889).

Rules that keep it right:

1. A message goes from the socket into a file of the target mailbox in pieces; it is never whole in memory.
2. All messages of one APPEND become visible together, once the last one is complete; before that every way out, also
   the loss of the connection, discards the files.
3. After a refusal the rest of the command is skipped, so that the connection can go on.
"""

import re
import tempfile
import threading
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from ....account.account import Account
from ....account.results import Appended, NewMessage
from ....message.dates import parse_date_time
from ....model.errors import Kind, MailError, ProtocolFault
from ....model.store import Spool
from ....model.uids import UidSet
from ...engine import Blocking
from ...framing import Announced, Line, Piece
from .. import binary
from ..command import FRAME, LOGGED_IN, Command, Part, Run
from ..reader import Reader
from ..responses import OK, Continuation, Status
from ..session import Session
from ..types import FlagList

_PIECE = 131_072
"""Octets that are written at once."""
_MOST_MESSAGES = 1000
_ANNOUNCEMENT = re.compile(rb"(~?)\{(\d{1,20})(\+?)\}\Z")
_LARGE = threading.BoundedSemaphore(1)
"""One literal8 is whole in memory at a time, in the whole worker."""
_DATE_TIME = re.compile(rb'"[^"\r\n]{1,40}"')


@dataclass(frozen=True, slots=True)
class Message:
    """What is said of one message before its literal."""

    flags: FlagList
    internaldate: int | None
    binary: bool
    size: int
    synchronising: bool


@dataclass(frozen=True, slots=True)
class Append:
    """The arguments up to the first message's literal."""

    name: str
    first: Message


def parse(reader: Reader) -> Append | None:
    """append = "APPEND" SP mailbox 1*append-message; None: the literal that is announced is the mailbox's name."""
    if _ANNOUNCEMENT.match(reader.text, reader.pos):
        return None
    name = reader.mailbox()
    return Append(name, parse_message(reader))


def parse_message(reader: Reader) -> Message:
    """append-message = [SP flag-list] [SP date-time] SP literal, up to the literal's octets"""
    reader.sp()
    flags = FlagList()
    internaldate = None
    if reader.at(b"("):
        flags = reader.flag_list()
        reader.sp()
    if reader.at(b'"'):
        written = _DATE_TIME.match(reader.text, reader.pos)
        try:
            internaldate = parse_date_time(written[0] if written else b"")
        except ValueError:
            raise reader.expected('a date-time like "17-Jul-1996 02:44:25 -0700"') from None
        reader.pos += len(written[0]) if written else 0
        reader.sp()
    announced = _ANNOUNCEMENT.match(reader.text, reader.pos)
    if announced is None:
        raise reader.expected("a literal")
    return Message(flags, internaldate, bool(announced[1]), int(announced[2]), not announced[3])


def run(session: Session, arguments: Append) -> Run:
    """Starts when the first message is announced; `complete` tells whether the command was read to its end."""
    receiver = _Receiver(session, arguments.name)
    try:
        yield from receiver.receive(arguments.first)
        appended: Appended = yield Blocking(receiver.deliver, receiver.account.key)
    finally:
        receiver.end()
    uids = UidSet.of(appended.uids)
    return Status(OK, "Appended", f"APPENDUID {appended.uidvalidity} {uids}")


class _Receiver:
    """The messages of one APPEND on their way in."""

    def __init__(self, session: Session, name: str) -> None:
        self.session = session
        self.account: Account = session.user
        self.name = name
        self.messages: list[NewMessage] = []
        self.spools: list[Spool] = []
        self.complete = False

    def receive(self, message: Message) -> Part:
        """All messages up to the end of the command."""
        framer = self.session.framer
        while True:
            yield from self._one(message)
            frame = yield FRAME
            if isinstance(frame, Line):
                self.complete = True
                if frame.text.strip(b" "):
                    raise ProtocolFault("Expected another message or the end of the command")
                return
            if not isinstance(frame, Announced):
                # An overlong line: the framer skips the rest of it.
                self.complete = True
                raise ProtocolFault("The line between two messages is too long")
            message = parse_message(Reader(framer.so_far()))
            if len(self.messages) >= _MOST_MESSAGES:
                raise MailError(Kind.LIMIT, f"An APPEND may hold {_MOST_MESSAGES} messages")

    def _one(self, message: Message) -> Part:
        """One message's literal, into a spool."""
        account, framer = self.account, self.session.framer
        if message.size > account.spec.max_message_size:
            raise MailError(Kind.TOOBIG, f"A message may have {account.spec.max_message_size} octets here")
        if not message.size:
            raise MailError(Kind.CANNOT, "An empty message is none; the APPEND was given up")  # RFC 3502 6.3.11
        yield Blocking(self._open)
        spool = self.spools[-1]
        framer.stream()
        if message.synchronising:
            yield Continuation(b"OK")
        # A literal8 may have to be rewritten as a whole: it waits in a file without a name.
        draft = tempfile.TemporaryFile() if message.binary else None  # noqa: SIM115 - closed below
        write = spool.write if draft is None else draft.write
        try:
            pieces: list[bytes] = []
            size = 0
            last = False
            while not last:
                frame = yield FRAME
                if not isinstance(frame, Piece):
                    raise TypeError("a streamed literal comes in pieces")
                last = frame.last
                pieces.append(frame.data)
                size += len(frame.data)
                if last or size >= _PIECE:
                    yield Blocking(partial(write, b"".join(pieces)))
                    pieces.clear()
                    size = 0
            if draft is not None:
                yield Blocking(partial(_rewrite, draft, spool))
        finally:
            if draft is not None:
                draft.close()
        self.messages.append(NewMessage(spool, message.flags.system, message.flags.keywords, message.internaldate))

    def _open(self) -> None:
        self.spools.append(self.account.spool(self.name))

    def deliver(self) -> Appended:
        """Make the messages durable and visible."""
        for message in self.messages:
            message.spool.finish()
        return self.account.append(self.name, self.messages)

    def end(self) -> None:
        """Discard what was not delivered, and skip what is left of the command."""
        for spool in self.spools:
            spool.discard()
        if not self.complete:
            self.session.framer.abandon()


def _rewrite(draft: BinaryIO, spool: Spool) -> None:
    """The message as it may be sent in a plain literal (RFC 3516 4.4)."""
    with _LARGE:
        draft.seek(0)
        spool.write(binary.encoded(draft.read()))


COMMAND = Command(
    "APPEND", LOGGED_IN, parse, run, capabilities=("MULTIAPPEND",), asks_for_news=True, streams=True,
)
