"""A message's octets as IMAP counts them, with CRLF line ends, wherever they lie.

Rules that keep it right:

1. What is announced is what is sent: sizes are counted on the open file, and a file that later gives less than was
   counted ends the connection, since a literal can be neither cut short nor padded.
2. A large message is never whole in memory: its file is counted once in blocks, and any range of its octets is
   converted from the block it lies in.
3. A literal cannot hold NUL (RFC 3501 9, CHAR8): outside BINARY it is sent as the octet 80, so that sizes stay.
"""

import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO, Protocol

from ...message.lines import normalise
from ...model.errors import ProtocolFault

SMALL = 262_144
"""Octets of a file that are read at once."""
PIECE = 65_536


class Torn(ProtocolFault):
    """A file gave less than was announced: the answer under way cannot be completed."""

    def __init__(self) -> None:
        super().__init__("A message changed while it was sent", fatal=True)


class Octets(Protocol):
    """A run of octets that can be had piece by piece."""

    size: int

    def read(self, start: int, end: int) -> bytes:
        """A range, clipped to what is there."""


class InMemory:
    """A small message, or a small decoded part."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read(self, start: int, end: int) -> bytes:
        """See Octets."""
        return self.data[start:end]


class Layout:
    """Where a large file's blocks begin, counted with CRLF line ends; valid for any descriptor of that file."""

    __slots__ = ("after_cr", "clean", "file_size", "offsets", "size")

    def __init__(self, file: BinaryIO) -> None:
        self.offsets = array("Q")
        self.after_cr = bytearray()
        self.file_size = self.size = 0
        after_cr = False
        file.seek(0)
        while block := file.read(PIECE):
            self.offsets.append(self.size)
            self.after_cr.append(after_cr)
            bare = block.count(b"\n") - block.count(b"\r\n") - (after_cr and block[0] == 10)
            self.file_size += len(block)
            self.size += len(block) + bare
            after_cr = block[-1] == 13
        self.clean = self.size == self.file_size


class OnDisk:
    """A large message."""

    __slots__ = ("_file", "layout", "size")

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self._file = file
        self.layout = layout
        self.size = layout.size

    def read(self, start: int, end: int) -> bytes:
        """See Octets."""
        end = min(end, self.size)
        if start >= end:
            return b""
        if self.layout.clean:
            self._file.seek(start)
            return _whole(self._file.read(end - start), end - start)
        pieces: list[bytes] = []
        index = bisect_right(self.layout.offsets, start) - 1
        position = self.layout.offsets[index]
        self._file.seek(index * PIECE)
        while position < end:
            block = self._file.read(PIECE)
            if not block:
                raise Torn
            torn = self.layout.after_cr[index] and block[0] == 10
            block = b"\n" + normalise(block[1:]) if torn else normalise(block)
            pieces.append(block[max(0, start - position) : end - position])
            position += len(block)
            index += 1
        return _whole(b"".join(pieces), end - start)


class Spilled:
    """Octets that were made, too many to keep in memory: in a file without a name."""

    __slots__ = ("_file", "size")

    def __init__(self, data: bytes) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.size = len(data)
        self._file.write(data)

    def read(self, start: int, end: int) -> bytes:
        """See Octets."""
        end = min(end, self.size)
        if start >= end:
            return b""
        self._file.seek(start)
        return _whole(self._file.read(end - start), end - start)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class Slices:
    """Lets functions that only take slices of a message's bytes work on a large one."""

    __slots__ = ("_octets",)

    def __init__(self, octets: Octets) -> None:
        self._octets = octets

    def __getitem__(self, where: slice) -> bytes:
        return self._octets.read(where.start, where.stop)


def pieces(octets: Octets, start: int, end: int, plain: bool) -> Iterator[bytes]:
    """A range in pieces; `plain`: fit for a plain literal."""
    for position in range(start, end, PIECE):
        data = octets.read(position, min(position + PIECE, end))
        yield without_nul(data) if plain else data


def without_nul(data: bytes) -> bytes:
    """The same number of octets, none of them NUL."""
    return data.replace(b"\0", b"\x80") if b"\0" in data else data


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise Torn
    return data
