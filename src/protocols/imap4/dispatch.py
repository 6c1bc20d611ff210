"""Finds the command that a line begins. Tag and name are all that is looked at, so that a command can be named before
it is complete (a literal is announced) and when it never will be (it is too long)."""

from dataclasses import dataclass

from .command import Command, State
from .commands import COMMANDS
from .reader import TAG

_TABLE = {command.name.encode("ascii"): command for command in COMMANDS}

_OTHER_PROTOCOLS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"PRI", b"EHLO", b"HELO"))
_PRINTABLE = frozenset((None, 10, 13, *range(32, 127)))


@dataclass(frozen=True, slots=True)
class Named:
    """A command that can be given now; its arguments start at `start`."""

    tag: bytes
    command: Command
    start: int


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Why there is no command, and under which tag to say so. `alien`: this is the begin of another protocol."""

    tag: bytes
    reason: str
    alien: bool = False


def named(text: bytes, state: State) -> Named | Unnamed:
    """tag SP command-name [SP …]"""
    tag = tag_of(text)
    if tag is None:
        return Unnamed(b"*", "Expected a tag and a command", _alien(text[:8].split(b" ")[0], state))
    start = len(tag) + 1
    name, _, rest = text[start : start + 64].partition(b" ")
    end = start + len(name)
    name = name.upper()
    if name == b"UID":
        second = rest.partition(b" ")[0]
        name = b"UID " + second.upper()
        end += 1 + len(second)
    command = _TABLE.get(name)
    if command is None:
        alien = _alien(tag, state)
        return Unnamed(b"*" if alien else tag, "There is no such command", alien)
    if not command.states & state:
        return Unnamed(tag, _needed(command.states, state))
    return Named(tag, command, end + 1 if text.startswith(b" ", end) else end)


def tag_of(text: bytes) -> bytes | None:
    """The tag in front of a line's first space."""
    match = TAG.match(text)
    return match[0] if match is not None and text.startswith(b" ", match.end()) else None


def can_begin(octet: int | None) -> bool:
    """A command, or the empty line, can begin with this octet; a TLS handshake cannot."""
    return octet in _PRINTABLE


def _alien(word: bytes, state: State) -> bool:
    return state is State.NOT_AUTHENTICATED and word.upper() in _OTHER_PROTOCOLS


def _needed(wanted: State, present: State) -> str:
    """Why a command cannot be given now."""
    if present is State.NOT_AUTHENTICATED:
        return "Log in first"
    return "Select a mailbox first" if wanted is State.SELECTED else "You are logged in already"
