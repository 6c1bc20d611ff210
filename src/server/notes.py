"""What each thread of a process is reading right now, in memory that outlives it.

A damaged LMDB file can kill the process that reads it (SIGBUS, SIGABRT, SIGSEGV). The worker writes the path of an
index here before it reads its pages and clears it after; when it dies by a signal, the supervisor reads what is left
and knows whom to suspect. Writing a note costs about a microsecond: a slice assignment into shared memory.
"""

import mmap
import os
import threading

SLOT = 512
SLOTS = 64
SIZE = SLOT * SLOTS


def create() -> int:
    """Shared memory for one process; a descriptor that it inherits."""
    made = os.memfd_create("culverhouse-notes", os.MFD_CLOEXEC)
    os.ftruncate(made, SIZE)
    return made


def read(descriptor: int) -> set[str]:
    """In the supervisor: the paths that were being read."""
    paths = set()
    for slot in range(SLOTS):
        data = os.pread(descriptor, SLOT, slot * SLOT)
        size = int.from_bytes(data[:2], "big")
        if 0 < size <= SLOT - 2:
            paths.add(os.fsdecode(data[2 : 2 + size]))
    return paths


class Notes:
    """In the process: implements the `note` of index.env.Environments."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SIZE)
        self._slots: dict[int, int] = {}
        self._lock = threading.Lock()

    def __call__(self, path: str | None) -> None:
        """This thread is about to read that index; None: it has done so."""
        thread = threading.get_ident()
        start = self._slots.get(thread)
        if start is None:
            start = self._take(thread)
        if path is None:
            self._memory[start : start + 2] = b"\0\0"
            return
        data = os.fsencode(path)[: SLOT - 2]
        self._memory[start + 2 : start + 2 + len(data)] = data
        self._memory[start : start + 2] = len(data).to_bytes(2, "big")

    def _take(self, thread: int) -> int:
        with self._lock:
            # Pool threads come and go; a slot of one that has ended is free again.
            living = {one.ident for one in threading.enumerate()}
            for ended in [one for one in self._slots if one not in living]:
                del self._slots[ended]
            used = set(self._slots.values())
            free = next((slot * SLOT for slot in range(SLOTS) if slot * SLOT not in used), (SLOTS - 1) * SLOT)
            self._slots[thread] = free
            return free
