"""What every child process does first and last: it must not outlive its parent, nor keep more rights than it needs."""

import ctypes
import ctypes.util
import grp
import os
import pwd
import signal
import sys
from dataclasses import dataclass

CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})
"""What a damaged index can do to the process that reads it."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_NAME = 15


@dataclass(frozen=True, slots=True)
class Identity:
    """A user to become; all its groups with it."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def identity(name: str) -> Identity | None:
    """The user to drop to: None when no name is given or this process is not root. Raises KeyError."""
    if not name or os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(name)
    groups = tuple(sorted({entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if name in group.gr_mem)}))
    return Identity(name, entry.pw_uid, entry.pw_gid, groups)


def command(role: str, descriptor: int) -> list[str]:
    """How a process of ours is started (child.py): never with the current directory on its path. `descriptor` is its
    end of the link to this process."""
    return [sys.executable, "-P", "-m", f"{__package__}.child", role, str(descriptor), str(os.getpid())]


def environment() -> dict[str, str]:
    """For a child: ours, with malloc told what suits it (mallopt(3)).

    Its threads mostly wait, so few arenas do. LMDB takes a few large pieces per environment; left to itself, malloc
    stops giving such pieces back once it has seen some, and a worker that opened many accounts one after the other
    would keep hundreds of kilobytes for each. Ours alone may say otherwise.
    """
    return {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144", **os.environ}


def bind_to_parent(parent: int, name: str) -> None:
    """Die when the parent process dies, at once and without exception; called first in a child.

    The kernel sends the signal when the *thread* ends that started the child: start children from a main thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def resident() -> int:
    """Octets of memory this process has for itself."""
    with open("/proc/self/statm", "rb") as file:
        fields = file.read().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
