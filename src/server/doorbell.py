"""Tells the other workers of this server that a mailbox changed: one datagram socket per worker in a common folder.

Rules that keep it right:

1. `ring` is for any thread, never waits and never raises.
2. A ring must not get lost because a worker is busy and its queue (ten datagrams on many systems) is full: what
   cannot be delivered now is kept, each mailbox once, and tried again until it is delivered or the worker is gone.
3. The folder is the list of workers. A socket that refuses belongs to a dead process and is removed.
"""

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

RETRY = 0.01
SETTLED = 1_000_000_000
_SEPARATOR = b"\0"
_CODEC = ("utf-8", "surrogateescape")
_LONGEST = 65_536


class Bell:
    """One worker's end; implements model.events.Doorbell."""

    def __init__(self, reactor: Any, directory: str, rung: Callable[[str, str], None]) -> None:
        """`rung(account, mailbox_id)` is called on the reactor thread for every change, our own included."""
        self._reactor = reactor
        self._directory = directory
        self._rung = rung
        self._name = f"{os.getpid()}"
        self._path = os.path.join(directory, self._name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self._path)
        self._lock = threading.Lock()
        self._peers: list[str] = []
        self._seen = -1
        self._undelivered: dict[tuple[str, bytes], None] = {}
        self._own: dict[tuple[str, str], None] = {}
        self._closed = False
        reactor.addReader(self)

    # --- for any thread ---------------------------------------------------------------------------------------------

    def ring(self, account: str, mailbox_id: str) -> None:
        """That mailbox of that account changed."""
        with self._lock:
            first = not self._own
            self._own[account, mailbox_id] = None
        if first:
            self._reactor.callFromThread(self._ring_here)
        message = _SEPARATOR.join((account.encode(*_CODEC), mailbox_id.encode(*_CODEC)))
        for peer in self._others():
            if not self._deliver(peer, message):
                with self._lock:
                    first = not self._undelivered
                    self._undelivered[peer, message] = None
                if first:
                    self._reactor.callFromThread(self._later)

    def _others(self) -> list[str]:
        try:
            changed = os.stat(self._directory).st_mtime_ns
            # A folder that changed a moment ago may change again without its time telling.
            if changed != self._seen or changed > time.time_ns() - SETTLED:
                self._peers = [
                    os.path.join(self._directory, name) for name in os.listdir(self._directory) if name != self._name
                ]
                self._seen = changed
        except OSError:
            return []
        return self._peers

    def _deliver(self, peer: str, message: bytes) -> bool:
        """False: try again later."""
        try:
            self._socket.sendto(message, socket.MSG_DONTWAIT, peer)
        except (BlockingIOError, InterruptedError):
            return self._closed
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return self._closed
            if error.errno == errno.ECONNREFUSED:
                with contextlib.suppress(OSError):
                    os.unlink(peer)
        return True

    # --- on the reactor thread --------------------------------------------------------------------------------------

    def _ring_here(self) -> None:
        with self._lock:
            own, self._own = self._own, {}
        for account, mailbox_id in own:
            self._rung(account, mailbox_id)

    def _later(self) -> None:
        if not self._closed:
            self._reactor.callLater(RETRY, self._retry)

    def _retry(self) -> None:
        with self._lock:
            waiting, self._undelivered = self._undelivered, {}
        blocked: set[str] = set()
        rest: dict[tuple[str, bytes], None] = {}
        for peer, message in waiting:
            if peer in blocked or not self._deliver(peer, message):
                blocked.add(peer)
                rest[peer, message] = None
        if rest:
            with self._lock:
                fresh = bool(self._undelivered)  # then whoever added it has asked for a retry
                self._undelivered.update(rest)
            if not fresh:
                self._later()

    def doRead(self) -> None:
        """The reactor: somebody rang. A mailbox that was rung several times is looked at once."""
        rung: dict[bytes, None] = {}
        for _ in range(256):
            try:
                rung[self._socket.recv(_LONGEST)] = None
            except OSError:
                break
        for message in rung:
            account, _, mailbox_id = message.partition(_SEPARATOR)
            self._rung(account.decode(*_CODEC), mailbox_id.decode(*_CODEC))

    def fileno(self) -> int:
        """For the reactor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """For the reactor."""
        return "doorbell"

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""
        self.close()

    def close(self) -> None:
        """Hear and say nothing any more."""
        if not self._closed:
            self._closed = True
            self._reactor.removeReader(self)
            self._socket.close()
            with contextlib.suppress(OSError):
                os.unlink(self._path)
