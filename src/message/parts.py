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

from . import mime
from .headers import Scanned, header_end, scan, unfold, values

MAX_DEPTH = 100
MAX_PARTS = 10_000

MIME_FIELDS = frozenset(
    b"content-" + name
    for name in (b"type", b"transfer-encoding", b"id", b"description", b"disposition", b"language", b"location", b"md5")
)
ENVELOPE_FIELDS = frozenset({
    b"date", b"subject", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id",
})  # fmt: skip
_ALL_FIELDS = MIME_FIELDS | ENVELOPE_FIELDS

_TEXT = (b"text", b"plain")
_MESSAGE = (b"message", b"rfc822")
_OPAQUE = (b"application", b"octet-stream")
_US_ASCII: mime.Parameters = [(b"charset", b"us-ascii")]


class Part:
    """One part: its header is data[header_start:body_start], its body data[body_start:body_end]."""

    __slots__ = (
        "body_end", "body_start", "children", "content_type", "header_start", "is_multipart", "lines", "message",
        "params", "values", "written_type",
    )  # fmt: skip

    def __init__(
        self, header_start: int, body_start: int, found: dict[bytes, list[bytes]], default: tuple[bytes, bytes]
    ) -> None:
        self.header_start = header_start
        self.body_start = body_start
        self.body_end = body_start
        self.lines = 0
        """Line ends in the body (of text, and of an embedded message with its header)."""
        self.children: list[Part] = []
        self.message: Part | None = None
        self.values = found
        """Raw values of the fields that matter, by lower-case name."""
        field = found.get(b"content-type")
        known = mime.content_type(field[0]) if field else None
        if known is not None:
            main, sub, self.params = known
            self.written_type = (main, sub)
            self.content_type = (main.lower(), sub.lower())
        else:
            # RFC 2045 5.2; RFC 2046 5.1.5 for the parts of a digest.
            self.content_type = self.written_type = _TEXT if field else default
            self.params = _US_ASCII if self.content_type == _TEXT else []
        self.is_multipart = self.content_type[0] == b"multipart"

    def _first(self, name: bytes) -> bytes | None:
        field = self.values.get(name)
        return unfold(field[0]) or None if field else None

    def param(self, name: bytes) -> bytes | None:
        """The value of a Content-Type parameter, by its lower-case name."""
        for key, value in self.params:
            if key.lower() == name:
                return value
        extended = name + b"*"
        for key, value in self.params:
            if key.lower() == extended:
                return mime.plain_value(value)
        return None

    @property
    def written_encoding(self) -> bytes:
        """The Content-Transfer-Encoding as it was written, `7bit` without one."""
        field = self.values.get(b"content-transfer-encoding")
        return mime.token(field[0]) or b"7bit" if field else b"7bit"

    @property
    def encoding(self) -> bytes:
        """The Content-Transfer-Encoding in lower case."""
        return self.written_encoding.lower()

    @property
    def disposition(self) -> tuple[bytes, mime.Parameters] | None:
        """Content-Disposition: kind and parameters."""
        field = self.values.get(b"content-disposition")
        return mime.disposition(field[0]) if field else None

    @property
    def language(self) -> list[bytes]:
        """The tags of Content-Language."""
        field = self.values.get(b"content-language")
        return mime.languages(field[0]) if field else []

    @property
    def location(self) -> bytes | None:
        """Content-Location."""
        return self._first(b"content-location")

    @property
    def md5(self) -> bytes | None:
        """Content-MD5."""
        return self._first(b"content-md5")

    @property
    def id(self) -> bytes | None:
        """Content-ID."""
        return self._first(b"content-id")

    @property
    def description(self) -> bytes | None:
        """Content-Description."""
        return self._first(b"content-description")

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
    root = Part(0, body, values(scan(data[:body]) if scanned is None else scanned, _ALL_FIELDS), _TEXT)
    root.body_end = len(data)
    if root.is_multipart or root.content_type == _MESSAGE:
        _Tree(data, root).grow()
    elif root.content_type[0] == b"text":
        root.lines = data.count(b"\n", body)
    return root


class _Tree:
    """The growing tree: the stack of open parts, and the boundaries of those that are open multiparts."""

    def __init__(self, data: bytes, root: Part) -> None:
        self.data = data
        self.root = root
        self.parts = 1
        self.stack: list[Part] = []
        self.boundaries: list[tuple[bytes, int]] = []
        """(boundary, place of its multipart in the stack), outermost first."""
        self.needle = b""
        """What the next boundary line has to begin with."""
        self.candidates: tuple[bytes, ...] = ()
        self.blank = -1
        """The next blank line behind some offset already passed; never searched for twice."""

    def grow(self) -> None:
        position = self._open(self.root, self.root.body_start)
        while self.boundaries:
            line = self._boundary_line(position, len(self.data))
            if line is None:
                break
            start, length, place = line
            self._close_down_to(place, start)
            end = self.data.find(b"\r\n", start + 2)
            end = len(self.data) if end < 0 else end
            behind = start + 4 + length
            if self.data[behind : min(end, behind + 80)].lstrip(b" \t").startswith(b"--"):
                self._drop_boundaries(place)
                position = end
            elif self.parts >= MAX_PARTS:
                break
            else:
                position = self._part(self.stack[place], min(end + 2, len(self.data)))
        self._close_down_to(-1, len(self.data))
        _count_lines(self.data, self.root)

    def _boundary_line(self, position: int, limit: int) -> tuple[int, int, int] | None:
        """(offset of the line break before it, length of its boundary, place of its multipart)."""
        data, needle, candidates = self.data, self.needle, self.candidates
        while True:
            position = data.find(needle, position, limit)
            if position < 0:
                return None
            if data.startswith(candidates, position + 4):
                best, place = b"", -1
                for boundary, owner in self.boundaries:
                    if len(boundary) >= len(best) and data.startswith(boundary, position + 4):
                        best, place = boundary, owner
                return position, len(best), place
            position += 4

    def _part(self, parent: Part, start: int) -> int:
        """Open the part that begins at `start`; returns where to look on for boundary lines."""
        default = _MESSAGE if parent.content_type[1] == b"digest" else _TEXT
        part = self._headed(start, default)
        parent.children.append(part)
        return self._open(part, part.body_start)

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
        return Part(start, end, values(scan(data[start:end]), _ALL_FIELDS), default)

    def _open(self, part: Part, position: int) -> int:
        """Push a part, and the messages directly in it; returns where to look on for boundary lines."""
        while True:
            self.stack.append(part)
            deep = len(self.stack) > MAX_DEPTH
            if part.is_multipart:
                boundary = (part.param(b"boundary") or b"").rstrip(b" \t")
                if deep:
                    self._make_opaque(part)
                elif boundary:
                    self.boundaries.append((boundary, len(self.stack) - 1))
                    self._boundaries_changed()
            elif part.content_type == _MESSAGE:
                if deep or self.parts >= MAX_PARTS:
                    self._make_opaque(part)
                else:
                    part.message = part = self._headed(part.body_start, _TEXT)
                    position = part.body_start
                    continue
            # A boundary line may follow the header's blank line at once.
            return max(position - 2, 0)

    @staticmethod
    def _make_opaque(part: Part) -> None:
        part.content_type = part.written_type = _OPAQUE
        part.params = []
        part.is_multipart = False

    def _close_down_to(self, place: int, end: int) -> None:
        """Close the parts above this place of the stack: their bodies end here."""
        for part in self.stack[place + 1 :]:
            part.body_end = max(end, part.body_start)
        del self.stack[place + 1 :]
        self._drop_boundaries(place + 1)

    def _drop_boundaries(self, place: int) -> None:
        """Forget the boundaries of the multiparts from this place on."""
        before = len(self.boundaries)
        while self.boundaries and self.boundaries[-1][1] >= place:
            self.boundaries.pop()
        if len(self.boundaries) != before:
            self._boundaries_changed()

    def _boundaries_changed(self) -> None:
        self.candidates = tuple(boundary for boundary, _ in self.boundaries)
        # A long needle is found much faster than a short one.
        self.needle = b"\r\n--" + (self.candidates[0] if len(self.candidates) == 1 else b"")


def _count_lines(data: bytes, root: Part) -> None:
    """Fill in `lines` of all parts, looking at each octet once however deep they nest."""
    parts = [part for part in root.walk() if part.body_end > part.body_start]
    before: dict[int, int] = {}
    total = previous = 0
    for offset in sorted({offset for part in parts for offset in (part.body_start, part.body_end)}):
        total += data.count(b"\n", previous, offset)
        before[offset] = total
        previous = offset
    for part in parts:
        part.lines = before[part.body_end] - before[part.body_start]
