"""Mending an index that the verifier complained of, from the smallest thing that helps to the largest.

Nothing is ever mended in place: what is wrong is taken away, and the account layer builds it from the mail store when
it is next asked for. A mailbox's rows go alone when only they are wrong; the environment is moved aside whole when its
structure is, and the last few of those are kept for a look.
"""

import os
import time
from dataclasses import dataclass, field

from . import folder
from .account import AccountIndex
from .env import Environments
from .errors import IndexUnavailable
from .verify import VerifyResult, verify_environment


@dataclass(slots=True)
class Repair:
    """What was found and what was done about it."""

    found: VerifyResult
    moved_to: str | None = None
    """Where the damaged environment lies now."""
    dropped: list[str] = field(default_factory=list)
    """GUIDs of the mailboxes whose rows were dropped."""
    failed: str | None = None
    """Why nothing, or not all, could be done."""
    seconds: float = 0.0


def repair(path: str, environments: Environments) -> Repair:
    """Verify, and take away what is damaged. For a command line tool or a pool thread; may take long."""
    started = time.monotonic()
    path = os.path.realpath(path)
    before = _inode(path)
    done = Repair(verify_environment(path))
    if done.found.structure:
        done.moved_to = folder.move_aside(path, before, timeout=10.0)
        folder.prune(path)
        if done.moved_to is None and _inode(path) == before:
            done.failed = "the environment could not be moved aside"
    elif done.found.mailboxes:
        index = AccountIndex(path, environments)
        try:
            for guid in done.found.mailboxes:
                if guid:
                    index.remove(guid)
                    done.dropped.append(guid)
            index.sweep()
        except IndexUnavailable as problem:
            done.failed = str(problem)
    done.seconds = time.monotonic() - started
    return done


def discard(path: str) -> bool:
    """Throw the index away, sound or not: it is built anew when it is next asked for. True when there was one."""
    path = os.path.realpath(path)
    if not os.path.lexists(path):
        return False
    if folder.move_aside(path, keep=False, timeout=10.0) is None and os.path.lexists(path):
        raise IndexUnavailable(f"{path}: cannot be moved")
    folder.prune(path)
    return True


def moved_aside(path: str) -> list[str]:
    """Damaged environments of this account that are kept, the oldest first."""
    return folder.damaged(os.path.realpath(path))


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(f"{path}/data.mdb")
    except OSError:
        return None
    return found.st_dev, found.st_ino
