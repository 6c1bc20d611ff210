"""The `subscriptions` file, as Dovecot keeps it in the mail store's root.

Version 2 begins with the line `V<tab>2` and an empty line and holds a name's levels separated by tabs, with tab, CR, LF
and \\001 escaped by \\001; without that head a line is a name with the layout's own separator. The form that is found
is kept; a new file gets version 2. Names are without the account's prefix.

Changes are made under `subscriptions.lock`. In Dovecot the lock is the draft of the new file and says nothing of its
process; so a lock without a process in it is stale after 30 s.
"""

import os

from ..model.errors import Kind, MailError
from . import durable
from .locking import DotLock

NAME = b"subscriptions"
_HEAD = b"V\t2\n\n"
_ESCAPES = ((b"\1", b"\0011"), (b"\t", b"\1t"), (b"\r", b"\1r"), (b"\n", b"\1n"))
_STALE = 30.0

Parts = tuple[bytes, ...]


def _escaped(part: bytes) -> bytes:
    for plain, escape in _ESCAPES:
        part = part.replace(plain, escape)
    return part


def _plain(text: bytes) -> bytes:
    for plain, escape in reversed(_ESCAPES):
        text = text.replace(escape, plain)
    return text


def parse(data: bytes, separator: bytes) -> tuple[int, list[Parts]]:
    """(version, names in the file's order, each once)."""
    version = 2 if data.startswith(_HEAD) else 1
    lines = data[len(_HEAD) :].split(b"\n") if version == 2 else data.split(b"\n")
    if version == 2:
        names = [tuple(_plain(part) for part in line.split(b"\t")) for line in lines if line]
    else:
        names = [tuple(line.split(separator)) for line in lines if line]
    return version, list(dict.fromkeys(names))


def render(version: int, names: list[Parts], separator: bytes) -> bytes:
    """The file."""
    if version == 2:
        return _HEAD + b"".join(b"\t".join(map(_escaped, parts)) + b"\n" for parts in names)
    return b"".join(separator.join(parts) + b"\n" for parts in names)


class Subscriptions:
    """The file of one account; `separator` is the layout's own, `.` or `/`."""

    def __init__(self, root: bytes, mode: int, separator: bytes) -> None:
        self.path = os.path.join(root, NAME)
        self._mode = mode
        self._separator = separator
        self._lock = DotLock(self.path + b".lock", self.path, _STALE)

    def exists(self) -> bool:
        """Whether anybody ever subscribed to something here."""
        return os.path.lexists(self.path)

    def names(self) -> list[Parts]:
        """Subscribed names in levels."""
        return parse(self._data() or b"", self._separator)[1]

    def _data(self) -> bytes | None:
        try:
            with open(self.path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def change(self, parts: Parts, on: bool) -> None:
        """Add or remove a name, durably."""
        with self._lock.held():
            data = self._data()
            version, names = parse(_HEAD if data is None else data, self._separator)
            if version == 1 and any(self._separator in part or b"\n" in part for part in parts):
                raise MailError(Kind.CANNOT, "The subscriptions file cannot hold this name")
            if on and parts not in names:
                names = [*names, parts]
            elif not on and parts in names:
                names = [name for name in names if name != parts]
            elif data is not None:
                return
            durable.replace(self.path, render(version, names, self._separator), self._mode, "subscriptions")
