"""Listing new/ and cur/ while other programs change them.

Rules that keep it right:
1. A listing is stable only when both directories bear the same times before and after it, and when those times are
   older than the kernel's clock showed before it: a later change would have left another time.
2. A directory that was changed less than 2 s ago is not settled; a time in the future counts as settled, since the
   next change will not leave it there.
3. A message that is in new/ and in cur/ was being moved: cur/ wins. When a stable listing shows it twice, or one base
   under two names in cur/, there are two files: one gets a fresh base (as in Dovecot).
"""

import errno
import os
import re
import struct
import time
from collections.abc import Iterable

from ...model.errors import Kind, MailError
from ...model.store import Fingerprint
from .names import NEW, base_of

_SETTLED = 2_000_000_000
_COARSE = getattr(time, "CLOCK_REALTIME_COARSE", 5)
_TICK = 0.002
_TICKS = 6
_PACK = struct.Struct("=10Q")
_BASES = re.compile(rb"\0(?!\.)([^\0,:]+)")
"""Of names joined by NUL; a name that begins with a dot, or with what ends a base, has none."""
_MASK = (1 << 64) - 1
_SLICE = 4096

Times = tuple[int, int, int, int]
"""Inode and mtime of cur/ and new/."""


def times(path: bytes) -> Times:
    """Of a folder's two directories."""
    cur, new = os.stat(path + b"/cur"), os.stat(path + b"/new")
    return cur.st_ino, cur.st_mtime_ns, new.st_ino, new.st_mtime_ns


def fingerprint(path: bytes, seen: Times, files: Iterable[bytes], uidlist: bytes) -> Fingerprint:
    """Times of the directories as they were `seen`, and of side files now. Of the uidlist only the inode counts: a
    line that is appended changes no message."""
    now = time.time_ns()
    newest = max(seen[1], seen[3])
    numbers = [*seen]
    for name in files:
        inode, size, mtime = _state(os.path.join(path, name))
        newest = max(newest, mtime)
        numbers += (inode ^ size << 40, mtime)
    numbers.append(_state(os.path.join(path, uidlist))[0])
    numbers += [0] * (10 - len(numbers))
    settled = not now - _SETTLED < newest <= now + _SETTLED
    return Fingerprint(_PACK.pack(*(number & _MASK for number in numbers)), settled)


def _state(path: bytes) -> tuple[int, int, int]:
    try:
        state = os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return 0, 0, 0
    return state.st_ino, state.st_size, state.st_mtime_ns


class Listing:
    """The names in new/ and cur/ at one time."""

    def __init__(self, path: bytes) -> None:
        before = times(path)
        for _ in range(_TICKS):
            newest, clock = max(before[1], before[3]), _coarse_clock()
            self.calm = newest < clock or newest > clock + _SETTLED
            if self.calm:
                break
            # Changed in this very tick: another change now would leave the same time.
            time.sleep(_TICK)
            before = times(path)
        self.new = os.listdir(path + b"/new")
        self.cur = os.listdir(path + b"/cur")
        self.times = before
        self.stable = self.calm and times(path) == before
        self.misnamed: list[bytes] = []
        """Locators of files that have no base; they are in no other list."""
        self.bases: set[bytes] = set()
        for prefix, names in ((b"", self.cur), (NEW, self.new)):
            if not self._read_bases(names):
                self.misnamed += [prefix + name for name in names if name[:1] in (b",", b":") and not _broken(name)]
                names[:] = [name for name in names if name[:1] not in (b".", b",", b":") and not _broken(name)]
                self._read_bases(names)

    def _read_bases(self, names: list[bytes]) -> bool:
        """Take the bases of these names; False when there are some that are no messages."""
        for part in _parts(names):
            joined = b"\0" + b"\0".join(part)
            found = _BASES.findall(joined)
            if len(found) < len(part) or b"\n" in joined or b"\r" in joined:
                return False
            self.bases.update(found)
        return True

    def locators(self) -> set[bytes]:
        """All of them."""
        locators: set[bytes] = set()
        for part in _parts(self.cur):
            locators.update(part)
        locators.update([NEW + name for name in self.new])
        return locators

    def doubles(self) -> list[list[bytes]]:
        """Locators that share a base, cur/ before new/, in order of their names; usually none."""
        if len(self.bases) == len(self.cur) + len(self.new):
            return []
        known: dict[bytes, list[bytes]] = {}
        for prefix, names in ((b"", sorted(self.cur)), (NEW, sorted(self.new))):
            for name in names:
                known.setdefault(base_of(name), []).append(prefix + name)
        return [group for group in known.values() if len(group) > 1]


class Index:
    """A listing packed to find a message by its base at C speed."""

    def __init__(self, listing: Listing) -> None:
        self.stable = listing.stable
        self.times = listing.times
        self.made = time.monotonic()
        self._cur = _packed(listing.cur)
        self._new = _packed(listing.new)

    def find(self, base: bytes) -> bytes | None:
        """The locator with that base."""
        name = _find(self._cur, base)
        if name is not None:
            return name
        name = _find(self._new, base)
        return None if name is None else NEW + name


def _coarse_clock() -> int:
    """The clock that the kernel stamps files with."""
    return time.clock_gettime_ns(_COARSE)


def _parts(names: list[bytes]) -> Iterable[list[bytes]]:
    """Few enough at a time for other threads to get their turn."""
    return (names[start : start + _SLICE] for start in range(0, len(names), _SLICE))


def _broken(name: bytes) -> bool:
    return b"\n" in name or b"\r" in name


def _packed(names: list[bytes]) -> bytes:
    return b"\0" + b"\0".join(names) + b"\0"


def _find(packed: bytes, base: bytes) -> bytes | None:
    needle = b"\0" + base
    place = packed.find(needle)
    while place >= 0:
        after = place + len(needle)
        if packed[after : after + 1] in (b",", b":", b"\0"):
            return packed[place + 1 : packed.find(b"\0", after)]
        place = packed.find(needle, place + 1)
    return None


def gone(error: OSError) -> MailError:
    """What a folder without its directories is."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MailError(Kind.NONEXISTENT, "There is no such mailbox")
    raise error
