"""`dovecot-keywords`: names of the keyword letters a to z, one `<number> <name>` per line.

Rules that keep it right:
1. It is written under the uidlist's lock and replaced by rename; its mtime grows by whole seconds, since Dovecot looks
   at nothing else to see that it changed.
2. A number keeps its name; a new name takes the number after the last, and a gap only when z is taken.
3. Names are compared without regard to case.
"""

import os
import time
from collections.abc import Sequence

from .. import durable
from .names import LETTERS

NAME = b"dovecot-keywords"
_State = tuple[int, int, int]


def parse(data: bytes) -> tuple[str, ...]:
    """Names by number, "" for a number without one; lines that make no sense are passed over (as in Dovecot)."""
    names = [""] * LETTERS
    seen: set[bytes] = set()
    for line in data.split(b"\n"):
        number, _, name = line.partition(b" ")
        if not number.isdigit() or len(number) > 3 or int(number) >= LETTERS or not name or name.lower() in seen:
            continue
        seen.add(name.lower())
        names[int(number)] = os.fsdecode(name)
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def render(names: Sequence[str]) -> bytes:
    """The file."""
    return b"".join(b"%d %s\n" % (number, os.fsencode(name)) for number, name in enumerate(names) if name)


def place(names: list[str], name: str, room: int = LETTERS) -> int | None:
    """The number of `name`, which is added to `names` when it is new; None when there is no room."""
    folded = name.lower()
    for number, known in enumerate(names):
        if known and known.lower() == folded:
            return number
    if len(names) < room:
        names.append(name)
        return len(names) - 1
    for number, known in enumerate(names):
        if not known:
            names[number] = name
            return number
    return None


class KeywordFile:
    """The file of one folder, read again when it changed."""

    def __init__(self, directory: bytes, mode: int) -> None:
        self.path = os.path.join(directory, NAME)
        self._mode = mode
        self._read: tuple[_State, tuple[str, ...]] | None = None

    def names(self) -> tuple[str, ...]:
        """Needs no lock."""
        try:
            state = os.stat(self.path)
        except FileNotFoundError:
            return ()
        key = (state.st_ino, state.st_size, state.st_mtime_ns)
        if self._read is None or self._read[0] != key:
            with open(self.path, "rb") as file:
                self._read = (key, parse(file.read()))
        return self._read[1]

    def write(self, names: Sequence[str]) -> None:
        """Under the uidlist's lock."""
        self._read = None
        durable.replace(self.path, render(names), self._mode, "keywords", mtime=_later(self.path))


def _later(path: bytes) -> int | None:
    """An mtime that differs from the present file's by at least a second; None: the time of day does."""
    try:
        old = int(os.stat(path).st_mtime)
    except FileNotFoundError:
        return None
    return old + 1 if old >= int(time.time()) else None
