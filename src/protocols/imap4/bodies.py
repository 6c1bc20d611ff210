"""Reads what FETCH asks of message files, in pool threads, a bounded amount at a time.

Rules that keep it right:

1. `hop` runs in a thread, everything else on the reactor; never both at once, for the command waits for its hop.
2. A hop brings about `BUDGET` octets: many small messages, or the next part of a large one.
3. Everything that can fail for one message (opening, counting, parsing, decoding) comes before its first octet is
   given out; a failure is noted and the next message follows.
4. The part tree and the block layout of the large message read last are remembered for the session, so that a client
   that fetches it in pieces doesn't make us read it again for each; a decoded part likewise.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from ...account.view import View
from ...message import section as sections
from ...message.headers import field_block, header_end
from ...message.lines import normalise
from ...message.parts import Part, parse
from ...message.section import Section
from ...model.errors import Kind, MailError
from ...model.flags import SEEN, FlagOp
from ...model.store import OpenMessage
from .fetch_items import BodyItem, Form
from .octets import SMALL, InMemory, Layout, Octets, OnDisk, Slices, Spilled, Torn, pieces, without_nul
from .types import Partial

BUDGET = 262_144
_AHEAD = 64
"""Messages that a hop may be offered."""
_MOST_PARTS = 1000
"""Parts of a tree that is worth remembering."""

_LARGE = threading.BoundedSemaphore(1)
"""One large message at a time is whole in memory (to be parsed or decoded), in the whole worker."""


@dataclass(slots=True)
class Remembered:
    """The structure of one large message."""

    uid: int
    layout: Layout
    tree: Part | None = None
    decoded: "dict[tuple[int, ...], Spilled]" = field(default_factory=dict)
    """Its large decoded parts by their numbers."""

    def close(self) -> None:
        """Give its file back."""
        for spilled in self.decoded.values():
            spilled.close()
        self.decoded.clear()


@dataclass(slots=True)
class Share:
    """What one hop brought of one message."""

    uid: int
    begins: bool
    octets: list[bytes] = field(default_factory=list)
    ends: bool = False


@dataclass(slots=True)
class Hop:
    """What one hop brought."""

    shares: list[Share] = field(default_factory=list)
    failed: list[tuple[int, MailError]] = field(default_factory=list)
    marked: list[tuple[int, int, int]] = field(default_factory=list)
    """(uid, flags, modseq) of messages that got \\Seen."""
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """(octets of the file, RFC822.SIZE) as counted."""


class BodyReader:
    """The messages of one FETCH. `marks`: reading sets \\Seen."""

    def __init__(self, view: View, items: Sequence[BodyItem], marks: bool, remembered: Remembered | None) -> None:
        self.view = view
        self.items = items
        self.marks = marks
        self.remembered = remembered
        self._queue: deque[tuple[int, bool]] = deque()
        self._current: Iterator[bytes] | None = None
        self._uid = 0
        self._open: OpenMessage | None = None

    @property
    def wants(self) -> int:
        """How many messages may be offered now."""
        return _AHEAD - len(self._queue)

    @property
    def idle(self) -> bool:
        """Nothing is left to read."""
        return self._current is None and not self._queue

    @property
    def writes(self) -> bool:
        """The next hop may set \\Seen."""
        return self.marks and any(unseen for _, unseen in self._queue)

    def offer(self, uid: int, unseen: bool) -> None:
        """One more message."""
        self._queue.append((uid, unseen))

    def close(self) -> None:
        """Nothing more is wanted."""
        self._current = None
        self._close_message()

    def hop(self) -> Hop:
        """Read on, in a thread."""
        hop = Hop()
        marks: list[int] = []
        size = 0
        while size < BUDGET:
            if self._current is None:
                if not self._queue:
                    break
                uid, unseen = self._queue.popleft()
                try:
                    self._begin(uid, hop)
                except MailError as error:
                    hop.failed.append((uid, error))
                    self._close_message()
                    continue
                except OSError as error:
                    hop.failed.append((uid, MailError(Kind.UNREADABLE, f"Reading failed: {error.strerror}")))
                    self._close_message()
                    continue
                hop.shares.append(Share(uid, begins=True))
                if unseen and self.marks:
                    marks.append(uid)
            elif not hop.shares:
                hop.shares.append(Share(self._uid, begins=False))
            size += self._go_on(hop.shares[-1], BUDGET - size)
        if marks:
            self._mark(marks, hop)
        return hop

    def _go_on(self, share: Share, budget: int) -> int:
        """More octets of the present message, until it ends or the budget is used up."""
        size = 0
        octets = self._current
        while octets is not None and size < budget:
            try:
                piece = next(octets, None)
            except OSError as error:
                raise Torn from error
            if piece is None:
                share.ends = True
                self._current = octets = None
                self._close_message()
            else:
                share.octets.append(piece)
                size += len(piece)
        # An empty answer costs its message's file all the same.
        return size + 1024

    def _mark(self, uids: list[int], hop: Hop) -> None:
        """Set \\Seen (RFC 3501 6.4.5). That the messages were read stands, also when that cannot be recorded now."""
        try:
            hop.marked = self.view.store(uids, FlagOp.ADD, SEEN, ()).changed
        except MailError:
            hop.marked = []

    def _begin(self, uid: int, hop: Hop) -> None:
        """Open a message and prepare all of its answers."""
        self._uid = uid
        self._open = message = self.view.open(uid)
        octets: Octets
        if message.size <= SMALL:
            message.file.seek(0)
            raw = message.file.read()
            data = normalise(raw)
            octets = InMemory(data)
            hop.sizes[uid] = (len(raw), len(data))
        else:
            layout = self._layout(uid, message)
            octets = OnDisk(message.file, layout)
            hop.sizes[uid] = (layout.file_size, layout.size)
        reading = _Reading(octets, self.remembered if isinstance(octets, OnDisk) else None)
        # All answers are prepared before the first is given out.
        answers = [reading.answer(item) for item in self.items]
        self._current = _written(answers)

    def _layout(self, uid: int, message: OpenMessage) -> Layout:
        remembered = self.remembered
        if remembered is None or remembered.uid != uid or remembered.layout.file_size != message.size:
            if remembered is not None:
                remembered.close()
            self.remembered = remembered = Remembered(uid, Layout(message.file))
        return remembered.layout

    def _close_message(self) -> None:
        message, self._open = self._open, None
        if message is not None:
            message.close()


@dataclass(frozen=True, slots=True)
class _Answer:
    """One item's answer: `head`, then octets of the source from start to end."""

    head: bytes
    source: Octets | None = None
    start: int = 0
    end: int = 0
    plain: bool = True


def _written(answers: list[_Answer]) -> Iterator[bytes]:
    for index, answer in enumerate(answers):
        yield b" " + answer.head if index else answer.head
        if answer.source is not None:
            yield from pieces(answer.source, answer.start, answer.end, answer.plain)


class _Reading:
    """The answers for one message."""

    def __init__(self, octets: Octets, remembered: Remembered | None) -> None:
        self.octets = octets
        self.remembered = remembered
        # `extract` and `binary` take slices only, and of a large message small ones or one at a time.
        self.data = octets.data if isinstance(octets, InMemory) else cast(bytes, Slices(octets))
        self._tree: Part | None = remembered.tree if remembered is not None else None
        self._body_start = -1

    def answer(self, item: BodyItem) -> _Answer:
        """One item's answer."""
        if item.form is Form.BODY:
            return self._body(item)
        decoded = self._decoded(item.section.path)
        if item.form is Form.BINARY_SIZE:
            return _Answer(b"%b %d" % (item.name, decoded.size if decoded is not None else 0))
        if decoded is None:
            return _Answer(item.name + b" NIL")
        start, end = _clipped(item.partial, 0, decoded.size)
        # RFC 3516 4.3: a literal8 is for what a literal cannot hold
        tilde = b"~" if _has_nul(decoded, start, end) else b""
        return _Answer(b"%b %b{%d}\r\n" % (item.name, tilde, end - start), decoded, start, end, plain=False)

    def _body(self, item: BodyItem) -> _Answer:
        section = item.section
        found: bytes | tuple[int, int] | None
        if section.kind in ("", "TEXT"):
            found = self._span(section)
        elif section.path:
            found = sections.extract(self.data, self._parsed(), section)
        else:
            # Of the message's own header nothing has to be parsed.
            found = self.octets.read(0, self._header_end())
            if section.kind != "HEADER":
                names = frozenset(section.fields)
                found = field_block(found, names, exclude=section.kind == "HEADER.FIELDS.NOT") + b"\r\n"
        if found is None:
            return _Answer(item.name + b" NIL")
        if isinstance(found, tuple):
            start, end = _clipped(item.partial, *found)
            return _Answer(b"%b {%d}\r\n" % (item.name, end - start), self.octets, start, end)
        start, end = _clipped(item.partial, 0, len(found))
        found = without_nul(found[start:end])
        return _Answer(b"%b {%d}\r\n%b" % (item.name, len(found), found))

    def _span(self, section: Section) -> tuple[int, int] | None:
        """Where the octets of BODY[…] or BODY[….TEXT] lie."""
        if not section.path:
            return (0 if section.kind == "" else self._header_end()), self.octets.size
        part = sections.find(self._parsed(), section.path)
        if part is None:
            return None
        if section.kind == "":
            return part.body_start, part.body_end
        return None if part.message is None else (part.message.body_start, part.body_end)

    def _parsed(self) -> Part:
        if self._tree is None:
            if isinstance(self.octets, InMemory):
                self._tree = parse(self.octets.data)
            else:
                with _LARGE:
                    self._tree = parse(self.octets.read(0, self.octets.size))
                if self.remembered is not None and sum(1 for _ in self._tree.walk()) <= _MOST_PARTS:
                    self.remembered.tree = self._tree
        return self._tree

    def _header_end(self) -> int:
        """Where the message's own body starts."""
        if self._body_start < 0:
            size = self.octets.size if isinstance(self.octets, InMemory) else SMALL
            while True:
                beginning = self.octets.read(0, size)
                self._body_start = header_end(beginning)
                if self._body_start < len(beginning) or size >= self.octets.size:
                    break
                size *= 4
        return self._body_start

    def _decoded(self, path: tuple[int, ...]) -> Octets | None:
        """BINARY's octets of a part; those of a large one are remembered."""
        if not path:
            return self.octets
        if isinstance(self.octets, InMemory):
            content = sections.binary(self.octets.data, self._parsed(), path)
            return None if content is None else InMemory(content)
        remembered = self.remembered
        if remembered is not None and path in remembered.decoded:
            return remembered.decoded[path]
        tree = self._parsed()
        with _LARGE:
            content = sections.binary(self.data, tree, path)
            if content is None or len(content) <= SMALL or remembered is None:
                return None if content is None else InMemory(content)
            spilled = Spilled(content)
        remembered.decoded[path] = spilled
        return spilled


def _clipped(partial: Partial | None, start: int, end: int) -> tuple[int, int]:
    """A partial range of a range (RFC 3501 6.4.5: cut at the end, empty behind it)."""
    if partial is None:
        return start, end
    first = min(start + partial.start, end)
    return first, min(first + partial.length, end)


def _has_nul(octets: Octets, start: int, end: int) -> bool:
    return any(b"\0" in piece for piece in pieces(octets, start, end, plain=False))
