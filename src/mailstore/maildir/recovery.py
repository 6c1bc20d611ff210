"""Finishing, or undoing, what a crash left of a command on several messages (see intent.py). The lock is held."""

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import durable
from . import names, scan
from .intent import Step, place_of

if TYPE_CHECKING:
    from .folder import MaildirFolder


def recover(folder: "MaildirFolder") -> None:
    """Play the folder's intent, if there is one; when the disk refuses, it waits."""
    found = folder.intent.found()
    if found is None:
        return
    steps, forward = found
    try:
        count = _play(folder, steps) if forward else _play_back(folder, steps)
    except OSError as error:
        folder.root.report("intent-waits", folder.path, os.strerror(error.errno or 0))
        return
    folder.intent.remove()
    if count:
        event = "intent-completed" if forward else "intent-undone"
        folder.root.report(event, folder.path, f"{count} of {len(steps)} messages")


def _play(folder: "MaildirFolder", steps: Sequence[Step]) -> int:
    pending: list[tuple[bytes, Step]] = []
    shown: list[Step] = []
    for step in steps:
        if folder.locate(step.target.removeprefix(b"cur/")) is not None:
            shown.append(step)
        elif (path := found_at(folder.root.path, step.folder, step.place)) is not None:
            pending.append((path, step))
    lines = [step.target.partition(b"/")[2] for step in (*shown, *(step for _, step in pending))]
    known = folder.uidlist.find(lines)
    folder.uidlist.append([line for line in lines if line not in known])
    for path, step in pending:
        durable.rename(path, os.path.join(folder.directory, step.target))
    durable.dirsync(folder.directory + b"/new", folder.directory + b"/cur")
    homes = (os.path.dirname(path) for path, step in pending if not step.place.startswith(b"tmp/"))
    durable.dirsync(*homes)
    for step in (*shown, *(step for _, step in pending)):
        if step.original is not None and (path := found_at(folder.root.path, *step.original)) is not None:
            durable.unlink(path)
    return len(pending)


def _play_back(folder: "MaildirFolder", steps: Sequence[Step]) -> int:
    count = 0
    for step in steps:
        locator = folder.locate(step.target.removeprefix(b"cur/"))
        home = os.path.join(folder.root.path, step.folder, step.place)
        if step.place.startswith(b"tmp/"):
            durable.discard(home)
            if locator is not None:
                durable.unlink(folder.place(locator))
                count += 1
        elif locator is not None:
            durable.rename(folder.place(locator), home)
            count += 1
    return count


def found_at(root: bytes, folder: bytes, place: bytes) -> bytes | None:
    """A file that an intent names, also when its flags were changed meanwhile."""
    path = os.path.join(root, folder, place)
    if os.path.lexists(path):
        return path
    if place.startswith(b"tmp/"):
        return None
    directory = os.path.join(root, folder)
    with contextlib.suppress(OSError):
        found = scan.Index(scan.Listing(directory)).find(names.base_of(place.partition(b"/")[2]))
        if found is not None:
            return os.path.join(directory, place_of(found))
    return None
