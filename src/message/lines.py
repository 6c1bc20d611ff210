"""Line ends: what IMAP and POP3 send has CRLF everywhere, what lies on disk mostly has LF.

Rules that keep it right:

1. A bare LF becomes CRLF; CRLF stays; a bare CR is no line end and stays. Doing it twice changes nothing.
2. Every other function of this package wants its message in this form, and every offset, size and line count that
   it returns is of this form (RFC 3501 6.4.5, RFC822.SIZE).
3. `CrlfCounter` and `CrlfStream` see a message in chunks cut anywhere, also between CR and LF, and agree with
   `normalise` to the byte.
"""


def normalise(data: bytes) -> bytes:
    """The message with CRLF line ends; the same object when it has them already."""
    if b"\r" in data:
        pairs = data.count(b"\r\n")
        if pairs == data.count(b"\n"):
            return data
        if pairs:
            data = data.replace(b"\r\n", b"\n")
    return data.replace(b"\n", b"\r\n")


class CrlfCounter:
    """Counts the octets that a message will have with CRLF line ends."""

    __slots__ = ("_after_cr", "size")

    def __init__(self) -> None:
        self.size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> None:
        """Count one more chunk."""
        if not chunk:
            return
        bare = chunk.count(b"\n") - chunk.count(b"\r\n")
        if self._after_cr and chunk[0] == 10:
            bare -= 1
        self.size += len(chunk) + bare
        self._after_cr = chunk[-1] == 13


class CrlfStream:
    """Converts a message in chunks."""

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """The next chunk with CRLF line ends."""
        if not chunk:
            return chunk
        continued = self._after_cr and chunk[0] == 10
        self._after_cr = chunk[-1] == 13
        return b"\n" + normalise(chunk[1:]) if continued else normalise(chunk)
