"""Files that share a base, or have none: each gets a base of its own, so that each is a message (as in Dovecot).

It is done under the folder's lock, so that two who find the same pair do not each rename the other's; when the lock
cannot be had soon, it waits for the next scan.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...model.errors import MailError
from .. import durable
from . import names
from .names import NEW

if TYPE_CHECKING:
    from .folder import MaildirFolder

_WAIT = 0.5
_SAME_FILE = 30
"""Seconds without change after which two names of one file are a leftover, not a rename on its way (as in Dovecot)."""


def set_apart(folder: "MaildirFolder", doubles: Sequence[Sequence[bytes]], misnamed: Sequence[bytes]) -> None:
    """Rename all of `misnamed`, and of each group in `doubles` all but the first."""
    with contextlib.suppress(MailError, OSError), folder.lock.held(_WAIT):
        for first, *others in doubles:
            for locator in others:
                _set_one_apart(folder, first, locator)
        for locator in misnamed:
            _rebase(folder, locator, "misnamed-file")


def _set_one_apart(folder: "MaildirFolder", first: bytes, locator: bytes) -> None:
    path = folder.place(locator)
    try:
        one, two = os.lstat(folder.place(first)), os.lstat(path)
    except FileNotFoundError:
        return
    if (one.st_dev, one.st_ino) != (two.st_dev, two.st_ino):
        _rebase(folder, locator, "duplicate-name")
    elif time.time() - two.st_ctime > _SAME_FILE:
        durable.unlink(path)
        folder.root.report("duplicate-link", os.fsdecode(path), "the message has another name")


def _rebase(folder: "MaildirFolder", locator: bytes, event: str) -> None:
    prefix = NEW if locator.startswith(NEW) else b""
    name = locator.removeprefix(NEW)
    fresh = names.fresh() + name[len(names.base_of(name)) :]
    with contextlib.suppress(FileNotFoundError):
        durable.rename(folder.place(locator), folder.place(prefix + fresh))
        folder.root.report(event, os.fsdecode(folder.place(locator)), f"renamed to {os.fsdecode(fresh)}")
