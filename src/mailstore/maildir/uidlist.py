"""The file `dovecot-uidlist`: which message has which UID, and the folder's UIDVALIDITY, next UID and GUID.

Rules that keep it right:
1. Everything that writes holds `dovecot-uidlist.lock`. UIDs are appended in one write and synced; the whole file is
   only ever replaced by rename. So a reader needs no lock, and what was read once stays true while inode and beginning
   are the same: only the tail is read again.
2. The real next UID is the larger of N and the last record's successor, since appending leaves the header alone.
3. Keys nobody here knows, and names as they were written, survive a rewrite.
4. A damaged file is mended from what can be read; UIDVALIDITY is kept while any record tells that it still holds, and
   UIDs that may have been given out are not given out again.
"""

import os
import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import lt

from ...model.errors import Kind, MailError
from ...model.store import FolderHeader, Pop3Names
from .. import durable
from . import uidlist_text as text
from .names import base_of
from .uidlist_text import MAX_UID, Contents, Header, Row

NAME = b"dovecot-uidlist"
_SKIP = 1 << 16
"""UIDs left out when records were lost whose number nobody knows."""
_FEW = 24
"""Up to so many names are looked up by searching the text instead of parsing all of it."""

_Key = tuple[int, int, int]
"""Inode, size and mtime."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the file as it was when its first `size` octets were read."""

    inode: int
    size: int
    mtime: int
    header: Header
    last: int
    count: int
    tail: bytes
    """The last octets read, to tell that the file was only appended to."""

    def shows(self, state: os.stat_result) -> bool:
        """The file has not changed since."""
        return (self.inode, self.size, self.mtime) == _key(state)

    @property
    def uidnext(self) -> int:
        """See rule 2."""
        return max(self.header.uidnext, self.last + 1)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a uidlist gets what it cannot know itself."""

    new_uidvalidity: Callable[[int], int]
    """A value above the given one that was never used."""
    remembered: Callable[[], Header | None]
    """What another file of the folder remembers of the header."""
    present: Callable[[], Collection[bytes]]
    """Bases of the messages in the folder."""
    report: Callable[[str, str, str], None]


class UidList:
    """The file of one folder. `peek` needs no lock, all else does."""

    def __init__(self, directory: bytes, mode: int, origin: Origin) -> None:
        self.path = os.path.join(directory, NAME)
        self._mode = mode
        self._origin = origin
        self._known: _Known | None = None
        self._peeked: tuple[_Key, FolderHeader | None] | None = None
        self._names: tuple[_Key, Pop3Names] | None = None
        self._busy = threading.Lock()

    # -- without the lock --

    def peek(self) -> FolderHeader | None:
        """The folder's identity, or None when the file is missing or a rewrite is due. One stat call when the file is
        the one that was looked at last."""
        try:
            key = _key(os.stat(self.path))
            seen = self._peeked
            if seen is None or seen[0] != key:
                seen = self._peeked = self._look()
        except FileNotFoundError:
            return None
        return seen[1]

    def _look(self) -> tuple[_Key, FolderHeader | None]:
        """Head and tail tell enough while nothing is damaged between them."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            state = os.fstat(descriptor)
            header = text.parse_header(os.pread(descriptor, 4096, 0).partition(b"\n")[0])
            last = _last_uid(descriptor, state.st_size) if header.whole else None
        finally:
            os.close(descriptor)
        if last is None:
            return _key(state), None
        return _key(state), _identity(header, max(header.uidnext, last + 1))

    def pop3_names(self) -> Pop3Names:
        """`P` and `O` of the records."""
        try:
            key = _key(os.stat(self.path))
            names = self._names
            if names is None or names[0] != key:
                with open(self.path, "rb") as file:
                    names = self._names = (key, text.pop3_names(file.read()))
        except FileNotFoundError:
            return Pop3Names({}, {})
        return names[1]

    # -- under the lock --

    @property
    def header(self) -> FolderHeader:
        """After `load`."""
        known = self._loaded()
        return _identity(known.header, known.uidnext)

    @property
    def count(self) -> int:
        """How many records there are, those of messages that are gone included."""
        return self._loaded().count

    def _loaded(self) -> _Known:
        if self._known is None:
            raise MailError(Kind.UNAVAILABLE, "The mailbox's UID list cannot be read")
        return self._known

    def load(self) -> None:
        """Know the file as it is now; make it when it is missing, mend it when it is damaged."""
        with self._busy:
            try:
                state = os.stat(self.path)
            except FileNotFoundError:
                self._write(self._completed(Contents(Header(), [])))
                return
            known = self._known
            if known is not None and known.shows(state):
                return
            if known is not None and known.inode == state.st_ino and known.size < state.st_size:
                grown = self._read_tail(known, state)
                if grown is not None:
                    self._known = grown
                    return
            self._read_all()

    def _read_tail(self, known: _Known, state: os.stat_result) -> _Known | None:
        start = known.size - len(known.tail)
        with open(self.path, "rb") as file:
            file.seek(start)
            data = file.read(state.st_size - start)
        added = data[len(known.tail) :]
        if not data.startswith(known.tail) or not added.endswith(b"\n"):
            return None
        rows, bad = text.read_rows(added, 3)
        uids = [known.last, *(int(row[0]) for row in rows)]
        if bad or not all(map(lt, uids, islice(uids, 1, None))) or uids[-1] > MAX_UID:
            return None
        count = known.count + len(rows)
        return _Known(
            known.inode, start + len(data), state.st_mtime_ns, known.header, uids[-1], count, data[-64:]
        )

    def _read_all(self) -> None:
        with open(self.path, "rb") as file:
            state = os.fstat(file.fileno())
            data = file.read()
        contents = text.parse(data, self._origin.present)
        remembered = self._origin.remembered()
        if remembered is not None and remembered.uidvalidity == contents.header.uidvalidity:
            reached = max(contents.header.uidnext, contents.last + 1)
            if reached < remembered.uidnext:
                contents.problems.append(f"UIDs from {reached} to {remembered.uidnext - 1} are missing")
                contents.lost = True
        spent = max(contents.header.uidnext, contents.last + 1) > MAX_UID - 2 * _SKIP
        if contents.header.whole and not contents.problems and not spent:
            self._known = _known(state, contents, data)
            return
        if contents.problems:
            self._origin.report("uidlist-repaired", os.fsdecode(self.path), "; ".join(contents.problems))
        self._write(self._completed(contents))

    def _completed(self, contents: Contents) -> Contents:
        """Fill what the header lacks; rule 4. A new UIDVALIDITY comes with a new GUID."""
        header, rows = contents.header, contents.rows
        remembered = self._origin.remembered() or Header()
        uidvalidity, uidnext = header.uidvalidity, max(header.uidnext, contents.last + 1)
        if not uidvalidity and rows:
            uidvalidity = remembered.uidvalidity
        if uidvalidity and uidvalidity == remembered.uidvalidity:
            uidnext = max(uidnext, remembered.uidnext)
        else:
            remembered = Header(uidvalidity=remembered.uidvalidity)
        if contents.lost:
            uidnext += _SKIP
        guid = header.guid or remembered.guid
        if not uidvalidity or uidnext > MAX_UID - 2 * _SKIP:
            uidvalidity = self._origin.new_uidvalidity(max(uidvalidity, remembered.uidvalidity))
            rows = [(b"%d" % uid, *row[1:]) for uid, row in enumerate(rows, 1)]
            uidnext, guid = len(rows) + 1, ""
        return Contents(Header(3, uidvalidity, uidnext, guid or secrets.token_hex(16), header.others), rows)

    def _write(self, contents: Contents) -> None:
        data = text.render(contents.header, contents.rows)
        self._known = None
        durable.replace(self.path, data, self._mode, "uidlist")
        self._known = _known(os.stat(self.path), contents, data)

    def find(self, names: Sequence[bytes]) -> dict[bytes, int]:
        """UIDs of those of these names or locators that have one."""
        known = self._loaded()
        if known.count == 0 or not names:
            return {}
        with open(self.path, "rb") as file:
            data = file.read(known.size)
        if len(names) > _FEW:
            uids = text.all_uids(data)
            return {name: uid for name in names if (uid := uids.get(base_of(name)))}
        return {name: uid for name in names if (uid := text.search(data, base_of(name)))}

    def uid_map(self) -> dict[bytes, int]:
        """Base to UID."""
        with open(self.path, "rb") as file:
            return text.all_uids(file.read(self._loaded().size))

    def append(self, names: Sequence[bytes]) -> list[int]:
        """New UIDs for these file names, durable."""
        known = self._loaded()
        first = known.uidnext
        if first + len(names) > MAX_UID:
            raise MailError(Kind.LIMIT, "The mailbox has no UIDs left")
        if not names:
            return []
        data = b"".join(b"%d :%s\n" % (uid, name.partition(b":")[0]) for uid, name in enumerate(names, first))
        self._known = None
        state = durable.append(self.path, data, known.size, "uidlist")
        if state.st_ino != known.inode or state.st_size != known.size + len(data):
            raise MailError(Kind.UNAVAILABLE, "Another program changed the mailbox's UID list without its lock")
        last = first + len(names) - 1
        tail = (known.tail + data)[-64:]
        self._known = _Known(
            known.inode, state.st_size, state.st_mtime_ns, known.header, last, known.count + len(names), tail
        )
        return list(range(first, last + 1))

    def rewrite(self, change: Callable[[Row], Row | None], *, raise_next: int = 0) -> None:
        """Replace the file by one with each record changed, or left out where `change` gives None."""
        known = self._loaded()
        with open(self.path, "rb") as file:
            contents = text.parse(file.read(known.size))
        rows = [row for old in contents.rows if (row := change(old)) is not None]
        old = known.header
        uidnext = max(known.uidnext, raise_next)
        self._write(Contents(Header(3, old.uidvalidity, uidnext, old.guid, old.others), rows))


def _key(state: os.stat_result) -> _Key:
    return state.st_ino, state.st_size, state.st_mtime_ns


def _known(state: os.stat_result, contents: Contents, data: bytes) -> _Known:
    header, count = contents.header, len(contents.rows)
    return _Known(state.st_ino, len(data), state.st_mtime_ns, header, contents.last, count, data[-64:])


def _identity(header: Header, uidnext: int) -> FolderHeader:
    pop3 = next((word[1:] for word in header.others if word[:1] == b"P"), None)
    return FolderHeader(header.uidvalidity, uidnext, header.guid, os.fsdecode(pop3) if pop3 else None)


def _last_uid(descriptor: int, size: int) -> int | None:
    """The UID in the last whole line, 0 when there is only the header; None when that is no record."""
    start = max(0, size - 4096)
    end = os.pread(descriptor, size - start, start)
    lines = end[: end.rfind(b"\n")].split(b"\n")
    if start == 0 and len(lines) < 2:
        return 0
    if not end.endswith(b"\n"):
        return None
    rows, _ = text.read_rows(lines[-1], 3)
    return int(rows[0][0]) if rows else None
