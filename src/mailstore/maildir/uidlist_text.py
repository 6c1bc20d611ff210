"""The text of `dovecot-uidlist`: reading it whatever its state, and writing it.

Version 3 is read and written, version 1 (also Courier's) is read:

    3 V<uidvalidity> N<next uid> G<32 hex> [<key><value> ...]
    <uid> [<key><value> ...] :<file name>

Pure functions over bytes. Any bytes are read: what is no record is passed over and named as a problem, and what is
returned is in order, each UID and each base once. Keys nobody here knows survive.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import lt

from ...model.store import Pop3Names

MAX_UID = 0xFFFFFFFE
_SLICE = 1 << 18
"""Octets parsed in one C call, so that other threads get their turn."""

RECORD = re.compile(rb"^([1-9][0-9]{0,9})((?: [^ :\n\r][^ \n\r]*)*) :([^,:/\n\r]+)([^/\n\r]*)$", re.MULTILINE)
_RECORD_1 = re.compile(rb"^([1-9][0-9]{0,9})() ([^,:/\n\r]+)([^/\n\r]*)$", re.MULTILINE)
_GUID = re.compile(rb"[0-9a-fA-F]{32}")

Row = tuple[bytes, bytes, bytes, bytes]
"""UID, extensions with a leading blank, base, rest of the file name."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line; 0 or empty for what it does not say."""

    version: int = 3
    uidvalidity: int = 0
    uidnext: int = 0
    guid: str = ""
    others: tuple[bytes, ...] = ()

    @property
    def whole(self) -> bool:
        """Needs no rewrite."""
        return self.version == 3 and self.uidvalidity > 0 and self.uidnext > 0 and bool(self.guid)

    def line(self) -> bytes:
        """As it is written."""
        words = [b"3 V%d N%d G%s" % (self.uidvalidity, self.uidnext, self.guid.encode()), *self.others]
        return b" ".join(words) + b"\n"


@dataclass(slots=True)
class Contents:
    """A uidlist as it could be read."""

    header: Header
    rows: list[Row]
    """Ascending, each UID and each base once."""
    problems: list[str] = field(default_factory=list)
    lost: bool = False
    """Records may be missing at the end."""

    @property
    def last(self) -> int:
        """The highest UID."""
        return int(self.rows[-1][0]) if self.rows else 0


def parse_header(line: bytes) -> Header:
    """What a first line says, as far as it can be understood."""
    words = line.split()
    if words and words[0] == b"1":
        numbers = [_number(word) for word in words[1:3]]
        return Header(1, numbers[0], numbers[1]) if len(numbers) == 2 else Header(1)
    if not words or words[0] != b"3":
        return Header(0)
    uidvalidity = uidnext = 0
    guid, others = "", []
    for word in words[1:]:
        key, value = word[:1], word[1:]
        if key == b"V":
            uidvalidity = _number(value)
        elif key == b"N":
            uidnext = _number(value)
        elif key == b"G":
            guid = value.decode() if _GUID.fullmatch(value) else ""
        else:
            others.append(word)
    return Header(3, uidvalidity, uidnext, guid, tuple(others))


def _number(text: bytes) -> int:
    """An unsigned 32-bit number, 0 for anything else."""
    value = int(text) if text.isdigit() and len(text) <= 10 else 0
    return value if value <= 0xFFFFFFFF else 0


def parse(data: bytes, present: Callable[[], Collection[bytes]] | None = None) -> Contents:
    """Read a whole uidlist. `present` (bases in the folder) is asked only to settle a conflict."""
    end = data.find(b"\n")
    header = parse_header(data if end < 0 else data[:end])
    contents = Contents(header, [])
    if not header.uidvalidity or not header.uidnext:
        contents.problems.append("header unreadable")
    if header.version not in (1, 3):
        contents.problems.append(f"version {header.version or 'unknown'}")
    body = 0 if header.version not in (1, 3) else end + 1
    if end < 0:
        contents.problems.append("torn first line")
        contents.lost = True
        return contents
    stop = data.rfind(b"\n") + 1
    for piece in _slices(data, body, stop):
        rows, bad = read_rows(piece, header.version)
        contents.rows += rows
        if bad:
            contents.problems.append(f"{bad} unreadable lines")
    if stop < len(data):
        contents.problems.append("torn last line")
        contents.lost = True
        _take_torn(contents, data[stop:], present)
    _settle(contents, present)
    return contents


def _slices(data: bytes, start: int, stop: int) -> Iterator[bytes]:
    """Whole lines, some at a time."""
    while start < stop:
        end = data.rfind(b"\n", start, min(start + _SLICE, stop)) + 1 or data.find(b"\n", start, stop) + 1 or stop
        yield data[start:end]
        start = end


def read_rows(lines: bytes, version: int) -> tuple[list[Row], int]:
    """The records in these whole lines, and how many lines are none."""
    pattern = _RECORD_1 if version == 1 else RECORD
    rows: list[Row] = pattern.findall(lines)
    bad = lines.count(b"\n") - len(rows)
    return rows, bad


def _take_torn(contents: Contents, line: bytes, present: Callable[[], Collection[bytes]] | None) -> None:
    """A last line without its end counts when its whole file name is there."""
    rows, _ = read_rows(line, contents.header.version)
    if rows and present is not None and rows[0][2] in present():
        contents.rows.append(rows[0])


def _settle(contents: Contents, present: Callable[[], Collection[bytes]] | None) -> None:
    """Bring rows into order; each UID and each base once."""
    rows = contents.rows
    uids = [int(row[0]) for row in rows]
    if (
        all(map(lt, uids, islice(uids, 1, None)))
        and (not uids or uids[-1] <= MAX_UID)
        and len({row[2] for row in rows}) == len(rows)
    ):
        return
    contents.problems.append("UIDs out of order or names twice")
    by_uid: dict[int, Row] = {}
    there: Collection[bytes] | None = None
    for uid, row in zip(uids, rows, strict=True):
        rival = by_uid.setdefault(uid, row)
        if uid > MAX_UID:
            del by_uid[uid]
        elif rival[2] != row[2]:
            # Two names for one UID: the one that exists has it, the first in doubt; the other gets a new UID.
            if there is None:
                there = present() if present is not None else ()
            if rival[2] not in there and row[2] in there:
                by_uid[uid] = row
    # Two UIDs for one name: the later one, as a message that came back gets a new UID (as in Dovecot).
    by_base = {by_uid[uid][2]: uid for uid in sorted(by_uid)}
    contents.rows = [by_uid[uid] for uid in sorted(by_base.values())]


def render(header: Header, rows: Sequence[Row]) -> bytes:
    """The file."""
    lines = [b"%b%b :%b%b\n" % (uid, more, base, rest.partition(b":")[0]) for uid, more, base, rest in rows]
    return header.line() + b"".join(lines)


def all_uids(data: bytes) -> dict[bytes, int]:
    """Base to UID."""
    uids: dict[bytes, int] = {}
    for piece in _slices(data, data.find(b"\n") + 1, len(data)):
        uids.update((row[2], int(row[0])) for row in read_rows(piece, 3)[0])
    return uids


def search(data: bytes, base: bytes) -> int:
    """The UID of the last record with that base, 0 when there is none."""
    needle = b" :" + base
    place = data.rfind(needle)
    while place >= 0:
        start = data.rfind(b"\n", 0, place) + 1
        end = data.find(b"\n", place)
        found = RECORD.fullmatch(data[start:end])
        if found is not None and found[3] == base:
            return int(found[1])
        place = data.rfind(needle, 0, place)
    return 0


def pop3_names(data: bytes) -> Pop3Names:
    """`P` and `O` of all records; costs next to nothing when there are none."""
    names = Pop3Names({}, {})
    if b" P" not in data and b" O" not in data:
        return names
    for piece in _slices(data, data.find(b"\n") + 1, len(data)):
        for uid, more, base, rest in read_rows(piece, 3)[0]:
            for word in more.split():
                if word[:1] == b"P":
                    # Dovecot writes an empty UIDL when it is the file's name.
                    names.uidls[int(uid)] = word[1:] or base + rest.partition(b":")[0]
                elif word[:1] == b"O":
                    names.orders[int(uid)] = _number(word[1:])
    return names
