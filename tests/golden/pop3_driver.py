"""A host and an account in memory for the POP3 engine, and the player of its transcripts.

A transcript is a text file:

    # a comment
    greeting: starttls cleartext          tls | starttls | cleartext | always (no TLS, but passwords are taken)
    message 5                             a message with UID 5; its lines follow, each after `| `
    | Subject: hello
    |
    | body
    C: STAT                               the client's line
    S: +OK 1 23                           the server's line, exactly; `S~ ` takes a regular expression
    T:                                    TLS begins here
    X: expunge 5                          something happens meanwhile (see `Player.happen`)
    E: quit                               the connection ends, for this reason
    left: 5                               UIDs that are still in the mailbox at the end
    seen: 5                               and those with \\Seen

Lines of the client that follow each other are sent in one piece. The account keeps the rules of the real one as far
as POP3 can see them: a view keeps what it shows, an expunged message can no longer be opened.
"""

import base64
import io
import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from culverhouse.account.jobs import FillFacts
from culverhouse.account.results import Expunged, Filled, StoreResult
from culverhouse.message.lines import normalise
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import SEEN, FlagOp
from culverhouse.model.store import Pop3Names
from culverhouse.protocols.engine import (
    Blocking,
    Close,
    Compute,
    Greeting,
    Log,
    Need,
    SaslCancel,
    SaslChallenge,
    SaslFailure,
    SaslReason,
    SaslRespond,
    SaslStart,
    SaslSuccess,
    Send,
    StartTls,
    Step,
)
from culverhouse.protocols.pop3 import Limits, Pop3Engine

SPEC = AccountSpec("alice", "maildir:/nowhere", "maildir++", "/", "", "/nowhere/index")


@dataclass
class Message:
    """A message as it lies in the store."""

    data: bytes
    known_size: int | None = None
    """What the index says."""
    seen: bool = False
    fails_after: int | None = None
    """Reading fails behind this many octets."""

    @property
    def vsize(self) -> int:
        return len(normalise(self.data))


class BrokenFile(io.BytesIO):
    """A file on a disk that breaks."""

    def __init__(self, data: bytes, good: int) -> None:
        super().__init__(data)
        self._good = good

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._good:
            raise OSError(5, "Input/output error")
        return super().read(min(size or 0, self._good - self.tell()) if size and size > 0 else size)


class Opened:
    """model.store.OpenMessage."""

    internaldate = 0

    def __init__(self, box: "Box", message: Message) -> None:
        data = message.data
        self.size = len(data)
        self.file = io.BytesIO(data) if message.fails_after is None else BrokenFile(data, message.fails_after)
        self._box = box
        box.open_files += 1

    def close(self) -> None:
        if not self.file.closed:
            self.file.close()
            self._box.open_files -= 1


class Lock:
    def __init__(self, box: "Box") -> None:
        if box.locked:
            raise MailError(Kind.INUSE, "Another POP3 session has this maildrop")
        box.locked = True
        self._box: Box | None = box

    def release(self) -> None:
        if self._box is not None:
            self._box.locked = False
            self._box = None


@dataclass
class Head:
    """What POP3 uses of index.Head."""

    size: int
    size_unknown: int
    highestmodseq: int = 7


@dataclass
class Snapshot:
    head: Head


class View:
    """What POP3 uses of account.View."""

    def __init__(self, box: "Box") -> None:
        self.mailbox = box
        self.uids = array("I", sorted(box.messages))
        self.uidvalidity = box.uidvalidity
        self.highestmodseq = box.refresh().head.highestmodseq
        box.views += 1

    def sizes(self, uids: Iterable[int]) -> list[int | None]:
        return self.mailbox.sizes(uids)

    def open(self, uid: int) -> Opened:
        return self.mailbox.open(uid)

    def close(self) -> None:
        self.mailbox.views -= 1


class Box:
    """What POP3 uses of account.Mailbox."""

    name = "INBOX"
    id = "0123456789abcdef0123456789abcdef"
    uidvalidity = 0x5F3A1B2C

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.uidls: dict[int, bytes] = {}
        self.orders: dict[int, int] = {}
        self.locked = False
        self.views = 0
        self.open_files = 0
        self.failing: set[str] = set()
        self.corrections: list[tuple[int, int, int]] = []

    def refresh(self) -> "Snapshot":
        sizes = [message.known_size for message in self.messages.values()]
        return Snapshot(Head(sum(filter(None, sizes)), sizes.count(None)))

    def sizes(self, uids: Iterable[int]) -> list[int | None]:
        return [message.known_size if (message := self.messages.get(uid)) else None for uid in uids]

    def pop3_names(self) -> Pop3Names:
        return Pop3Names(self.uidls, self.orders)

    def lock_maildrop(self) -> Lock:
        return Lock(self)

    def keep_open(self) -> View:
        return View(self)

    def open(self, uid: int) -> Opened:
        message = self.messages.get(uid)
        if message is None:
            raise MailError(Kind.EXPUNGED, "The message is gone")
        if "open" in self.failing:
            raise MailError(Kind.UNREADABLE, "The message cannot be read")
        return Opened(self, message)

    def remove(self, uids: Iterable[int], *, caller: View | None = None) -> Expunged:
        assert caller is not None
        if "remove" in self.failing:
            raise MailError(Kind.OVERQUOTA, "The disk is full")
        gone = [uid for uid in uids if self.messages.pop(uid, None)]
        return Expunged(gone, 1)

    def store(self, uids: Iterable[int], op: FlagOp, system: int, keywords: Iterable[str]) -> StoreResult:
        assert (op, system, tuple(keywords)) == (FlagOp.ADD, SEEN, ())
        if "store" in self.failing:
            raise MailError(Kind.UNAVAILABLE, "The disk is broken")
        for uid in uids:
            if uid in self.messages:
                self.messages[uid].seen = True
        return StoreResult([], [], [], False)

    def corrected(self, uid: int, size: int, vsize: int) -> None:
        self.corrections.append((uid, size, vsize))


@dataclass
class Account:
    """What POP3 uses of account.Account."""

    user: str = "alice"
    key: str = "alice"
    spec: AccountSpec = SPEC
    box: Box = field(default_factory=Box)

    def mailbox(self, name: str) -> Box:
        assert name == "INBOX"
        if "mailbox" in self.box.failing:
            raise MailError(Kind.UNAVAILABLE, "The mail cannot be reached now")
        return self.box


def fill(job: FillFacts, account: Account) -> Filled:
    """What a helper does with a job that asks for sizes."""
    assert job.sizes
    assert (job.mailbox, job.mailbox_id) == (account.box.name, account.box.id)
    for uid in job.uids:
        if uid in account.box.messages:
            account.box.messages[uid].known_size = account.box.messages[uid].vsize
    return Filled(len(job.uids))


class Driver:
    """A host that does at once what the engine asks, and keeps what it sent."""

    def __init__(self, greeting: Greeting, account: Account | None = None, limits: Limits | None = None) -> None:
        self.account = account or Account()
        self.password = b"secret"
        self.engine = Pop3Engine(greeting, limits)
        self.sent = bytearray()
        self.ended: str | None = None
        self.tls = 0
        self.logs: list[Log] = []
        self.timeout = 0.0
        self.meanwhile: Callable[[Step], None] = lambda step: None
        """Called before a step is carried out."""
        self._mechanism = ""
        self.largest = 0
        self.run()

    def feed(self, data: bytes) -> bytes:
        """Bytes for the engine; what it answers."""
        before = len(self.sent)
        if self.ended is None:
            self.engine.receive(data)
            self.run()
        return bytes(self.sent[before:])

    def run(self) -> None:
        """Do steps until the engine needs something."""
        while self.ended is None:
            step = self.engine.next_step()
            self.meanwhile(step)
            match step:
                case Send(data):
                    assert data
                    self.largest = max(self.largest, len(data))
                    self.sent += data
                case Log():
                    self.logs.append(step)
                case Need(timeout):
                    self.timeout = timeout
                    return
                case Close(reason):
                    self.ended = reason
                    self.engine.close()
                case StartTls():
                    self.tls += 1
                    self.engine.resume(None)
                case Blocking(call):
                    self._answer(call)
                case Compute(job):
                    self._answer(lambda work=job: fill(work, self.account))
                case SaslStart() | SaslRespond() | SaslCancel():
                    self.engine.resume(self._sasl(step))

    def lost(self) -> None:
        """The connection is lost."""
        self.ended = "lost"
        self.engine.close()

    def _answer(self, call: Callable[[], Any]) -> None:
        try:
            value = call()
        except MailError as error:
            self.engine.fail(error)
        else:
            self.engine.resume(value)

    def _sasl(self, step: SaslStart | SaslRespond | SaslCancel) -> SaslChallenge | SaslSuccess | SaslFailure:
        """PLAIN; CHALLENGE asks twice; LASTWORD lets in with a last word; BUSY is never available."""
        if isinstance(step, SaslCancel):
            return SaslFailure(SaslReason.CANCELLED, "Authentication was cancelled")
        if isinstance(step, SaslStart):
            assert step.service == "pop3"
            self._mechanism = step.mechanism
            response = step.initial
        else:
            response = step.response
        if self._mechanism == "BUSY":
            return SaslFailure(SaslReason.UNAVAILABLE, "Try again later")
        if response is None:
            return SaslChallenge(b"")
        data = response.reveal()
        if self._mechanism == "CHALLENGE" and data != b"second":
            return SaslChallenge(b"say second")
        if self._mechanism == "PLAIN" and data != b"\0alice\0" + self.password:
            return SaslFailure(SaslReason.CREDENTIALS, "Authentication failed")
        return SaslSuccess(self.account, b"v=signature" if self._mechanism == "LASTWORD" else None)  # type: ignore[arg-type]


def greeting(words: str) -> Greeting:
    """From the words of a transcript."""
    kinds = set(words.split())
    safe = ("PLAIN", "CHALLENGE", "LASTWORD", "BUSY")
    cleartext = bool(kinds & {"tls", "always"})
    return Greeting(
        tls="tls" in kinds,
        starttls="starttls" in kinds,
        cleartext=cleartext,
        mechanisms=safe if cleartext else ("CHALLENGE",),
        mechanisms_tls=safe,
        connection="c0ffee",
    )


def logged_in(account: Account | None = None, limits: Limits | None = None) -> Driver:
    """A driver in the TRANSACTION state with nothing sent yet."""
    driver = Driver(greeting("tls"), account, limits)
    driver.feed(b"AUTH PLAIN %b\r\n" % base64.b64encode(b"\0alice\0secret"))
    assert driver.sent.endswith(b"+OK Logged in\r\n"), driver.sent
    driver.sent.clear()
    return driver


class Player:
    """Plays one transcript and raises AssertionError at the first line that differs."""

    def __init__(self, path: Path, *, bytewise: bool) -> None:
        self.path = path
        self.bytewise = bytewise
        self.account = Account()
        self.driver: Driver | None = None
        self.greeting = greeting("tls")
        self._answers: list[bytes] = []

    def play(self) -> None:
        pending = b""
        message: Message | None = None
        for number, line in enumerate(self.path.read_text().split("\n"), 1):
            where = f"{self.path.name}, line {number}"
            if message is not None and line.startswith("|"):
                message.data += line[2:].encode() + b"\n"
                continue
            if not line or line.startswith("#"):
                continue
            kind, _, rest = line.partition(" ")
            if kind == "C:":
                pending += rest.encode() + b"\r\n"
                continue
            if kind == "message":
                message = self.account.box.messages[int(rest)] = Message(b"")
                continue
            if kind == "greeting:":
                self.greeting = greeting(rest)
                continue
            self._begin()
            self._feed(pending)
            pending = b""
            self._check(kind, rest, where)
        assert self.driver is not None
        self._feed(pending)
        rest_of_answer = bytes(self.driver.sent)
        assert not rest_of_answer, f"{self.path.name}: more was sent than the transcript has: {rest_of_answer!r}"
        assert self.driver.ended is not None, f"{self.path.name}: the transcript has no end (E:)"
        box = self.account.box
        assert (box.locked, box.views, box.open_files) == (False, 0, 0), "something was left open"

    def _begin(self) -> None:
        if self.driver is None:
            for message in self.account.box.messages.values():
                if message.known_size is None:
                    message.known_size = message.vsize
            self.driver = Driver(self.greeting, self.account)

    def _feed(self, data: bytes) -> None:
        assert self.driver is not None
        for piece in ([data[i : i + 1] for i in range(len(data))] if self.bytewise else [data]):
            if piece:
                self.driver.feed(piece)

    def _check(self, kind: str, rest: str, where: str) -> None:
        driver = self.driver
        assert driver is not None
        if kind in ("S:", "S~"):
            line, end, after = bytes(driver.sent).partition(b"\r\n")
            assert end, f"{where}: nothing more was sent, expected {rest!r}"
            got = line.decode()
            same = re.fullmatch(rest, got) is not None if kind == "S~" else got == rest
            assert same, f"{where}: expected {rest!r}, got {got!r}"
            driver.sent[:] = after
        elif kind == "T:":
            assert driver.tls == 1, f"{where}: TLS did not begin"
        elif kind == "E:":
            assert driver.ended == rest, f"{where}: ended with {driver.ended!r}"
        elif kind == "left:":
            assert sorted(self.account.box.messages) == [int(uid) for uid in rest.split()], where
        elif kind == "seen:":
            seen = [uid for uid, message in sorted(self.account.box.messages.items()) if message.seen]
            assert seen == [int(uid) for uid in rest.split()], where
        elif kind == "X:":
            self.happen(rest)
        else:
            raise AssertionError(f"{where}: what is {kind!r}?")

    def happen(self, what: str) -> None:
        """Something outside the connection."""
        driver = self.driver
        assert driver is not None
        word, _, rest = what.partition(" ")
        box = self.account.box
        if word == "expunge":
            del box.messages[int(rest)]
        elif word == "arrive":
            box.messages[int(rest)] = Message(b"Subject: new\n\nnew\n", 20)
        elif word == "fail":
            box.failing = set(rest.split())
        elif word == "locked":
            box.locked = rest == "yes"
        elif word == "uidl":
            uid, uidl = rest.split()
            box.uidls[int(uid)] = uidl.encode()
        elif word == "order":
            uid, order = rest.split()
            box.orders[int(uid)] = int(order)
        elif word == "unsized":
            box.messages[int(rest)].known_size = None
        elif word == "size":
            uid, size = rest.split()
            box.messages[int(uid)].known_size = int(size)
        elif word == "timeout":
            driver.engine.timer()
            driver.run()
        elif word == "shutdown":
            driver.engine.shutdown(rest)
            driver.run()
        elif word == "lost":
            driver.lost()
        else:
            raise AssertionError(f"what is {what!r}?")
