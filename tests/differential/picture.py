"""What an IMAP or POP3 client can see of a user's mail, as plain values that can be compared."""

import datetime
import poplib
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.compliance.connection import Connection, Reply, Shared, quoted
from tests.compliance.values import List, Value, text_of


@dataclass
class Seen:
    """One message."""

    flags: frozenset[str]
    internaldate: datetime.datetime
    size: int
    text: bytes
    envelope: str = ""
    structure: str = ""


@dataclass
class Mailbox:
    uidvalidity: int
    uidnext: int
    messages: dict[int, Seen] = field(default_factory=dict)


class Client:
    """A logged-in IMAP client; use it in a `with`."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.connection = Connection(0, "127.0.0.1", port, Shared())
        self.connection.learn_capabilities(self.connection.read().values)
        self.ok(b"LOGIN %b %b" % (quoted(user), quoted(password)))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.run(b"LOGOUT")
        self.connection.close()

    def ok(self, command: bytes) -> list[Reply]:
        """Run a command that must succeed; its untagged replies."""
        *replies, last = self.connection.run(command)
        assert last.word == b"OK", (command[:80], last)
        return [reply for reply in replies if reply.tag == b"*"]

    def append(self, name: str, message: bytes, flags: str = "", date: str = "") -> None:
        message = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        when = b' "%b"' % date.encode() if date else b""
        self.ok(b"APPEND %b (%b)%b {%d}\r\n%b" % (quoted(name), flags.encode(), when, len(message), message))

    def names(self, command: str = "LIST") -> list[str]:
        """Selectable mailboxes (or subscriptions), sorted."""
        found = []
        for reply in self.ok(command.encode() + b' "" *'):
            if reply.word == command.encode():
                attributes, name = reply.values[1], text_of(reply.values[3]) or b""
                assert isinstance(attributes, List)
                if not {word(flag) for flag in attributes.items} & {"\\NOSELECT", "\\NONEXISTENT"}:
                    found.append(name.decode())
        return sorted(found)

    def mailbox(self, name: str, *, structure: bool = False) -> Mailbox:
        """Everything in a mailbox, looked at read-only."""
        codes = {}
        for reply in self.ok(b"EXAMINE " + quoted(name)):
            if reply.word == b"OK" and len(reply.values) > 2:
                codes[word(reply.values[1]).strip("[")] = (text_of(reply.values[2]) or b"").rstrip(b"]")
        seen = Mailbox(int(codes["UIDVALIDITY"]), int(codes["UIDNEXT"]))
        more = b" ENVELOPE BODYSTRUCTURE" if structure else b""
        if self.connection.uids:
            replies = self.ok(b"UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE%b BODY.PEEK[])" % more)
            for row in fetched(replies):
                seen.messages[int(text_of(row["UID"]) or 0)] = Seen(
                    frozenset(flags_of(row["FLAGS"])),
                    instant((text_of(row["INTERNALDATE"]) or b"").decode()),
                    int(text_of(row["RFC822.SIZE"]) or 0),
                    text_of(row["BODY[]"]) or b"",
                    canonical(row["ENVELOPE"]) if structure else "",
                    canonical(row["BODYSTRUCTURE"]) if structure else "",
                )
        self.ok(b"CLOSE")
        return seen

    def everything(self) -> dict[str, Mailbox]:
        """All mailboxes of the user."""
        return {name: self.mailbox(name) for name in self.names()}


def fetched(replies: list[Reply]) -> Iterator[dict[str, Value]]:
    """The FETCH responses: item names to values."""
    for reply in replies:
        if len(reply.values) > 2 and word(reply.values[1]) == "FETCH":
            row = reply.values[2]
            assert isinstance(row, List)
            yield {word(name): value for name, value in zip(row.items[::2], row.items[1::2], strict=True)}


def instant(text: str) -> datetime.datetime:
    """A moment; servers may write it in any time zone, and the day with a blank or a nought (RFC 3501 9)."""
    return datetime.datetime.strptime(text.strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(datetime.UTC)


def word(value: Value) -> str:
    return (text_of(value) or b"").decode().upper()


def flags_of(flags: Value) -> list[str]:
    """All but \\Recent, which belongs to a session."""
    assert isinstance(flags, List)
    return [(text_of(flag) or b"").decode() for flag in flags.items if word(flag) != "\\RECENT"]


def canonical(value: Value) -> str:
    """One spelling for values that mean the same: quoted or literal, NIL and media types in any case."""
    if isinstance(value, List):
        return "(" + " ".join(canonical(item) for item in value.items) + ")"
    return (text_of(value) or b"").decode("utf-8", "backslashreplace").lower()


def uidls(port: int, user: str, password: str) -> list[tuple[str, int]]:
    """(UIDL, size) of every message, in POP3's order."""
    client = poplib.POP3("127.0.0.1", port)
    client.user(user)
    client.pass_(password)
    ids = [line.split()[1].decode() for line in client.uidl()[1]]
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    client.quit()
    return list(zip(ids, sizes, strict=True))


def everything(port: int, user: str, password: str) -> dict[str, Mailbox]:
    """All mailboxes of a user."""
    with Client(port, user, password) as client:
        return client.everything()
