"""What all folders of one mail store share: the root's path and modes, new UIDVALIDITYs, and what was noticed."""

import contextlib
import os
import stat
import threading
from collections import deque

from ...model.store import Report
from .. import durable
from . import uidvalidity

_KEPT_REPORTS = 1000


class Root:
    """One store's root directory."""

    def __init__(self, path: bytes) -> None:
        self.path = path
        self._modes: tuple[int, int] | None = None
        self._reports: deque[Report] = deque(maxlen=_KEPT_REPORTS)
        self._busy = threading.Lock()

    @property
    def directory_mode(self) -> int:
        """New directories get the root's mode, as in Dovecot."""
        return self._read_modes()[0]

    @property
    def file_mode(self) -> int:
        """New files too, without the right to execute."""
        return self._read_modes()[1]

    def _read_modes(self) -> tuple[int, int]:
        if self._modes is None:
            try:
                mode = stat.S_IMODE(os.stat(self.path).st_mode)
            except OSError:
                return 0o700, 0o600
            self._modes = (mode & 0o7777 | 0o700, mode & 0o666 | 0o600)
        return self._modes

    def make(self) -> None:
        """The root with the parts of INBOX; cur comes last, since it is what makes a mailbox."""
        if not os.path.isdir(self.path):
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            # Two first logins of one user may come together.
            with contextlib.suppress(FileExistsError):
                durable.make_directory(self.path, 0o700)
            durable.dirsync(os.path.dirname(self.path))
        make_parts(self.path, self.directory_mode)

    def new_uidvalidity(self, above: int = 0) -> int:
        """See uidvalidity.py."""
        return uidvalidity.next_uidvalidity(self.path, self.file_mode, above)

    def report(self, event: str, path: str, detail: str) -> None:
        """Note what was mended or could not be read."""
        with self._busy:
            self._reports.append(Report(event, path, detail))

    def drain_reports(self) -> list[Report]:
        """All notes since the last call."""
        with self._busy:
            reports = list(self._reports)
            self._reports.clear()
        return reports


def read_file(path: bytes) -> bytes:
    """All of a small file."""
    with open(path, "rb") as file:
        return file.read()


def make_parts(path: bytes, mode: int) -> None:
    """tmp, new and cur, those that are missing."""
    made = False
    for part in (b"tmp", b"new", b"cur"):
        place = os.path.join(path, part)
        if not os.path.isdir(place):
            with contextlib.suppress(FileExistsError):
                durable.make_directory(place, mode)
            made = True
    if made:
        durable.dirsync(path)
