"""A message as POP3 sends it: CRLF line ends, dots doubled, a closing dot, or only its first lines (TOP).

Works on pieces of any size, so that a message is never whole in memory, and with nothing but bytes methods: the cost
per byte is that of `replace`. Rules that keep it right: what a piece means may depend on the two octets before it and
on nothing else; a transformed piece is at most twice as long as what went in.
"""

from ...message.lines import CrlfStream

END = b".\r\n"


class DotStuffer:
    """Pieces of a message in, pieces of a multi-line response out (RFC 1939 3)."""

    def __init__(self) -> None:
        self._lines = CrlfStream()
        self._last = b"\r\n"
        self.sent = 0
        """Octets of the message with CRLF line ends, before the dots were doubled."""

    def feed(self, piece: bytes) -> bytes:
        """The next piece of the response."""
        piece = self._lines.feed(piece)
        if not piece:
            return b""
        self.sent += len(piece)
        out = piece.replace(b"\r\n.", b"\r\n..")
        if self._last == b"\r\n":
            if piece.startswith(b"."):
                out = b"." + out
        elif self._last.endswith(b"\r") and piece.startswith(b"\n."):
            out = b"\n.." + out[2:]
        self._last = (self._last + piece[-2:])[-2:]
        return out

    def finish(self) -> bytes:
        """The end of the response, on a line of its own."""
        return END if self._last == b"\r\n" else b"\r\n" + END


class Head:
    """Cuts a message after its header, the blank line and `lines` lines of the body (TOP, RFC 1939 7).

    A line ends with LF; a blank line is LF or CR LF, so that the cut is the same before and after conversion.
    """

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_header = True
        self._last = b"\n"
        self.done = False

    def feed(self, piece: bytes) -> bytes:
        """As much of the piece as belongs to the answer; `done` when nothing after it does."""
        start = 0
        if self._in_header:
            start = self._header_end(piece)
            if start < 0:
                self._last = (self._last + piece[-2:])[-2:]
                return piece
            self._in_header = False
        found = piece.count(b"\n", start)
        if found < self._left:
            self._left -= found
            return piece
        self.done = True
        if not self._left:
            return piece[:start]
        rest = piece[start:].split(b"\n", self._left)[-1]
        return piece[: len(piece) - len(rest)]

    def _header_end(self, piece: bytes) -> int:
        """Offset in `piece` just after the blank line, -1 when it isn't in there."""
        known = self._last + piece
        ends = [
            place + len(blank) - len(self._last)
            for blank in (b"\n\n", b"\n\r\n")
            if (place := known.find(blank)) >= 0
        ]
        return min(ends) if ends else -1
