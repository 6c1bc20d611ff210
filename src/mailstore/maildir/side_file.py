"""`culverhouse-mailbox`: what a mailbox has that no file of Dovecot's can hold, as JSON with a version.

    {"version": 1, "special_use": ["\\\\Sent"], "keywords": {"names": [...], "messages": {"<base>": [26, 30]}}}

`names` are the keywords from number 26 on, `messages` the numbers each message has of them.

Rules that keep it right:
1. It is written under the uidlist's lock and replaced by rename; fields that this version does not know survive.
2. A file of a later version is read as far as it is understood, and never written.
3. A damaged file is moved aside and reported; the mailbox lives on without it.
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...model.errors import Kind, MailError
from ...model.flags import KEYWORD_SHIFT, MAX_KEYWORDS
from .. import durable
from .names import LETTERS

NAME = b"culverhouse-mailbox"
VERSION = 1
ROOM = MAX_KEYWORDS - LETTERS
"""Keywords that can live here."""


@dataclass(frozen=True, slots=True)
class Side:
    """The file's content."""

    special_use: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    flags: Mapping[bytes, int] = field(default_factory=dict)
    """Base to the mask of its keywords from number 26 on."""
    rest: Mapping[str, Any] = field(default_factory=dict)
    """Fields of this or a later version that are kept as they are."""
    version: int = VERSION


EMPTY = Side()


def parse(data: bytes) -> Side:
    """ValueError when it is damaged."""
    try:
        content = json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict) or not isinstance(content.get("version"), int):
        raise ValueError("not an object with a version")
    special_use = _strings(content.get("special_use"))
    keywords = content.get("keywords")
    names: tuple[str, ...] = ()
    flags: dict[bytes, int] = {}
    if isinstance(keywords, dict):
        names = _strings(keywords.get("names"))[:ROOM]
        messages = keywords.get("messages")
        if isinstance(messages, dict):
            flags = {os.fsencode(base): mask for base, numbers in messages.items() if (mask := _mask(numbers))}
    rest = {key: value for key, value in content.items() if key not in ("version", "special_use", "keywords")}
    return Side(special_use, names, flags, rest, content["version"])


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _mask(numbers: Any) -> int:
    mask = 0
    if isinstance(numbers, list):
        for number in numbers:
            if isinstance(number, int) and LETTERS <= number < MAX_KEYWORDS:
                mask |= 1 << (KEYWORD_SHIFT + number)
    return mask


def render(side: Side) -> bytes:
    """The file."""
    content: dict[str, Any] = {"version": VERSION, **side.rest}
    if side.special_use:
        content["special_use"] = list(side.special_use)
    if side.names:
        messages = {
            os.fsdecode(base): [n for n in range(LETTERS, MAX_KEYWORDS) if mask >> (KEYWORD_SHIFT + n) & 1]
            for base, mask in side.flags.items()
            if mask
        }
        content["keywords"] = {"names": list(side.names), "messages": messages}
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


class SideFile:
    """The file of one folder, read again when it changed."""

    def __init__(self, directory: bytes, mode: int, report: Callable[[str, str, str], None]) -> None:
        self.path = os.path.join(directory, NAME)
        self._mode = mode
        self._report = report
        self._read: tuple[tuple[int, int, int], Side] | None = None

    def load(self) -> Side:
        """Needs no lock."""
        try:
            state = os.stat(self.path)
        except FileNotFoundError:
            return EMPTY
        key = (state.st_ino, state.st_size, state.st_mtime_ns)
        if self._read is None or self._read[0] != key:
            with open(self.path, "rb") as file:
                data = file.read()
            try:
                side = parse(data)
            except ValueError as error:
                self._set_aside(str(error))
                return EMPTY
            self._read = (key, side)
        return self._read[1]

    def write(self, side: Side) -> None:
        """Under the uidlist's lock."""
        if side.version > VERSION:
            raise MailError(Kind.CANNOT, "The mailbox was last changed by a newer version of this server")
        self._read = None
        durable.replace(self.path, render(side), self._mode, "side-file")

    def _set_aside(self, reason: str) -> None:
        with contextlib.suppress(OSError):
            durable.rename(self.path, self.path + b".damaged", "side-file-aside")
        self._report("side-file-damaged", os.fsdecode(self.path), reason)


def placed(flags: Mapping[bytes, int], changes: Sequence[tuple[bytes, int]]) -> dict[bytes, int]:
    """`flags` with these bases set to these masks."""
    changed = dict(flags)
    for base, mask in changes:
        if mask:
            changed[base] = mask
        else:
            changed.pop(base, None)
    return changed
