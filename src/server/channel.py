"""Frames between our own processes: four octets of length, big-endian, then that many octets.

What the octets mean, and whether the other end is to be believed, is the user's business.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from .listen import Transport

HEAD = struct.Struct(">I")


class FrameError(Exception):
    """A frame longer than allowed."""


class Cutter:
    """Cuts a stream into frames."""

    __slots__ = ("_buffer", "_longest")

    def __init__(self, longest: int) -> None:
        self._buffer = bytearray()
        self._longest = longest

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now."""
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= 4:
            (size,) = HEAD.unpack_from(buffer, start)
            if size > self._longest:
                raise FrameError(f"a frame of {size} octets")
            end = start + 4 + size
            if len(buffer) < end:
                break
            frames.append(bytes(buffer[start + 4 : end]))
            start = end
        del buffer[:start]
        return frames


class Channel:
    """A connected socket to another of our processes, in the reactor."""

    def __init__(
        self, reactor: Any, connected: socket.socket, received: Callable[[bytes], None], lost: Callable[[], None],
        longest: int = 1 << 30,
    ) -> None:
        """`received` gets each frame, `lost` is called once when the other end has gone."""
        self._received = received
        self._lost: Callable[[], None] | None = lost
        self._cutter = Cutter(longest)
        self._transport: Any = Transport(connected, self, ("", 0), None, 0, reactor)  # type: ignore[arg-type]

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        if self._lost is not None:
            self._transport.write(HEAD.pack(len(frame)) + frame)

    def send_framed(self, data: bytes) -> None:
        """Queue what is framed already."""
        if self._lost is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Let what is queued leave, then close; `lost` is not called."""
        self._lost = None
        self._transport.loseConnection()

    def makeConnection(self, transport: Any) -> None:
        """For Twisted."""

    def dataReceived(self, data: bytes) -> None:
        """For Twisted."""
        try:
            frames = self._cutter.feed(data)
        except FrameError:
            self._transport.abortConnection()
            return
        for frame in frames:
            if self._lost is None:
                return
            self._received(frame)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """For Twisted."""
        lost, self._lost = self._lost, None
        if lost is not None:
            lost()
