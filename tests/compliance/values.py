"""The values that IMAP responses and scripted cases are made of, and one lenient parser for both.

The parser takes what servers really send: an atom is everything up to a blank, a closing parenthesis of an open list,
or the end of the line. `BODY[HEADER.FIELDS (DATE)]` thus becomes an atom, a list and an atom, in the script as well as
in the response, and compares equal.
"""

import re
from dataclasses import dataclass, field


@dataclass(slots=True)
class Nil:
    """NIL; its text still counts where any string may stand."""

    text: bytes = b"NIL"


@dataclass(slots=True)
class Atom:
    text: bytes


@dataclass(slots=True)
class String:
    """Quoted or literal."""

    text: bytes
    literal: bool = False


@dataclass(slots=True)
class List:
    items: list["Value"] = field(default_factory=list)


Value = Nil | Atom | String | List


class Malformed(Exception):
    """Not a line of IMAP values."""


_ATOM = re.compile(rb"[^ \r\n]+")
_ATOM_IN_LIST = re.compile(rb"[^ \r\n)]+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL = re.compile(rb"~?\{(\d+)\+?\}\r?\n")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def parse(line: bytes) -> list[Value]:
    """All values of a line; literals follow their announcement inline."""
    root = List()
    open_lists = [root]
    place, end = 0, len(line)
    while place < end:
        char = line[place : place + 1]
        if char in b" \r\n":
            place += 1
        elif char == b"(":
            inner = List()
            open_lists[-1].items.append(inner)
            open_lists.append(inner)
            place += 1
        elif char == b")" and len(open_lists) > 1:
            open_lists.pop()
            place += 1
        elif char == b'"':
            quoted = _QUOTED.match(line, place)
            if quoted is None:
                raise Malformed(f"a quoted string does not end: {line[place:place + 60]!r}")
            open_lists[-1].items.append(String(_ESCAPE.sub(rb"\1", quoted[1])))
            place = quoted.end()
        elif literal := _LITERAL.match(line, place):
            stop = literal.end() + int(literal[1])
            if stop > end:
                raise Malformed("a literal is shorter than announced")
            open_lists[-1].items.append(String(line[literal.end() : stop], True))
            place = stop
        else:
            atom = (_ATOM_IN_LIST if len(open_lists) > 1 else _ATOM).match(line, place)
            assert atom is not None
            text = atom[0]
            open_lists[-1].items.append(Nil(text) if text.upper() == b"NIL" else Atom(text))
            place = atom.end()
    if len(open_lists) > 1:
        raise Malformed(f"a list does not end: {line[:60]!r}")
    return root.items


def text_of(value: Value) -> bytes | None:
    """The text of anything but a list."""
    return None if isinstance(value, List) else value.text


def render(values: list[Value]) -> str:
    """For people."""
    out = []
    for value in values:
        if isinstance(value, List):
            out.append(f"({render(value.items)})")
        elif isinstance(value, String):
            text = value.text.decode("utf-8", "backslashreplace")
            out.append("{" + str(len(value.text)) + "}" + repr(text) if value.literal else f'"{text}"')
        else:
            out.append(value.text.decode("utf-8", "backslashreplace"))
    return " ".join(out)
