"""Cuts a byte stream into IMAP commands: lines joined with their literals, before any grammar looks at them.

Rules that keep it right:

1. Where a command ends is decided here and only here; a command that is malformed, too long or refused never moves
   the border of the next one.
2. A literal is first *announced*: whoever pulls the frames answers with `keep()` (it becomes part of the command's
   text), `stream()` (it comes in pieces and is never whole in memory) or `refuse()`.
3. A refused synchronising literal ends the command, for the client will not send it; a refused non-synchronising one
   is read and dropped, with the rest of its command, as long as that is below the limit. Beyond it, or when a line
   never ends, the stream cannot be followed any longer: `ProtocolFault(fatal=True)`.
4. Work per byte is constant, however the stream is cut into packets: what was searched once is not searched again.
"""

import re
from dataclasses import dataclass

from ..model.errors import ProtocolFault

# RFC 3501 4.3, RFC 7888, RFC 3516 4.4 (the tilde)
_LITERAL = re.compile(rb"(~?)\{(\d{1,20})(\+?)\}\Z")
_LITERAL_TAIL = 32
"""No literal announcement is longer; this much of a dropped line is remembered."""
_KEPT_OF_OVERLONG = 512
"""So much of a line that is too long is handed on, for its tag and name."""


@dataclass(frozen=True, slots=True)
class Line:
    """A whole command, its literals inline as `{n}` CRLF octets; the final line end is cut off."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Announced:
    """A literal is about to come; `Framer.so_far()` is the command up to and with the announcement's `}`, from its
    start or from the end of the last streamed literal. `head` is that text's first line."""

    head: bytes
    size: int
    synchronising: bool
    binary: bool
    """Written `~{n}` (literal8)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Octets of a streamed literal."""

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Overlong:
    """A command whose lines are longer than allowed; the rest of it is dropped. `text` is its start."""

    text: bytes


Frame = Line | Announced | Piece | Overlong


class Framer:
    """Pull frames with `next()`; None means that more bytes are needed."""

    __slots__ = (
        "_asked",
        "_buffer",
        "_dropped",
        "_keep",
        "_line_size",
        "_scanned",
        "_skipping",
        "_stream",
        "_swallow",
        "_tail",
        "_text",
        "drop_limit",
        "held",
        "line_limit",
    )

    def __init__(self, line_limit: int, drop_limit: int) -> None:
        self.line_limit = line_limit
        """Octets of one command's lines, literals not counted."""
        self.drop_limit = drop_limit
        """Octets of one command that are read only to be dropped."""
        self._buffer = bytearray()
        self._scanned = 0
        self._text: list[bytes] = []
        self._line_size = 0
        self.held = 0
        """Octets of the command's text so far, announced literals that are kept included."""
        self._asked: Announced | None = None
        self._keep = 0
        self._stream = 0
        self._swallow = 0
        self._skipping = False
        self._tail = b""
        self._dropped = 0

    @property
    def buffered(self) -> int:
        """Octets that were fed and not handed on yet."""
        return len(self._buffer)

    @property
    def first(self) -> int | None:
        """The first of those octets."""
        return self._buffer[0] if self._buffer else None

    def feed(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._buffer += data

    def clear(self) -> int:
        """Forget what was buffered (STARTTLS); tells how much that was."""
        lost = len(self._buffer)
        self._buffer.clear()
        self._scanned = 0
        return lost

    def keep(self) -> None:
        """Take the announced literal into the command's text."""
        self._keep = self._answered().size
        self._text.append(b"\r\n")
        self.held += self._keep + 2

    def stream(self) -> None:
        """Hand out the announced literal in pieces; the text after it starts anew."""
        self._stream = self._answered().size
        self._forget()
        if not self._stream:
            self._stream = -1

    def refuse(self) -> None:
        """Do without the announced literal and the rest of its command."""
        asked = self._answered()
        if not asked.synchronising:
            self._start_skipping(asked.size)
        self._forget()

    def abandon(self) -> None:
        """Drop what is left of a command whose streamed literal is not over, or whose next literal is announced."""
        if self._asked is not None:
            self.refuse()
        elif self._stream > 0:
            left, self._stream = self._stream, 0
            self._start_skipping(left)
        else:
            self._stream = 0
            self._start_skipping(0)

    def next(self) -> Frame | None:
        """The next frame, or None when more bytes are needed."""
        if self._asked is not None:
            return None
        if self._skipping and not self._skip():
            return None
        if self._stream:
            return self._next_piece()
        buffer = self._buffer
        if self._keep:
            if len(buffer) < self._keep:
                return None
            self._text.append(bytes(buffer[: self._keep]))
            self._consume(self._keep)
            self._keep = 0
        end = buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(buffer)
            if self._line_size + len(buffer) > self.line_limit + 1:
                return self._overlong()
            return None
        if self._line_size + end > self.line_limit + 1:
            return self._overlong()
        stop = end - 1 if end and buffer[end - 1] == 13 else end
        line = bytes(buffer[:stop])
        self._consume(end + 1)
        if line.endswith(b"}") and (match := _LITERAL.search(line, max(0, len(line) - _LITERAL_TAIL))):
            size = int(match[2])
            self._text.append(line)
            self._line_size += len(line)
            self.held += len(line)
            self._asked = Announced(self._text[0], size, not match[3], bool(match[1]))
            return self._asked
        if self._text:
            line = self.so_far() + line
            self._forget()
        return Line(line)

    def so_far(self) -> bytes:
        """The command's text up to the announced literal."""
        return b"".join(self._text)

    def _forget(self) -> None:
        self._text.clear()
        self._line_size = self.held = 0

    def _consume(self, count: int) -> None:
        del self._buffer[:count]
        self._scanned = 0

    def _answered(self) -> Announced:
        asked = self._asked
        if asked is None:
            raise RuntimeError("no literal was announced")
        self._asked = None
        return asked

    def _next_piece(self) -> Piece | None:
        if self._stream < 0:
            self._stream = 0
            return Piece(b"", True)
        count = min(len(self._buffer), self._stream)
        if not count:
            return None
        data = bytes(self._buffer[:count])
        self._consume(count)
        self._stream -= count
        return Piece(data, not self._stream)

    def _overlong(self) -> Overlong:
        head = self._text[0] if self._text else bytes(self._buffer[: min(self.line_limit, _KEPT_OF_OVERLONG)])
        self._forget()
        self._start_skipping(0)
        return Overlong(head[:_KEPT_OF_OVERLONG])

    def _start_skipping(self, size: int) -> None:
        self._skipping = True
        self._swallow = size
        self._tail = b""
        self._dropped = 0
        self._drop(size)

    def _drop(self, count: int) -> None:
        self._dropped += count
        if self._dropped > self.drop_limit:
            raise ProtocolFault("more data was refused than can be skipped", fatal=True)

    def _skip(self) -> bool:
        """Drop the rest of a command; True when it is over."""
        buffer = self._buffer
        while True:
            if self._swallow:
                count = min(len(buffer), self._swallow)
                self._consume(count)
                self._swallow -= count
                if self._swallow:
                    return False
            end = buffer.find(b"\n", self._scanned)
            stop = end if end >= 0 else len(buffer)
            self._tail = (self._tail + bytes(buffer[max(0, stop - _LITERAL_TAIL) : stop]))[-_LITERAL_TAIL:]
            self._consume(stop if end < 0 else end + 1)
            self._drop(stop)
            if end < 0:
                return False
            match = _LITERAL.search(self._tail.rstrip(b"\r"))
            self._tail = b""
            if match is None or not match[3]:
                self._skipping = False
                return True
            self._swallow = int(match[2])
            self._drop(self._swallow)
