"""Messages on their way into a folder: where their files are now, what they measure, what they will be called."""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model.errors import Kind, MailError
from ...model.store import Stored
from .. import durable
from ..spool import FileSpool, virtual_size
from . import names
from .intent import Step
from .names import NEW

if TYPE_CHECKING:
    from .folder import MaildirFolder

TRIES = 4
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(slots=True)
class Coming:
    """A message on its way in."""

    step: Step
    flags: int
    size: int
    vsize: int
    internaldate: int
    path: bytes
    """Where its file is now."""
    source: "tuple[MaildirFolder, bytes] | None" = None
    """The folder and locator it is moved out of."""
    spool: FileSpool | None = None

    @property
    def locator(self) -> bytes:
        """What it will be called."""
        return self.step.target.removeprefix(b"cur/")

    def stored(self, uid: int) -> Stored:
        """What the caller is told."""
        recent = self.locator.startswith(NEW)
        return Stored(uid, self.locator, self.flags, recent, self.size, self.vsize, self.internaldate)


def target_for(flags: int, size: int, vsize: int) -> bytes:
    """A place under a new name: new/ for a message without flags, else cur/."""
    name = names.fresh(size, vsize)
    return NEW + name if not flags else b"cur/" + names.with_flags(name, flags)


@dataclass(frozen=True, slots=True)
class Measured:
    """A message as it lies in its folder."""

    locator: bytes
    size: int
    vsize: int
    when: int


def measure(source: "MaildirFolder", locator: bytes) -> Measured | None:
    """Where a message is now, its sizes and INTERNALDATE; None when it is gone. What the name says of the size with
    CRLF is taken when it says the truth of the other."""
    for _ in range(TRIES):
        try:
            state = os.lstat(source.place(locator))
            parsed = names.parse(locator)
            size, vsize = state.st_size, parsed.vsize
            if not stat.S_ISREG(state.st_mode) or parsed.size != size or vsize is None or vsize < size:
                with contextlib.closing(source.open_exactly(locator)) as message:
                    size, vsize = message.size, virtual_size(message.file.fileno())
            return Measured(locator, size, vsize, int(state.st_mtime))
        except FileNotFoundError:
            found = source.locate(locator)
            if found is None:
                return None
            locator = found
    raise MailError(Kind.UNAVAILABLE, "The message is being changed by another program, try again")


def linked(old: bytes, path: bytes) -> bool:
    """Whether `path` is a second name of the message; False where it has to be copied."""
    try:
        durable.link(old, path)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def spread(coming: Sequence[Coming | None], stored: Sequence[Stored | None]) -> list[Stored | None]:
    """`stored` in the places of those that were there."""
    results = iter(stored)
    return [None if one is None else next(results) for one in coming]
