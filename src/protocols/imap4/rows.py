"""FETCH rows by columns: the fast path from the index to the wire.

Rules that keep it right:

1. A row is `template % tuple`, made in one comprehension over columns that were fetched for a whole portion of
   messages; nothing is looked up per message that can be looked up per portion.
2. Rendered flags are remembered per mask (there are few masks), for one version of the mailbox's keyword names.
3. A portion is small enough that its rows are made in a few milliseconds and weigh some 16 to 64 kB.
"""

import os
import re
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from ...account.jobs import PORTION, FillFacts
from ...account.results import Filled
from ...account.view import View
from ...message.dates import internaldate
from ...message.headers import cut_block
from ...model.account import AccountSpec
from ...model.facts import Fact
from ...model.flags import SYSTEM_NAMES as _BY_BIT
from ...model.flags import flag_names
from ..engine import Compute, Step
from .fetch_items import FACT_NAMES, BodyItem, Column, FetchItem
from .octets import without_nul
from .types import Partial

RECENT = 1 << 5
"""Stands for \\Recent in a mask that is about to be rendered; bits 5 to 7 are no flags of model.flags."""

SYSTEM_NAMES = tuple(_BY_BIT.values())

_MOST_MASKS = 4096

# RFC 3501 9, flag-keyword = atom; other programs' keyword files may hold names that are none
_ATOM = re.compile(r"[!#$&'+-\[^-z|}~]++").fullmatch


def sayable(keywords: Sequence[str]) -> tuple[str, ...]:
    """The keyword names that can be said in IMAP."""
    return tuple(name for name in keywords if name and _ATOM(name))


class FlagNames(dict[int, bytes]):
    """Mask (with RECENT or not) to the flags as they stand between the parentheses."""

    __slots__ = ("_keywords",)

    def __init__(self, keywords: Sequence[str]) -> None:
        super().__init__()
        # A name that cannot be said keeps its number: it is made empty, and left out below.
        self._keywords = tuple(name if name and _ATOM(name) else "" for name in keywords)

    def __missing__(self, mask: int) -> bytes:
        if len(self) >= _MOST_MASKS:
            self.clear()
        names = [name for name in flag_names(mask & ~RECENT, self._keywords) if name]
        if mask & RECENT:
            names.append("\\Recent")
        made = self[mask] = " ".join(names).encode("ascii")
        return made



Row = tuple[int, int, int, int]
"""(seq, uid, flags, modseq) as the view has them."""

_MOST_CACHED_FIELDS = 40
"""Header fields that a client may make the index keep; a request for more reads the messages."""
_MOST_FIELD_NAME = 60
_FIELD_NAME = re.compile(rb"[!-9;-~]++").fullmatch

_COMMONEST = ((Column.FLAGS,), (Column.UID, Column.FLAGS))
"""What clients ask of all messages most often; its rows take a third less time without columns."""
_TRIES = 4
"""Jobs for the same rows, when the index is lost between a job and the look at what it wrote."""
_PLAIN_PORTION = 1000
_LIGHT_PORTION = 400
_HEAVY_PORTION = 128
"""Rows that are made at once: those of flags and numbers, of dates and sizes, of stored facts."""


def cacheable(item: FetchItem, marks: bool) -> bool:
    """The index can answer it. A header without PEEK sets \\Seen, which is the message reader's work."""
    if not isinstance(item, BodyItem):
        return True
    section = item.section
    return (
        section.kind == "HEADER.FIELDS"
        and not section.path
        and (item.peek or not marks)
        and len(section.fields) <= _MOST_CACHED_FIELDS
        and all(len(name) <= _MOST_FIELD_NAME and _FIELD_NAME(name) for name in section.fields)
    )


class Table:
    """The columns of one FETCH: the beginnings of its rows, `* n FETCH (` and the items that the index has."""

    def __init__(self, items: Sequence[FetchItem], names: FlagNames, spec: AccountSpec) -> None:
        self.items = tuple(items)
        self._names = names
        self._spec = spec
        self._facts = [item for item in self.items if isinstance(item, Fact)]
        self._headers = [item for item in self.items if isinstance(item, BodyItem)]
        self._fields = frozenset(name for item in self._headers for name in item.section.fields)
        self._sizes = Column.SIZE in self.items
        self._dates = Column.INTERNALDATE in self.items
        self.template = b"* %d FETCH (" + b" ".join(_template(item) for item in self.items)
        self._stored = bool(self._facts or self._headers)
        self.plain = not (self._stored or self._sizes or self._dates)
        """Nothing can be missing: `plain_rows` will do."""
        self.portion = _PLAIN_PORTION if self.plain else _HEAVY_PORTION if self._stored else _LIGHT_PORTION
        self.lost: list[tuple[int, bool]] = []
        """(uid, unreadable or else gone) of rows that could not be made."""

    def rows(
        self, view: View, uids: Sequence[int], ahead: Sequence[int] = ()
    ) -> Generator[Step, Any, list[tuple[int, bytes]]]:
        """(uid, beginning of its row) of those of these UIDs that can be told. What the index lacks of them, and then
        also of `ahead`, is filled in by a helper first."""
        rows = view.rows(uids)
        if not rows:
            return []
        columns = self._columns(view, rows)
        if any(None in column for column in columns):
            filled = Filled(0)
            for _ in range(_TRIES):
                filled = _together(filled, (yield Compute(self._job(view, ahead or uids))))
                view.learn(filled)
                rows = view.rows(uids)
                columns = self._columns(view, rows) if rows else []
                if self._answered(rows, columns, filled):
                    break
                ahead = ()
            rows, columns = self._complete(rows, columns, filled)
            if not rows:
                return []
        template = self.template
        numbers = [row[0] for row in rows]
        cells = zip(numbers, *map(_shown, self.items, columns), strict=True)
        return [(row[1], template % values) for row, values in zip(rows, cells, strict=True)]

    def plain_rows(self, view: View, uids: Sequence[int]) -> bytes:
        """Whole rows in one go, when nothing can be missing: flags, UIDs and mod-sequences only."""
        rows = view.rows(uids)
        if not rows:
            return b""
        template = self.template + b")\r\n"
        if not view.recent and self.items in _COMMONEST:
            names = self._names
            if len(self.items) == 1:
                return b"".join([template % (seq, names[flags]) for seq, _, flags, _ in rows])
            return b"".join([template % (seq, uid, names[flags]) for seq, uid, flags, _ in rows])
        columns = self._columns(view, rows)
        numbers = [row[0] for row in rows]
        return b"".join([template % values for values in zip(numbers, *columns, strict=True)])

    def _columns(self, view: View, rows: Sequence[Row]) -> list[Sequence[Any]]:
        """The items' values, None where the index has none."""
        _, uids, flags, modseqs = zip(*rows, strict=True)
        columns: list[Sequence[Any]] = []
        for item in self.items:
            if item is Column.UID:
                columns.append(uids)
            elif item is Column.FLAGS:
                names = self._names
                if view.recent:
                    is_recent = view.is_recent
                    flags = tuple(
                        mask | RECENT if is_recent(uid) else mask for uid, mask in zip(uids, flags, strict=True)
                    )
                columns.append([names[mask] for mask in flags])
            elif item is Column.MODSEQ:
                columns.append(modseqs)
            elif item is Column.INTERNALDATE:
                columns.append(view.dates(uids))
            elif item is Column.SIZE:
                columns.append(view.sizes(uids))
            elif isinstance(item, Fact):
                columns.append(view.facts(item, uids))
            else:
                fields = frozenset(item.section.fields)
                blocks = view.header_blocks(fields, uids)
                if fields != self._fields:
                    # A job's loose block is for all header items of this FETCH together.
                    blocks = [None if block is None else cut_block(block, fields) for block in blocks]
                columns.append(blocks)
        return columns

    def _job(self, view: View, uids: Sequence[int]) -> FillFacts:
        rows = view.rows(uids)
        cells = zip(*self._columns(view, rows), strict=True)
        missing = tuple(row[1] for row, values in zip(rows, cells, strict=True) if None in values)
        wanted = frozenset(self._facts) | ({Fact.HEADERS} if self._headers else frozenset())
        return FillFacts(
            self._spec, view.mailbox.name, view.mailbox.id, missing[:PORTION], wanted, self._fields, self._sizes,
            self._dates, os.getpid(),
        )

    @staticmethod
    def _answered(rows: Sequence[Row], columns: Sequence[Sequence[Any]], filled: Filled) -> bool:
        """Whether all is there or was refused. It is not when the index was lost after the job wrote to it."""
        refused = {*filled.gone, *filled.unreadable}
        cells = zip(*columns, strict=True)
        return all(None not in values or row[1] in refused for row, values in zip(rows, cells, strict=True))

    def _complete(
        self, rows: Sequence[Row], columns: Sequence[Sequence[Any]], filled: Filled
    ) -> tuple[list[Row], list[Sequence[Any]]]:
        """The rows that have everything; the others are noted."""
        whole: list[Row] = []
        values: list[tuple[Any, ...]] = []
        gone = frozenset(filled.gone)
        for row, cells in zip(rows, zip(*columns, strict=True), strict=True):
            if None in cells:
                self.lost.append((row[1], row[1] not in gone))
            else:
                whole.append(row)
                values.append(cells)
        return whole, [list(column) for column in zip(*values, strict=True)]


def _together(one: Filled, two: Filled) -> Filled:
    """What two jobs brought for the same rows."""
    return Filled(
        one.written + two.written, two.unreadable, two.gone, one.loose | two.loose, one.loose_sizes | two.loose_sizes
    )


def _template(item: FetchItem) -> bytes:
    if isinstance(item, BodyItem):
        return item.name.replace(b"%", b"%%") + b" %b"
    if isinstance(item, Fact):
        return FACT_NAMES[item] + b" %b"
    return {
        Column.UID: b"UID %d",
        Column.FLAGS: b"FLAGS (%b)",
        Column.MODSEQ: b"MODSEQ (%d)",
        Column.INTERNALDATE: b"INTERNALDATE %b",
        Column.SIZE: b"RFC822.SIZE %d",
    }[item]


def _shown(item: FetchItem, column: Iterable[Any]) -> Iterable[Any]:
    """Values as the template wants them."""
    if item is Column.INTERNALDATE:
        return map(internaldate, column)
    if isinstance(item, BodyItem):
        return _literals(column, item.partial)
    return column


def _literals(blocks: Iterable[bytes], partial: Partial | None) -> Iterable[bytes]:
    """Header blocks with their blank line, as literals."""
    if partial is not None:
        start, end = partial.start, partial.start + partial.length
        blocks = [(block + b"\r\n")[start:end] for block in blocks]
        return [b"{%d}\r\n%b" % (len(block), without_nul(block)) for block in blocks]
    return [b"{%d}\r\n%b\r\n" % (len(block) + 2, without_nul(block)) for block in blocks]

