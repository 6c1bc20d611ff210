"""Reads one scripted case of imaptest: headers, then groups of commands with the replies they must or must not get.

A group is what is sent together: one command, or several with tags of their own (`tag1 …`). Its untagged replies are
matched without regard to order. Lists in expected replies carry directives (`$!unordered=2` …) in front; where a case
gives none, the defaults for FETCH, FLAGS, LIST, LSUB and STATUS are put there at once, so that matching knows of none.
"""

import enum
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .values import Atom, List, Malformed, Value, parse, text_of

MAX_CONNECTIONS = 100


class BadScript(Exception):
    """The case file itself is wrong."""


class State(enum.IntEnum):
    """How far a case is prepared before its first command."""

    NONAUTH = 0
    AUTH = 1
    CREATED = 2
    APPENDED = 3
    SELECTED = 4


class Existence(enum.Enum):
    MUST = "* "
    MUST_NOT = "! "
    MAY = "? "


@dataclass(slots=True)
class Expected:
    """One untagged reply."""

    existence: Existence
    values: list[Value]


@dataclass(slots=True)
class Command:
    line: int
    """In the file; 0 for the LOGOUT that ends every case."""
    text: bytes
    """Literals inline behind `{n}` CRLF."""
    reply: list[Value] | None
    """The tagged reply's beginning."""
    tag: int = 0


@dataclass(slots=True)
class Group:
    connection: int = 0
    commands: list[Command] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    pause: float = 0.0
    output: list[bytes] = field(default_factory=list)

    @property
    def says_bye(self) -> bool:
        first = [wanted.values[0] for wanted in self.expected if wanted.existence is Existence.MUST and wanted.values]
        return any((text_of(value) or b"").upper() == b"BYE" for value in first)

    @property
    def unanswered(self) -> bool:
        return any(command.reply is None for command in self.commands)


@dataclass(slots=True)
class Case:
    name: str
    path: Path
    mbox: Path
    capabilities: tuple[bytes, ...] = ()
    connections: int = 1
    messages: int | None = 0
    """None: all."""
    state: State = State.SELECTED
    ignore_extra: bool = True
    users: dict[int, str] = field(default_factory=dict)
    """Connection (from 0) to user, as the file writes it."""
    banner: bool = False
    """The first group has no command: it checks the greeting."""
    groups: list[Group] = field(default_factory=list)

    @property
    def base(self) -> bool:
        """Tests the base protocol, not an extension."""
        return not self.capabilities


def find(place: Path) -> list[Path]:
    """The case files of a folder, or the one file."""
    if not place.is_dir():
        return [place]
    return sorted(
        path for path in place.iterdir()
        if path.is_file() and path.suffix != ".mbox" and not path.name.startswith((".", "LICENSE", "README"))
    )  # fmt: skip


def read(path: Path) -> Case:
    """Parse a case file."""
    own = path.with_name(path.name + ".mbox")
    case = Case(path.name, path, own if own.exists() else path.with_name("default.mbox"))
    reader = _Reader(case)
    header = True
    for number, line in _logical_lines(path.read_bytes()):
        try:
            if not line:
                header = False
            elif header:
                _header(case, line.decode())
            else:
                reader.line(number, line)
        except (BadScript, Malformed, ValueError) as error:
            raise BadScript(f"{path}, line {number}: {error}") from error
    if reader.stack:
        raise BadScript(f"{path}: !ifenv without !endif")
    if not case.groups:
        raise BadScript(f"{path}: no commands")
    if case.groups[-1].unanswered:
        raise BadScript(f"{path}: the last command has no reply")
    if not any(group.says_bye or any(c.text.lower() == b"logout" for c in group.commands) for group in case.groups):
        case.groups.append(Group(0, [Command(0, b"logout", [Atom(b"ok")])]))
    return case


def _logical_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with their number; `{{{` … `}}}` became a literal, comments are gone."""
    if not data.endswith(b"\n"):
        raise BadScript("the last line does not end")
    joined, start = b"", 0
    body: list[bytes] | None = None
    binary = False
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        if body is not None:
            if not line.startswith(b"}}}"):
                body.append(line)
                continue
            literal = (b"\n" if binary else b"\r\n").join(body)
            joined += (b"~" if binary else b"") + b"{%d}\r\n" % len(literal) + literal
            line, body = line[3:], None
        else:
            joined, start = b"", number
            if line.startswith(b"#"):
                continue
        if line.endswith(b"{{{"):
            binary = line.endswith(b"~{{{")
            joined += line[: -4 if binary else -3]
            body = []
            continue
        yield start, joined + line
    if body is not None:
        raise BadScript(f"the literal begun in line {start} does not end")


def _header(case: Case, line: str) -> None:
    key, colon, value = line.partition(":")
    key, value = key.strip().lower(), value.strip()
    if not colon:
        raise BadScript("a header is `key: value`")
    if key == "capabilities":
        case.capabilities = tuple(name.encode() for name in value.split())
    elif key == "connections":
        case.connections = 2 if value == "n" else int(value)
        if not 1 <= case.connections <= MAX_CONNECTIONS:
            raise BadScript("too many connections")
    elif key == "ignore_extra_untagged":
        case.ignore_extra = value.startswith("y")
    elif key == "messages":
        case.messages = None if value == "all" else int(value)
    elif key == "state":
        if value.upper() not in State.__members__:
            raise BadScript(f"unknown state {value}")
        case.state = State[value.upper()]
    elif number := re.fullmatch(r"user (\d+)", key):
        case.users[int(number[1]) - 1] = value
    else:
        raise BadScript(f"unknown header {key}")


_REPLY = re.compile(rb'(?:tag(\d+) )?(ok|no|bad|"")(?: |$)', re.IGNORECASE)
_TAG = re.compile(rb"tag(\d+) ", re.IGNORECASE)
_NUMBER = re.compile(rb"(\d+)(?: |$)")


class _Reader:
    """Builds the groups of one case, line by line."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.group: Group | None = None
        self.stack: list[bool] = []
        self.skip = False

    def line(self, number: int, line: bytes) -> None:
        if self._preprocessed(line) or self.skip:
            return
        group = self.group
        if group is not None:
            if line.startswith(b"!sleep "):
                group.pause = _seconds(line[7:].decode())
                return
            if line.startswith(b"!output "):
                group.output.append(line[8:])
                return
            if self._untagged(group, line):
                return
            if group.unanswered and self._reply(group, line):
                return
        self._command(number, line)

    def _preprocessed(self, line: bytes) -> bool:
        words = line.split()
        if words[0] in (b"!ifenv", b"!ifnenv") and len(words) == 2:
            self.stack.append(self.skip)
            if (os.environ.get(words[1].decode()) is None) == (words[0] == b"!ifenv"):
                self.skip = True
        elif line in (b"!else", b"!endif"):
            if not self.stack:
                raise BadScript("no !ifenv before")
            if line == b"!endif":
                self.skip = self.stack.pop()
            elif not self.stack[-1]:
                self.skip = not self.skip
        else:
            return False
        return True

    def _untagged(self, group: Group, line: bytes) -> bool:
        for existence in Existence:
            if line.startswith(existence.value.encode()):
                values = parse(line[2:])
                _direct(values)
                group.expected.append(Expected(existence, values))
                return True
        return False

    def _connection(self, line: bytes) -> tuple[int | None, bytes]:
        if self.case.connections == 1:
            return 0, line
        number = _NUMBER.match(line)
        if number is None:
            return None, line
        return int(number[1]) - 1, line[number.end() :]

    def _reply(self, group: Group, line: bytes) -> bool:
        connection, rest = self._connection(line)
        reply = _REPLY.match(rest)
        if reply is None:
            return False
        if connection != group.connection:
            raise BadScript("a reply on another connection than its command")
        tag = int(reply[1] or 0)
        for command in group.commands:
            if command.tag == tag and command.reply is None:
                command.reply = parse(rest)[1 if tag else 0 :]
                return True
        raise BadScript("a reply without a command")

    def _command(self, number: int, line: bytes) -> None:
        if self.group is None or not self.group.unanswered:
            self.group = Group()
            self.case.groups.append(self.group)
        group = self.group
        connection, rest = self._connection(line)
        if connection is None or not 0 <= connection < MAX_CONNECTIONS:
            raise BadScript("the number of the connection is missing")
        self.case.connections = max(self.case.connections, connection + 1)
        if group.commands and group.connection != connection:
            raise BadScript("commands of one group must use the same connection")
        group.connection = connection
        tag, reply = 0, None
        if tagged := _TAG.match(rest):
            tag, rest = int(tagged[1]), rest[tagged.end() :]
        if found := _REPLY.match(rest):
            reply, rest = [Atom(found[2].strip(b'"'))], rest[found.end() :]
        if not tag and group.commands:
            raise BadScript("the command before has no reply")
        if tag and any(command.tag == tag for command in group.commands):
            raise BadScript("a tag comes twice in a group")
        if not group.commands and self._untagged(group, rest):
            self.case.banner = True
            return
        group.commands.append(Command(number, rest, reply, tag))


def _seconds(text: str) -> float:
    amount, unit = re.fullmatch(r"(\d+) ?(ms|msecs?|s|secs?)?", text.strip()).groups()  # type: ignore[union-attr]
    return int(amount) / (1000 if (unit or "s").startswith("m") else 1)


def _direct(values: list[Value]) -> None:
    """Put the default directives into lists that have none."""
    name = text_of(values[0]) if values else None
    place = 0
    if name is not None and (name[:1] == b"$" or name[:1].isdigit()):
        place = 1
        name = text_of(values[1]) if len(values) > 1 else None
    kind = (name or b"").lower()
    _check_directives(values)
    for index, value in enumerate(values):
        if not isinstance(value, List):
            continue
        directed = _has_directives(value)
        if not directed:
            if kind in (b"list", b"lsub") and index == 1:
                value.items[:0] = [Atom(b"$!unordered")]
            elif (kind == b"status" and index == 2) or (kind == b"fetch" and index == place + 1):
                value.items[:0] = [Atom(b"$!unordered=2")]
        if kind == b"fetch" and index == place + 1:
            _direct_flags(value)
        _check_directives(value.items)


def _direct_flags(fetched: List) -> None:
    before = b""
    for value in fetched.items:
        if isinstance(value, List):
            if before == b"flags" and not _has_directives(value):
                ignored = (b"\\recent", b"$HasAttachment", b"$HasNoAttachment")
                value.items[:0] = [
                    Atom(b"$!unordered"), Atom(b"$!noextra"), *(Atom(b"$!ignore=" + name) for name in ignored)
                ]  # fmt: skip
        else:
            before = value.text.lower()


def _has_directives(value: List) -> bool:
    return bool(value.items) and isinstance(value.items[0], Atom) and value.items[0].text.startswith(b"$!")


_DIRECTIVE = re.compile(rb"\$!(?:ordered|unordered(?:=(\d+))?|noextra|extra|ignore=.*|ban=.*)")


def _check_directives(items: list[Value]) -> None:
    chain, count = 1, 0
    for item in items:
        if not (isinstance(item, Atom) and item.text.startswith(b"$!")):
            break
        known = _DIRECTIVE.fullmatch(item.text)
        if known is None:
            raise BadScript(f"unknown directive {item.text!r}")
        chain = int(known[1] or chain)
        count += 1
    if (len(items) - count) % chain:
        raise BadScript(f"a list whose length is no multiple of {chain}")
    for item in items:
        if isinstance(item, List):
            _check_directives(item.items)
