"""The supervisor's children: a process or the place of one, its link, and the set of them that one configuration has.

What a child is told and when it is started again is the supervisor's business (supervisor.py); here is how.
"""

import os
import selectors
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

from ..config import Config
from . import notes
from .orders import LONGEST_WORD, Order, Word, packed, word
from .pem import Pem
from .process import Identity, command, environment

HEAD = struct.Struct(">I")


class Nonsense(Exception):
    """A child does not keep to the protocol."""


class Child:
    """One process, or the place of one that is about to be started again."""

    def __init__(self, role: str, slot: int, generation: "Generation") -> None:
        self.role = role
        self.generation = generation
        self.name = f"{role}.{generation.number}" if role == "auth" else f"{role}-{slot + 1}.{generation.number}"
        self.process: subprocess.Popen[bytes] | None = None
        self.link: socket.socket | None = None
        self.started = 0.0
        self.heard = 0.0
        self.ready = False
        self.notes = -1
        """A worker's memory of what it reads (notes.py)."""
        self.again_at: float | None = 0.0
        """When it is to be started; None: it runs, or is not to be started any more."""
        self.delay = 0.0
        self.leaving = False
        """It was told to end."""
        self.kill_at: float | None = None
        self._out = b""
        self._input = bytearray()

    def launch(
        self, selector: selectors.BaseSelector, user: Identity | None, passed: list[int], setup: Order, now: float
    ) -> None:
        """Start the process and give it its setup. Raises OSError or SubprocessError."""
        ours, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                command(self.role, theirs.fileno()), pass_fds=[theirs.fileno(), *passed], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, env=environment(), process_group=0, umask=0o077, **rights(user),
            )
        except (OSError, subprocess.SubprocessError):
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self.link = ours
        self._out = b""
        self._input = bytearray()
        self.started = self.heard = now
        self.ready = self.leaving = False
        self.again_at = self.kill_at = None
        selector.register(ours, selectors.EVENT_READ, self)
        self.order(selector, setup)

    def order(self, selector: selectors.BaseSelector, said: Order) -> None:
        """Tell it something, as soon as it listens."""
        if self.link is not None:
            frame = packed(said)
            self._out += HEAD.pack(len(frame)) + frame
            self.send(selector)

    def send(self, selector: selectors.BaseSelector) -> None:
        """Send what is still to be sent."""
        if self.link is None:
            return
        try:
            while self._out:
                self._out = self._out[self.link.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended; SIGCHLD says the rest
            self._out = b""
        selector.modify(self.link, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0), self)

    def words(self, selector: selectors.BaseSelector) -> Iterator[Word]:
        """What it has said. Raises Nonsense."""
        if self.link is None:
            return
        try:
            data = self.link.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.hang_up(selector)
            return
        self._input += data
        while len(self._input) >= HEAD.size:
            (size,) = HEAD.unpack_from(self._input)
            if size > LONGEST_WORD:
                self.hang_up(selector)
                raise Nonsense
            end = HEAD.size + size
            if len(self._input) < end:
                return
            frame = bytes(self._input[HEAD.size : end])
            del self._input[:end]
            said = word(frame)
            if said is not None:
                yield said

    def hang_up(self, selector: selectors.BaseSelector) -> None:
        """Close the link; the process ends by that."""
        if self.link is not None:
            selector.unregister(self.link)
            self.link.close()
            self.link = None

    def note(self) -> int:
        """New memory for its notes."""
        self.forget()
        self.notes = notes.create()
        return self.notes

    def noted(self) -> set[str]:
        """What it was reading."""
        return notes.read(self.notes) if self.notes >= 0 else set()

    def forget(self) -> None:
        """Let go of its notes."""
        if self.notes >= 0:
            os.close(self.notes)
            self.notes = -1

    def abort(self, now: float) -> None:
        """It hangs: faulthandler writes down where; what is left of it is killed."""
        if self.process is not None:
            self.process.send_signal(signal.SIGABRT)
            self.kill_at = now + 1.0


class Generation:
    """The auth process and the workers of one configuration."""

    def __init__(self, number: int, config: Config, pems: tuple[Pem, ...]) -> None:
        self.number = number
        self.config = config
        self.pems = pems
        count = config.server.workers or os.cpu_count() or 1
        self.auth = Child("auth", 0, self)
        self.workers = [Child("worker", slot, self) for slot in range(count)]

    def children(self) -> list[Child]:
        """All of them."""
        return [self.auth, *self.workers]

    @property
    def ready(self) -> bool:
        """All accept."""
        return all(child.ready for child in self.children())


def rights(user: Identity | None) -> dict[str, Any]:
    """For Popen: run as that user, with its groups and no others."""
    return {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": user.groups}
