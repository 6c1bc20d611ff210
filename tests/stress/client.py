"""An IMAP client that believes nothing: it keeps the session's state by RFC 3501 and objects to every contradiction."""

import re
import socket
from dataclasses import dataclass, field


class Wrong(AssertionError):
    """The server contradicted itself or the protocol."""


@dataclass
class Message:
    """What the session knows of one message in its view."""

    uid: int = 0
    flags: frozenset[str] | None = None


@dataclass
class World:
    """What is true for all sessions of one mailbox."""

    subjects: dict[int, str] = field(default_factory=dict)
    uidvalidity: int = 0
    unflagged: set[int] = field(default_factory=set)
    """UIDs appended without flags: the store itself remembers that they are recent."""


_FETCH = re.compile(rb"\* (\d+) FETCH \((.*)\)$", re.S)
_UID = re.compile(rb"\bUID (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_SUBJECT = re.compile(rb"Subject: ([^\r\n]*)")


class Session:
    """One connection with its mailbox selected."""

    def __init__(self, port: int, user: str, world: World) -> None:
        self.world = world
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.tags = 0
        self.messages: list[Message] = []
        self.fetched: set[int] = set()
        self.transcript: list[bytes] = []
        self.line()
        self.command(b"LOGIN %s secret" % user.encode())

    def line(self) -> bytes:
        """One response with its literals."""
        whole = b""
        while True:
            part = self.file.readline()
            if not part.endswith(b"\r\n"):
                raise Wrong(f"connection closed in a response: {(whole + part)[-200:]!r}; {self.transcript[-6:]}")
            whole += part
            literal = re.search(rb"\{(\d+)\}\r\n$", part)
            if literal is None:
                break
            whole += self.file.read(int(literal[1]))
        self.transcript.append(whole[:300])
        del self.transcript[:-60]
        return whole[:-2]

    def send(self, line: bytes) -> bytes:
        self.tags += 1
        tag = b"t%d" % self.tags
        self.transcript.append(tag + b" " + line[:200])
        self.socket.sendall(tag + b" " + line + b"\r\n")
        return tag

    def finish(self, tag: bytes, *, expunges: bool, allow_no: bool = False) -> list[bytes]:
        """Read to the tagged line; returns the untagged ones."""
        untagged = []
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK") and not (allow_no and line.startswith(tag + b" NO")):
                    raise Wrong(f"{line!r} after {self.transcript[-8:]}")
                self.tagged = line
                return untagged
            if line.startswith(b"* BYE"):
                raise Wrong(f"{line!r} after {self.transcript[-8:]}")
            self.untagged(line, expunges)
            untagged.append(line)

    def command(self, line: bytes, *, expunges: bool = True, allow_no: bool = False) -> list[bytes]:
        self.fetched.clear()
        return self.finish(self.send(line), expunges=expunges, allow_no=allow_no)

    def untagged(self, line: bytes, expunges: bool) -> None:
        words = line.split(b" ", 3)
        if len(words) >= 3 and words[1].isdigit():
            number = int(words[1])
            if words[2] == b"EXISTS":
                if number < len(self.messages):
                    raise Wrong(f"EXISTS fell from {len(self.messages)} to {number}")
                self.messages += [Message() for _ in range(number - len(self.messages))]
            elif words[2] == b"EXPUNGE":
                if not expunges:
                    raise Wrong(f"{line!r} in a command that must not expunge: {self.transcript[-5:]}")
                if not 1 <= number <= len(self.messages):
                    raise Wrong(f"{line!r} of {len(self.messages)} messages")
                del self.messages[number - 1]
            elif words[2] == b"FETCH":
                self.fetch(line)

    def fetch(self, line: bytes) -> None:
        found = _FETCH.match(line)
        if found is None:
            raise Wrong(f"broken FETCH {line!r}")
        number, body = int(found[1]), found[2]
        if not 1 <= number <= len(self.messages):
            raise Wrong(f"FETCH of {number} of {len(self.messages)}: {line[:120]!r}")
        message = self.messages[number - 1]
        self.fetched.add(number)
        if uid := _UID.search(body):
            value = int(uid[1])
            if message.uid and message.uid != value:
                raise Wrong(f"message {number} had UID {message.uid}, now {value}")
            message.uid = value
            before = self.messages[number - 2].uid if number > 1 else 0
            after = self.messages[number].uid if number < len(self.messages) else 0
            if before >= value or (after and after <= value):
                raise Wrong(f"UIDs out of order around {number}: {before} {value} {after}")
        if flags := _FLAGS.search(body):
            message.flags = frozenset(flags[1].decode().split())
        if subject := _SUBJECT.search(body):
            text = subject[1].decode()
            known = self.world.subjects.setdefault(message.uid, text) if message.uid else text
            if known != text:
                raise Wrong(f"UID {message.uid} was {known!r}, now {text!r}")

    def select(self, mailbox: bytes = b"INBOX") -> None:
        self.messages = []
        for line in self.command(b"SELECT " + mailbox):
            if found := re.search(rb"UIDVALIDITY (\d+)", line):
                value = int(found[1])
                if self.world.uidvalidity not in (0, value):
                    raise Wrong(f"UIDVALIDITY changed from {self.world.uidvalidity} to {value}")
                self.world.uidvalidity = value
        self.learn()

    def learn(self) -> None:
        """Know UID, flags and subject of everything in view; every message must be answered for."""
        if not self.messages:
            return
        asked = len(self.messages)
        self.command(b"FETCH 1:* (UID FLAGS)", expunges=False)
        missing = set(range(1, asked + 1)) - self.fetched
        if missing:
            raise Wrong(f"no FETCH for {sorted(missing)[:10]} of {asked}")

    def append(self, subject: str, flags: str = "") -> int:
        text = f"From: stress@example.org\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n".encode()
        tag = self.send(b"APPEND INBOX (%s) {%d+}\r\n" % (flags.encode(), len(text)) + text)
        self.finish(tag, expunges=True)
        found = re.search(rb"APPENDUID \d+ (\d+)", self.tagged)
        if found is None:
            raise Wrong(f"no APPENDUID in {self.tagged!r}")
        uid = int(found[1])
        known = self.world.subjects.setdefault(uid, subject)
        if known != subject:
            raise Wrong(f"UID {uid} given twice: {known!r} and {subject!r}")
        return uid

    def close(self) -> None:
        self.socket.close()
