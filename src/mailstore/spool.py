"""A sink for one message: a file in the target folder's tmp/, counted while it is written.

Rules that keep it right:
1. The file is complete and on the disk when `finish` returns; only then may it become a message.
2. A write that the disk refuses removes the file at once, and so does `discard`, unless the file was delivered.
"""

import contextlib
import os

from ..message.lines import CrlfCounter
from ..model.errors import MailError
from . import durable


class FileSpool:
    """See the module."""

    def __init__(self, path: bytes, mode: int) -> None:
        self.path = path
        self.size = 0
        self.vsize = 0
        self._counter = CrlfCounter()
        self.finished = False
        self._descriptor: int | None = None
        with durable.answered():
            self._descriptor = durable.create(path, mode)

    def write(self, data: bytes) -> None:
        """Append."""
        if self._descriptor is None:
            raise ValueError("the spool is closed")
        if not data:
            return
        try:
            durable.write(self._descriptor, data, "spool-write")
        except OSError as error:
            self.discard()
            raise durable.refusal(error) from error
        self.size += len(data)
        self._counter.feed(data)
        self.vsize = self._counter.size

    def finish(self) -> None:
        """The file is on the disk."""
        if self._descriptor is None:
            raise ValueError("the spool is closed")
        try:
            durable.sync(self._descriptor, "spool-fsync")
        except OSError as error:
            self.discard()
            raise durable.refusal(error) from error
        self._close()
        self.finished = True

    def discard(self) -> None:
        """Close and remove; harmless after delivery."""
        self._close()
        if self.path:
            durable.discard(self.path)
            self.path = b""

    def delivered(self) -> None:
        """The file has become a message, or was given up to whoever delivers it."""
        self.path = b""

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def copy_file(source: int, path: bytes, mode: int) -> None:
    """The bytes and the times of an open file, durably, under a new name."""
    state = os.fstat(source)
    descriptor = durable.create(path, mode)
    try:
        try:
            os.lseek(source, 0, os.SEEK_SET)
            while data := os.read(source, 1 << 20):
                durable.write(descriptor, data, "copy-write")
            os.utime(descriptor, ns=(state.st_atime_ns, state.st_mtime_ns))
            durable.sync(descriptor, "copy-fsync")
        finally:
            os.close(descriptor)
    except (OSError, MailError):
        durable.discard(path)
        raise


def virtual_size(descriptor: int) -> int:
    """Octets of an open file with CRLF line ends."""
    counter = CrlfCounter()
    os.lseek(descriptor, 0, os.SEEK_SET)
    while data := os.read(descriptor, 1 << 20):
        counter.feed(data)
    return counter.size
