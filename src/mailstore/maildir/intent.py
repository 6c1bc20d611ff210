"""What must happen wholly or not at all, written down before it begins: `culverhouse-intent.<key>` in the store's root.

It lists renames of finished files: from a folder's tmp/ (several messages that arrive or are copied) or from another
folder (several that are moved), each to its final place, and for a move between file systems the original that goes
last. There is one intent per target folder, under that folder's lock.

Rules that keep it right:
1. All files an intent names are on the disk before it is; so it can always be played forward, and playing it again
   once it is done finds nothing to do.
2. A command that fails while its process lives first turns its intent back (one rename, which needs no space), then
   undoes what it did; an intent found turned back is undone.
3. Who finds one under the folder's lock finishes it before anything else. When the disk refuses, it stays.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import durable
from .root import Root, read_file

PREFIX = b"culverhouse-intent."
_BACK = b".back"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One file on its way. Folders are relative to the root; a place is `cur/name`, `new/name` or `tmp/name`."""

    folder: bytes
    place: bytes
    target: bytes
    """In the intent's own folder."""
    original: tuple[bytes, bytes] | None = None
    """(folder, place) to remove once `target` is there."""


def place_of(locator: bytes) -> bytes:
    """Where a locator's file lies, relative to its folder."""
    return locator if locator.startswith(b"new/") else b"cur/" + locator


def key_of(relative: bytes) -> bytes:
    """The part of an intent's file name that stands for a folder."""
    return hashlib.sha256(relative).hexdigest()[:24].encode()


class IntentFile:
    """The intent of one target folder."""

    def __init__(self, root: Root, relative: bytes) -> None:
        self._root = root
        self.relative = relative
        self._forward = os.path.join(root.path, PREFIX + key_of(relative))
        self._back = self._forward + _BACK

    def write(self, steps: Sequence[Step]) -> None:
        """Durably."""
        content = {
            "version": VERSION,
            "folder": os.fsdecode(self.relative),
            "steps": [
                [os.fsdecode(word) for word in (step.folder, step.place, step.target, *(step.original or ()))]
                for step in steps
            ],
        }
        data = json.dumps(content, separators=(",", ":")).encode() + b"\n"
        durable.replace(self._forward, data, self._root.file_mode, "intent")

    def turn_back(self) -> None:
        """From now on it is to be undone."""
        durable.rename(self._forward, self._back, "intent-back")

    def remove(self) -> None:
        """It is done, or undone."""
        for path in (self._forward, self._back):
            with contextlib.suppress(OSError):
                durable.unlink(path, "intent-remove")

    def found(self) -> tuple[list[Step], bool] | None:
        """(steps, whether to go forward) of what a crash left; a file that makes no sense is reported and set aside."""
        for path, forward in ((self._forward, True), (self._back, False)):
            try:
                data = read_file(path)
            except FileNotFoundError:
                continue
            try:
                return _parse(data), forward
            except ValueError as error:
                self._root.report("intent-damaged", os.fsdecode(path), str(error))
                durable.rename(path, path.replace(PREFIX, b"culverhouse-damaged-intent."), "intent-aside")
        return None


def _parse(data: bytes) -> list[Step]:
    content = json.loads(data)
    if not isinstance(content, dict) or content.get("version") != VERSION or not isinstance(content.get("steps"), list):
        raise ValueError("not an intent of this version")
    return [_step(words) for words in content["steps"]]


def _step(words: Any) -> Step:
    if not isinstance(words, list) or len(words) not in (3, 5) or not all(isinstance(word, str) for word in words):
        raise ValueError("a step that is none")
    folder, place, target, *original = map(os.fsencode, words)
    for path in (folder, place, target, *original):
        if path.startswith(b"/") or b".." in path.split(b"/") or b"\0" in path:
            raise ValueError("a step that leads out of the store")
    return Step(folder, place, target, (original[0], original[1]) if original else None)


def folders(root: Root) -> Iterable[bytes]:
    """Folders, relative to the root, that have an intent."""
    for name in os.listdir(root.path):
        if name.startswith(PREFIX) and not name.startswith(b"temp."):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                content = json.loads(read_file(os.path.join(root.path, name)))
                yield os.fsencode(content["folder"])
