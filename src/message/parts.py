"""The part tree of a message, with byte offsets into it.

Rules that keep it right:

1. One pass over the message, no recursion: the open parts are a stack, and each line that begins with `--` is held
   against the boundaries that are open, the longest match winning, the innermost of equals (RFC 2046 5.1.1, 5.1.2).
   An outer boundary also ends whatever inner parts were left open, and a part's header.
2. The line break in front of a boundary line belongs to it, not to the part before (RFC 2046 5.1.1).
3. More than `MAX_DEPTH` levels or `MAX_PARTS` parts are not looked into: what lies deeper is an opaque leaf, further
   parts belong to the last one that was found.
4. A message/rfc822 part's body is a message of its own: `message` is that message's root, with offsets into the same
   bytes. Content under a transfer encoding that RFC 2046 5.2.1 forbids there is not decoded.
"""

from collections.abc import Iterator

from . import mime, part_header
from .headers import Scanned, header_end, scan, values
from .part_header import ALL_FIELDS, MESSAGE, TEXT, PartHeader

MAX_DEPTH = 100
MAX_PARTS = 10_000


class Part:
    """One part: its header is data[header_start:body_start], its body data[body_start:body_end]."""

    __slots__ = ("body_end", "body_start", "children", "header", "header_start", "lines", "message")

    def __init__(self, header_start: int, body_start: int, header: PartHeader) -> None:
        self.header_start = header_start
        self.body_start = body_start
        self.body_end = body_start
        self.header = header
        self.lines = 0
        """Line ends in the body, for text and for an embedded message (with its header)."""
        self.children: list[Part] = []
        self.message: Part | None = None

    @property
    def is_multipart(self) -> bool:
        """Whether it has children instead of content."""
        return self.header.is_multipart

    @property
    def content_type(self) -> tuple[bytes, bytes]:
        """(type, subtype) in lower case."""
        return self.header.content_type

    @property
    def params(self) -> mime.Parameters:
        """Content-Type's parameters as written."""
        return self.header.params

    @property
    def encoding(self) -> bytes:
        """The Content-Transfer-Encoding in lower case."""
        return self.header.written_encoding.lower()

    @property
    def disposition(self) -> tuple[bytes, mime.Parameters] | None:
        """Content-Disposition: kind and parameters."""
        return self.header.disposition

    @property
    def language(self) -> list[bytes]:
        """The tags of Content-Language."""
        return self.header.language

    @property
    def location(self) -> bytes | None:
        """Content-Location."""
        return self.header.text_of(b"content-location")

    @property
    def md5(self) -> bytes | None:
        """Content-MD5."""
        return self.header.text_of(b"content-md5")

    @property
    def id(self) -> bytes | None:
        """Content-ID."""
        return self.header.text_of(b"content-id")

    @property
    def description(self) -> bytes | None:
        """Content-Description."""
        return self.header.text_of(b"content-description")

    def walk(self) -> Iterator["Part"]:
        """This part and all below it, embedded messages' roots included, in message order."""
        pending = [self]
        while pending:
            part = pending.pop()
            yield part
            if part.message is not None:
                pending.append(part.message)
            pending.extend(reversed(part.children))


def parse(data: bytes, scanned: Scanned | None = None) -> Part:
    """The part tree of a message with CRLF line ends; `scanned` is its header's scan, when it was made before."""
    body = header_end(data)
    if scanned is None:
        scanned = scan(data[:body])
    header = PartHeader(values(scanned, ALL_FIELDS), TEXT)
    root = Part(0, body, header)
    if header.is_multipart or header.content_type == MESSAGE:
        _Tree(data, root).grow()
    else:
        _close(data, root, len(data))
    return root


def _close(data: bytes, part: Part, end: int) -> None:
    """The part's body ends here, or was empty."""
    part.body_end = max(end, part.body_start)
    # Leaves never overlap: all of them together are counted once.
    if part.header.content_type[0] == b"text":
        part.lines = data.count(b"\n", part.body_start, part.body_end)


class _Tree:
    """The growing tree: the stack of open parts, and the boundaries of those that are open multiparts."""

    def __init__(self, data: bytes, root: Part) -> None:
        self.data = data
        self.root = root
        self.parts = 1
        self.stack: list[Part] = []
        self.boundaries: list[tuple[bytes, int]] = []
        """(boundary, place of its multipart in the stack), outermost first."""
        self.longest_first: list[tuple[bytes, int]] = []
        """The same in the order in which they are tried: the longest first, of equals the innermost."""
        self.needle = b""
        """What the next boundary line has to begin with."""
        self.candidates: tuple[bytes, ...] = ()
        self.messages: list[Part] = []
        """The parts that hold an embedded message."""
        self.blank = -1
        """The next blank line behind some offset already passed; never searched for twice."""

    def grow(self) -> None:
        position = self._open(self.root, self.root.body_start)
        while self.boundaries:
            line = self._boundary_line(position, len(self.data))
            if line is None:
                break
            start, length, place = line
            if self.parts >= MAX_PARTS:
                break
            self._close_down_to(place, start)
            end = self.data.find(b"\r\n", start + 2)
            end = len(self.data) if end < 0 else end
            behind = start + 4 + length
            if self.data[behind : min(end, behind + 80)].lstrip(b" \t").startswith(b"--"):
                self._drop_boundaries(place)
                position = end
            else:
                position = self._part(self.stack[place], min(end + 2, len(self.data)))
        self._close_down_to(-1, len(self.data))
        if self.messages:
            _count_lines(self.data, self.messages)

    def _boundary_line(self, position: int, limit: int) -> tuple[int, int, int] | None:
        """(offset of the line break before it, length of its boundary, place of its multipart)."""
        data, needle, candidates = self.data, self.needle, self.candidates
        while True:
            position = data.find(needle, position, limit)
            if position < 0:
                return None
            if data.startswith(candidates, position + 4):
                for boundary, place in self.longest_first:
                    if data.startswith(boundary, position + 4):
                        return position, len(boundary), place
            position += 4

    def _part(self, parent: Part, start: int) -> int:
        """Open the part that begins at `start`; returns where to look on for boundary lines."""
        default = MESSAGE if parent.header.content_type[1] == b"digest" else TEXT
        part = self._headed(start, default)
        parent.children.append(part)
        if part.header.is_multipart or part.header.content_type == MESSAGE:
            return self._open(part, part.body_start)
        self.stack.append(part)
        # A boundary line may follow the header's blank line at once.
        return max(part.body_start - 2, 0)

    def _headed(self, start: int, default: tuple[bytes, bytes]) -> Part:
        """A part from its header, which a boundary line may cut short."""
        data = self.data
        if data.startswith(b"\r\n", start):
            end = start + 2
        else:
            if self.blank < start and self.blank != len(data):
                found = data.find(b"\r\n\r\n", start)
                self.blank = len(data) if found < 0 else found
            end = min(self.blank + 4, len(data))
        # A blank line may itself be the line break in front of a boundary line: look one line break further back.
        cut = self._boundary_line(max(start - 2, 0), end) if self.boundaries else None
        if cut is not None:
            end = max(start, cut[0] + 2)
        self.parts += 1
        return Part(start, end, part_header.read(data[start:end], default))

    def _open(self, part: Part, position: int) -> int:
        """Push a part, and the messages directly in it; returns where to look on for boundary lines."""
        while True:
            self.stack.append(part)
            deep = len(self.stack) > MAX_DEPTH
            header = part.header
            if header.is_multipart:
                boundary = (header.param(b"boundary") or b"").rstrip(b" \t")
                if deep:
                    part.header = header.opaque()
                elif boundary:
                    self.boundaries.append((boundary, len(self.stack) - 1))
                    self._boundaries_changed()
            elif header.content_type == MESSAGE:
                if deep or self.parts >= MAX_PARTS:
                    part.header = header.opaque()
                else:
                    self.messages.append(part)
                    part.message = part = self._headed(part.body_start, TEXT)
                    position = part.body_start
                    continue
            # A boundary line may follow the header's blank line at once.
            return max(position - 2, 0)

    def _close_down_to(self, place: int, end: int) -> None:
        """Close the parts above this place of the stack: their bodies end here."""
        while len(self.stack) > place + 1:
            _close(self.data, self.stack.pop(), end)
        if self.boundaries and self.boundaries[-1][1] > place:
            self._drop_boundaries(place + 1)

    def _drop_boundaries(self, place: int) -> None:
        """Forget the boundaries of the multiparts from this place on."""
        while self.boundaries and self.boundaries[-1][1] >= place:
            self.boundaries.pop()
        self._boundaries_changed()

    def _boundaries_changed(self) -> None:
        self.candidates = tuple([boundary for boundary, _ in self.boundaries])
        self.longest_first = sorted(reversed(self.boundaries), key=_shortness)
        # A long needle is found much faster than a short one.
        self.needle = b"\r\n--" + (self.candidates[0] if len(self.candidates) == 1 else b"")


def _shortness(boundary: tuple[bytes, int]) -> int:
    return -len(boundary[0])


def _count_lines(data: bytes, messages: list[Part]) -> None:
    """Fill in `lines` of the embedded messages, looking at each octet once however deep they nest."""
    before: dict[int, int] = {}
    total = previous = 0
    for offset in sorted({offset for part in messages for offset in (part.body_start, part.body_end)}):
        total += data.count(b"\n", previous, offset)
        before[offset] = total
        previous = offset
    for part in messages:
        part.lines = before[part.body_end] - before[part.body_start]
