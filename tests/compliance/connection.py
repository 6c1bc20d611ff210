"""One IMAP connection of the runner: commands out, replies in, and a watch over what no server may ever say.

Beside what a case asks for, each connection keeps the book that every client keeps (message count, UIDs by sequence
number) and objects when the server contradicts itself: a count that shrinks without EXPUNGE, an EXPUNGE of a message
that isn't there, a sequence number whose UID changes, UIDs out of order, \\Recent given to two sessions.
"""

import re
import socket
from dataclasses import dataclass, field

from .values import Atom, List, Malformed, String, Value, parse, text_of

TIMEOUT = 30.0

_LITERAL = re.compile(rb"\{(\d+)\+?\}\r?\n\Z")
_STATUS = re.compile(rb"(\S+ (?:OK|NO|BAD|BYE|PREAUTH)) ?(\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])? ?(.*)", re.IGNORECASE)
_SENT_LITERAL = re.compile(rb"(~?)\{(\d+)\+?\}\r?\n")


class Gone(Exception):
    """The server closed the connection."""


class Objection(Exception):
    """The server contradicts itself."""


@dataclass(slots=True)
class Reply:
    """One line from the server, its literals inside."""

    tag: bytes
    """`*`, `+`, or a command's."""
    values: list[Value]

    @property
    def word(self) -> bytes:
        """The first word, upper case: OK, EXISTS …"""
        return (text_of(self.values[0]) or b"").upper() if self.values else b""


@dataclass(slots=True)
class Shared:
    """What the connections of one case know together."""

    recent: dict[tuple[bytes, int, int], int] = field(default_factory=dict)
    """(mailbox, UIDVALIDITY, UID) with \\Recent, and the connection that got it."""


class Connection:
    """A logged-in or fresh IMAP connection."""

    def __init__(self, number: int, host: str, port: int, shared: Shared) -> None:
        self.number = number
        self.capabilities: frozenset[bytes] = frozenset()
        self.bye = False
        self.uids: list[int | None] = []
        self._shared = shared
        self._mailbox: tuple[bytes, bool] | None = None
        self._uidvalidity = 0
        self._selecting: dict[bytes, tuple[bytes, bool] | None] = {}
        self._count = 0
        self._buffer = bytearray()
        self._socket = socket.create_connection((host, port), timeout=TIMEOUT)

    # --- bytes -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._socket.close()

    def _fill(self) -> None:
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Gone
        self._buffer += data

    def _read_line(self) -> bytes:
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            self._fill()
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def read(self) -> Reply:
        """The next reply; the book is kept on the way."""
        text = self._read_line()
        while literal := _LITERAL.search(text):
            size = int(literal[1])
            while len(self._buffer) < size:
                self._fill()
            text += bytes(self._buffer[:size])
            del self._buffer[:size]
            text += self._read_line()
        try:
            status = _STATUS.fullmatch(text.rstrip(b"\r\n"))
            if status:
                words = [Atom(word) for word in status[3].split(b" ") if word]
                values = [*parse(status[1]), *parse(status[2] or b""), *words]
            else:
                values = parse(text)
        except Malformed as error:
            raise Objection(f"a malformed reply ({error}): {text[:200]!r}") from error
        if not values or (tag := text_of(values[0])) is None:
            raise Objection(f"a reply without a tag: {text[:200]!r}")
        reply = Reply(tag, values[1:])
        if tag == b"*":
            self._keep_book(reply)
        elif tag in self._selecting:
            chosen = self._selecting.pop(tag)
            self._mailbox = chosen if reply.word == b"OK" else None
            if reply.word == b"OK" and chosen and (text_of(reply.values[1]) or b"").upper() == b"[READ-ONLY]":
                self._mailbox = (chosen[0], True)
        return reply

    # --- commands --------------------------------------------------------------------------------------------------

    def tag(self) -> bytes:
        self._count += 1
        return b"%d.%d" % (self.number + 1, self._count)

    def send(self, text: bytes) -> tuple[bytes, list[Reply]]:
        """Send a command whose literals stand inline; its tag, and what came while a `+` was waited for."""
        tag = self.tag()
        self._note(tag, text)
        seen: list[Reply] = []
        rest = b"%b %b" % (tag, text)
        out = b""
        while literal := _SENT_LITERAL.search(rest):
            size = int(literal[2])
            plus = b"LITERAL+" in self.capabilities
            out += rest[: literal.start()] + b"%b{%d%b}\r\n" % (literal[1], size, b"+" if plus else b"")
            if not plus:
                self._socket.sendall(out)
                out = b""
                while not seen or seen[-1].tag != b"+":
                    seen.append(self.read())
                    if seen[-1].tag == tag:
                        return tag, seen
                seen.pop()
            out += rest[literal.end() : literal.end() + size]
            rest = rest[literal.end() + size :]
        self._socket.sendall(out + rest + b"\r\n")
        return tag, seen

    def run(self, text: bytes) -> list[Reply]:
        """Send a command and read to its end; the last reply is the tagged one."""
        tag, replies = self.send(text)
        while not replies or replies[-1].tag != tag:
            replies.append(self.read())
        return replies

    def learn_capabilities(self, values: list[Value]) -> bool:
        """From `CAPABILITY …` or `OK [CAPABILITY …]`."""
        words = [(text_of(value) or b"").upper() for value in values]
        for place, word in enumerate(words):
            if word.strip(b"[") == b"CAPABILITY":
                known = []
                for name in words[place + 1 :]:
                    known.append(name.rstrip(b"]"))
                    if name.endswith(b"]"):
                        break
                self.capabilities = frozenset(known)
                return True
        return False

    # --- the book --------------------------------------------------------------------------------------------------

    def _note(self, tag: bytes, text: bytes) -> None:
        words = parse(text) if text.split(b" ")[0].upper() in (b"SELECT", b"EXAMINE") else []
        name = text_of(words[1]) if len(words) > 1 else None
        if name is not None:
            self._selecting[tag] = (name, text[:1].upper() == b"E")
            self._forget()
        elif text.upper() in (b"CLOSE", b"UNSELECT"):
            self._selecting[tag] = None

    def _forget(self) -> None:
        self.uids = []
        self._mailbox = None
        self._uidvalidity = 0

    def _keep_book(self, reply: Reply) -> None:
        word, values = reply.word, reply.values
        if word == b"BYE":
            self.bye = True
        elif word == b"CAPABILITY":
            self.learn_capabilities(values)
        elif word == b"OK" and len(values) > 2 and (text_of(values[1]) or b"").upper() == b"[UIDVALIDITY":
            self._uidvalidity = int((text_of(values[2]) or b"0").rstrip(b"]"))
        elif word.isdigit() and len(values) > 1:
            number, kind = int(word), (text_of(values[1]) or b"").upper()
            if kind == b"EXISTS":
                if number < len(self.uids):
                    raise Objection(f"{len(self.uids)} messages became {number} without EXPUNGE")
                self.uids += [None] * (number - len(self.uids))
            elif kind == b"EXPUNGE":
                if not 1 <= number <= len(self.uids):
                    raise Objection(f"EXPUNGE of {number} while there are {len(self.uids)} messages")
                del self.uids[number - 1]
            elif kind == b"FETCH" and len(values) > 2 and isinstance(values[2], List):
                self._fetched(number, values[2])

    def _fetched(self, seq: int, items: List) -> None:
        if not 1 <= seq <= len(self.uids):
            raise Objection(f"FETCH of {seq} while there are {len(self.uids)} messages")
        names = [(text_of(name) or b"").upper() for name in items.items[::2]]
        pairs = dict(zip(names, items.items[1::2], strict=False))
        uid_value = pairs.get(b"UID")
        if uid_value is not None:
            uid = int(text_of(uid_value) or b"0")
            known = self.uids[seq - 1]
            if known is not None and known != uid:
                raise Objection(f"message {seq} had UID {known}, and now {uid}")
            before = [other for other in self.uids[: seq - 1] if other is not None]
            after = [other for other in self.uids[seq:] if other is not None]
            if (before and before[-1] >= uid) or (after and after[0] <= uid):
                raise Objection(f"UID {uid} of message {seq} is out of order")
            self.uids[seq - 1] = uid
        flags = pairs.get(b"FLAGS")
        uid_now = self.uids[seq - 1]
        if isinstance(flags, List) and uid_now is not None and self._mailbox and not self._mailbox[1]:
            names = {(text_of(flag) or b"").upper() for flag in flags.items}
            if b"\\RECENT" in names:
                key = (self._mailbox[0].upper(), self._uidvalidity, uid_now)
                owner = self._shared.recent.setdefault(key, self.number)
                if owner != self.number:
                    raise Objection(f"\\Recent of UID {uid_now} went to connections {owner + 1} and {self.number + 1}")


def quoted(text: str) -> bytes:
    """A string for a command."""
    return b'"%b"' % text.replace("\\", "\\\\").replace('"', '\\"').encode()


__all__ = ["Connection", "Gone", "Objection", "Reply", "Shared", "String", "quoted"]
