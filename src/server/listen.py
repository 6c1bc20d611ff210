"""A worker's side of the listening sockets (binding.py), and the transport of a connection.

Rules that keep it right:

1. All workers wait on the same sockets, which stay open in the supervisor: a worker that dies or is replaced costs
   nobody a refused connection. Each takes one or two connections per round, so that a burst spreads.
2. When no descriptor is left, a listener rests for a moment instead of spinning.
3. The transport tries to send at once. Twisted's own waits for the next round of its reactor, which costs a round
   trip two system calls and a wake-up more.
"""

import errno
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import abstract, tcp

BATCH = 2
REST = 0.5
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Transport(tcp.Server):
    """A connection's socket in the reactor."""

    def write(self, data: bytes) -> None:
        """Send at once what the kernel takes, buffer the rest."""
        if self.connected and not (self._tempDataLen or self.dataBuffer or self._writeDisconnecting):
            try:
                sent = self.socket.send(data)
            except OSError:  # would block, or broken: the reactor finds out which
                sent = 0
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        abstract.FileDescriptor.write(self, data)


class Port:
    """One listening socket in one worker."""

    def __init__(self, reactor: Any, listening: socket.socket, connected: Callable[[socket.socket, Any], None]) -> None:
        """`connected(socket, address)` owns the socket it is given."""
        self._reactor = reactor
        self._socket = listening
        self._connected = connected
        self._resting: Any = None

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For the reactor."""
        return "listener"

    def start(self) -> None:
        """Accept connections."""
        self._socket.setblocking(False)
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Accept no more. The socket stays open in the supervisor."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        self._reactor.removeReader(self)
        self._socket.close()

    def doRead(self) -> None:
        """The reactor: somebody is waiting."""
        for _ in range(BATCH):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._reactor.removeReader(self)
                    self._resting = self._reactor.callLater(REST, self._rested)
                return
            self._connected(accepted, address)

    def _rested(self) -> None:
        self._resting = None
        self._reactor.addReader(self)

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""
        self._socket.close()
