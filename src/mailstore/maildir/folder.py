"""One mailbox as a Maildir: looking at it, reading messages, changing flags, expunging.

Rules that keep it right:
1. A locator may be old: whatever uses one looks for the message's base when the name is not there, and takes the
   message for gone only when a stable listing doesn't have it.
2. A rename never takes the place of another file: that name belongs to a double, which a scan sets apart first.
3. Flags need no lock and no fsync; what changes a side file is done under `dovecot-uidlist.lock`.
"""

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from ...model.errors import Kind, MailError
from ...model.flags import SYSTEM
from ...model.store import Fingerprint, FolderHeader, Parsed, Pop3Names, Report, Scan
from .. import durable
from ..locking import WAIT, DotLock
from ..spool import FileSpool
from . import ceiling, keywords, names, scan, side_file, uidlist
from .doubles import set_apart
from .intent import IntentFile, place_of
from .names import NEW
from .recovery import recover
from .root import Root, make_parts
from .transaction import Transaction

_TRIES = 6
_REMEMBERED = 5.0
"""Seconds for which a listing made to find a message may serve to find others."""
_EXTRA = ~(SYSTEM | names.LETTER_MASK)
"""Flags that no name can hold."""


class MessageFile:
    """An open message; see model.store.OpenMessage."""

    def __init__(self, file: BinaryIO, state: os.stat_result) -> None:
        self.file = file
        self.size = state.st_size
        self.internaldate = int(state.st_mtime)

    def close(self) -> None:
        """Release the descriptor."""
        self.file.close()


class MaildirFolder:
    """See model.store.Folder."""

    def __init__(self, root: Root, relative: bytes, directory: bytes) -> None:
        self.root = root
        self.relative = relative
        self.directory = directory
        self.path = os.fsdecode(directory)
        mode = root.file_mode
        origin = uidlist.Origin(root.new_uidvalidity, lambda: ceiling.read(directory)[1], self._present, root.report)
        self.uidlist = uidlist.UidList(directory, mode, origin)
        self.keyword_file = keywords.KeywordFile(directory, mode)
        self.side_file = side_file.SideFile(directory, mode, root.report)
        self.intent = IntentFile(root, relative)
        self.messages: int | None = None
        """How many there were at the last stable scan."""
        self.lock = DotLock(self.uidlist.path + b".lock", self.uidlist.path, mode=mode)
        self._extra = side_file.EMPTY
        self._index: scan.Index | None = None
        self._busy = threading.Lock()
        self._corrected = 0.0

    # -- looking --

    def fingerprint(self) -> Fingerprint:
        """See the port."""
        with self.answered():
            return self._fingerprint(scan.times(self.directory))

    def _fingerprint(self, times: scan.Times) -> Fingerprint:
        return scan.fingerprint(self.directory, times, (keywords.NAME, side_file.NAME), uidlist.NAME)

    def scan(self) -> Scan:
        """See the port."""
        with self.answered():
            for attempt in range(_TRIES):
                listing = scan.Listing(self.directory)
                doubles = listing.doubles()
                if listing.stable and (doubles or listing.misnamed) and attempt < _TRIES - 1:
                    set_apart(self, doubles, listing.misnamed)
                elif listing.stable:
                    break
            locators = listing.locators()
            for group in doubles:
                locators.difference_update(group[1:])
            self._extra = self.side_file.load()
            with self._busy:
                self._index = None
            if listing.stable:
                self.messages = len(locators)
            return Scan(locators, self._fingerprint(listing.times), listing.stable)

    def _present(self) -> set[bytes]:
        return scan.Listing(self.directory).bases

    def parse(self, locator: bytes) -> Parsed:
        """See the port. Keywords of the side file are as they were at the last scan or lock."""
        parsed = names.parse(locator)
        if self._extra.flags and (mask := self._extra.flags.get(parsed.base)):
            return replace(parsed, flags=parsed.flags | mask)
        return parsed

    def header(self) -> FolderHeader:
        """See the port."""
        with self.answered():
            header = self.uidlist.peek()
        if header is not None:
            return header
        with self.locked() as transaction:
            return transaction.header

    def watch_paths(self) -> tuple[str, ...]:
        """See the port."""
        return self.path + "/new", self.path + "/cur"

    def keywords(self) -> tuple[str, ...]:
        """See the port."""
        with self.answered():
            letters = self.keyword_file.names()
            more = self.side_file.load().names
        if not more:
            return letters
        return letters + ("",) * (names.LETTERS - len(letters)) + more

    def pop3_names(self) -> Pop3Names:
        """See the port."""
        with self.answered():
            return self.uidlist.pop3_names()

    def drain_reports(self) -> list[Report]:
        """See the port; everything noticed in this store."""
        return self.root.drain_reports()

    # -- one message --

    def place(self, locator: bytes) -> bytes:
        """The path of a locator's file."""
        return b"%b/%b" % (self.directory, place_of(locator))

    def exists(self, locator: bytes) -> bool:
        """See the port."""
        return os.path.lexists(self.place(locator))

    def locate(self, locator: bytes) -> bytes | None:
        """See the port."""
        with self.answered():
            return self._locate(locator)

    def _locate(self, locator: bytes) -> bytes | None:
        if self.exists(locator):
            return locator
        base = names.base_of(locator)
        with self._busy:
            index = self._index
        if index is not None and time.monotonic() - index.made < _REMEMBERED:
            found = index.find(base)
            if found is not None and self.exists(found):
                return found
            if found is None and index.stable and scan.times(self.directory) == index.times:
                return None
        for _ in range(_TRIES):
            index = scan.Index(scan.Listing(self.directory))
            with self._busy:
                self._index = index
            found = index.find(base)
            if found is not None and self.exists(found):
                return found
            if found is None and index.stable:
                return None
        return None

    def open(self, locator: bytes) -> MessageFile:
        """See the port."""
        for _ in range(_TRIES):
            try:
                return self.open_exactly(locator)
            except FileNotFoundError:
                found = self.locate(locator)
                if found is None:
                    break
                locator = found
        raise MailError(Kind.EXPUNGED, "The message is gone")

    def open_exactly(self, locator: bytes) -> MessageFile:
        """The message under just this name. FileNotFoundError."""
        return self._open(self.place(locator))

    def _open(self, path: bytes) -> MessageFile:
        try:
            # A pipe or device under a message's name must not stop us, nor a link lead out of the store.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            self.root.report("message-unreadable", os.fsdecode(path), os.strerror(error.errno or 0))
            raise MailError(Kind.UNREADABLE, "The message cannot be read") from error
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            os.close(descriptor)
            self.root.report("message-unreadable", os.fsdecode(path), "not a file")
            raise MailError(Kind.UNREADABLE, "The message cannot be read")
        return MessageFile(os.fdopen(descriptor, "rb"), state)

    def change_flags(self, locator: bytes, change: Callable[[int], int]) -> tuple[bytes, int] | None:
        """See the port."""
        with self.answered():
            for _ in range(_TRIES):
                parsed = self.parse(locator)
                wanted = change(parsed.flags)
                if (wanted ^ parsed.flags) & _EXTRA:
                    self.place_extra([(parsed.base, wanted & _EXTRA)])
                if (wanted ^ parsed.flags) & ~_EXTRA or (parsed.recent and wanted):
                    target = names.with_flags(locator[4:] if parsed.recent else locator, wanted)
                else:
                    target = locator
                if self._move(locator, target):
                    return target, wanted
                found = self._locate(locator)
                if found is None:
                    return None
                locator = found
            raise MailError(Kind.UNAVAILABLE, "The message is being changed by another program, try again")

    def _move(self, locator: bytes, target: bytes) -> bool:
        """Rename within the folder; False when the message isn't there (rule 1)."""
        if locator == target:
            return self.exists(locator)
        if self.exists(target):
            # Another file with this base, or the rename was done by somebody else.
            if not self.exists(locator):
                return False
            self.scan()
            if self.exists(target):
                raise MailError(Kind.UNAVAILABLE, "Two messages have one name, try again")
        try:
            durable.rename(self.place(locator), self.place(target))
        except FileNotFoundError:
            return False
        return True

    def claim_new(self, locators: Iterable[bytes]) -> dict[bytes, bytes]:
        """See the port. What the disk refuses to move stays in new/ (as in Dovecot)."""
        claimed: dict[bytes, bytes] = {}
        with self.answered():
            for locator in locators:
                name = locator.removeprefix(NEW)
                target = name if b":" in name else name + b":2,"
                try:
                    moved = self._move(locator, target)
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
                        raise
                    claimed[locator] = locator
                    continue
                found = target if moved else self._locate(locator)
                if found is not None:
                    claimed[locator] = found
        return claimed

    def expunge(self, uid: int, locator: bytes, keep_for: Sequence[int]) -> bool:
        """See the port."""
        with self.answered():
            for _ in range(_TRIES):
                if self._expunge(uid, self.place(locator), keep_for):
                    return True
                found = self._locate(locator)
                if found is None:
                    return False
                locator = found
            raise MailError(Kind.UNAVAILABLE, "The message is being changed by another program, try again")

    def _expunge(self, uid: int, path: bytes, keep_for: Sequence[int]) -> bool:
        if keep_for:
            *others, last = keep_for
            for pid in others:
                self._keep(path, self._kept(pid, uid))
            try:
                durable.rename(path, self._kept(last, uid))
                return True
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EMLINK):
                    raise
        return durable.unlink(path)

    def keep_expunged(self, uid: int, locator: bytes, keep_for: Sequence[int]) -> None:
        """See the port."""
        for pid in keep_for:
            self._keep(self.place(locator), self._kept(pid, uid))

    def _keep(self, path: bytes, kept: bytes) -> None:
        # A viewer that loses a message it still sees is told EXPUNGED; that is no reason to refuse.
        with contextlib.suppress(OSError):
            durable.link(path, kept)

    def _kept(self, pid: int, uid: int) -> bytes:
        return b"%b/tmp/culverhouse-%d-%d" % (self.directory, pid, uid)

    def open_expunged(self, pid: int, uid: int) -> MessageFile:
        """See the port."""
        try:
            return self._open(self._kept(pid, uid))
        except FileNotFoundError:
            raise MailError(Kind.EXPUNGED, "The message is gone") from None

    def release_expunged(self, pid: int, uids: Iterable[int]) -> None:
        """See the port."""
        for uid in uids:
            durable.discard(self._kept(pid, uid))

    def correct_size(self, locator: bytes, size: int, vsize: int) -> bytes:
        """See the port. The uidlist's record gets the new name too, so that Dovecot finds the same UID; since that
        rewrites the list, a correction that comes too soon after others is left for the next time."""
        parsed = self.parse(locator)
        if (parsed.size, parsed.vsize) == (size, vsize) or time.monotonic() < self._corrected:
            return locator
        began = time.monotonic()
        try:
            with self.locked(1.0) as transaction, self.answered():
                found = self._locate(locator)
                if found is None:
                    return locator
                prefix = NEW if found.startswith(NEW) else b""
                target = prefix + names.with_sizes(found.removeprefix(NEW), size, vsize)
                if not self._move(found, target):
                    return locator
                self.root.report("size-corrected", os.fsdecode(self.place(found)), f"S={size}, W={vsize}")
                transaction.renamed(target)
        except MailError as error:
            if error.kind is not Kind.INUSE:
                raise
            return locator
        self._corrected = time.monotonic() + 20 * (time.monotonic() - began)
        return target

    # -- changing under the lock --

    @contextlib.contextmanager
    def locked(self, wait: float = WAIT) -> Iterator[Transaction]:
        """See the port."""
        with contextlib.ExitStack() as stack:
            with self.answered():
                gate = stack.enter_context(self.lock.held(wait))
                self.uidlist.load()
                self._extra = self.side_file.load()
                if gate.depth == 1:
                    recover(self)
            yield Transaction(self, gate)

    def spool(self) -> FileSpool:
        """See the port."""
        path = b"%b/tmp/%b" % (self.directory, names.fresh())
        if not os.path.isdir(self.directory + b"/tmp"):
            with self.answered():
                if not os.path.isdir(self.directory + b"/cur"):
                    raise MailError(Kind.NONEXISTENT, "There is no such mailbox")
                make_parts(self.directory, self.root.directory_mode)
        return FileSpool(path, self.root.file_mode)

    def place_extra(self, changes: Sequence[tuple[bytes, int]]) -> None:
        """Record the keywords of these bases that names cannot hold."""
        with self.lock.held():
            side = self.side_file.load()
            flags = side_file.placed(side.flags, changes)
            if flags == side.flags:
                return
            if len(flags) > 64 and len(flags) > 2 * (self.messages or 0):
                listing = scan.Listing(self.directory)
                if listing.stable:
                    present = listing.bases | {base for base, _ in changes}
                    flags = {base: mask for base, mask in flags.items() if base in present}
            self.side_file.write(replace(side, flags=flags))
            self._extra = self.side_file.load()

    @contextlib.contextmanager
    def answered(self) -> Iterator[None]:
        """OSErrors become MailErrors; NONEXISTENT when the folder itself is gone."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR) and not os.path.isdir(self.directory + b"/cur"):
                raise MailError(Kind.NONEXISTENT, "There is no such mailbox") from error
            raise durable.refusal(error) from error
