"""The form in which an idle session's snapshot is kept: a thousand idle sessions of a thousand messages each would
hold 24 MB in open arrays and need a tenth of it packed.

A resting snapshot is exactly what the client was told; waking up it is either replaced by an equal one that the index
gives anyway, or unpacked and compared as usual. At most `LIMIT` messages are kept open in one process; the mailboxes
that were used longest ago rest first.
"""

import threading
import zlib
from array import array
from collections import OrderedDict
from typing import Protocol

from ..index.head import Head
from ..index.snapshot import Chunk, Snapshot

LIMIT = 500_000
"""Messages in open snapshots of one process; about 24 bytes each."""


class Resting:
    """A snapshot, packed."""

    __slots__ = ("_packed", "head")

    def __init__(self, snapshot: Snapshot) -> None:
        self.head: Head = snapshot.head
        columns = [snapshot.uids.tobytes()]
        columns += [chunk.flags.tobytes() for chunk in snapshot.chunks]
        columns += [chunk.modseqs.tobytes() for chunk in snapshot.chunks]
        self._packed = zlib.compress(b"".join(columns), 1)

    def wake(self, newest: Snapshot | None) -> Snapshot:
        """The snapshot as it was; `newest` itself when nothing happened meanwhile."""
        if newest is not None and newest.head == self.head:
            return newest
        data = zlib.decompress(self._packed)
        total = len(data) // 20
        uids, flags, modseqs = array("I", data[: 4 * total]), array("Q"), array("Q")
        flags.frombytes(data[4 * total : 12 * total])
        modseqs.frombytes(data[12 * total :])
        chunks, firsts, start = [], array("I"), 0
        directory = self.head.directory()
        for count, version in zip(directory.counts, directory.hot, strict=True):
            piece = slice(start, start + count)
            chunks.append(Chunk(uids[piece], flags[piece], modseqs[piece], version))
            firsts.append(uids[start])
            start += count
        return Snapshot(self.head, tuple(chunks), firsts)


class Rests(Protocol):
    """Something whose open snapshots can be packed."""

    def rest(self) -> None:
        """Pack them (reactor thread)."""


class Wakeful:
    """Which mailboxes of this process have open snapshots, the longest unused first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open: OrderedDict[Rests, int] = OrderedDict()
        self._messages = 0

    def touch(self, mailbox: Rests, messages: int) -> None:
        """`mailbox` is in use with so many messages (reactor thread); others may have to rest for it."""
        tired: list[Rests] = []
        with self._lock:
            self._messages += messages - self._open.pop(mailbox, 0)
            self._open[mailbox] = messages
            while self._messages > self._limit and len(self._open) > 1:
                other, count = self._open.popitem(last=False)
                self._messages -= count
                tired.append(other)
        for other in tired:
            other.rest()

    def forget(self, mailbox: Rests) -> None:
        """It has no open snapshots any more."""
        with self._lock:
            self._messages -= self._open.pop(mailbox, 0)
