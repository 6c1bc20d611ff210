"""Making, removing and renaming the directories of mailboxes.

Rules that keep it right:
1. A mailbox appears by one rename of a finished directory, with its UIDVALIDITY and GUID in it, and goes by one rename
   to a name that no list shows; what a crash leaves of either is removed later (see leftovers.py). Only in the fs
   layout, where a directory may lead to other mailboxes too, it comes and goes piece by piece, and cur/ decides.
2. UIDVALIDITY of a mailbox that goes is passed over by the counter, so that its name never meets it again.
3. Renaming several directories (Maildir++ children) is announced by the file `culverhouse-renames`, which is played to
   the end after a crash.
4. A directory is renamed or removed only between the transactions of its mailbox.
"""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from ...model.errors import Kind, MailError
from .. import durable
from ..layout import PARTS, Layout, cannot
from ..locking import DotLock
from . import ceiling, keywords, side_file, uidlist, uidvalidity
from .folder import MaildirFolder
from .leftovers import drop
from .root import Root, read_file

MAX_MAILBOXES = 10_000
RENAMES = b"culverhouse-renames"
_OWN_FILES = (uidlist.NAME, keywords.NAME, side_file.NAME, ceiling.NAME, b"maildirfolder")


class Structure:
    """The directories of one store."""

    def __init__(self, root: Root, layout: Layout) -> None:
        self._root = root
        self._layout = layout

    # -- making --

    def create(self, name: str, special_use: Sequence[str]) -> None:
        """A new mailbox, with the directories that lead to it. ALREADYEXISTS, CANNOT, LIMIT."""
        relative = self._free(name)
        target = self._layout.path(relative)
        self._make_parents(relative)
        draft = self._hidden(os.path.dirname(target))
        try:
            durable.make_directory(draft, self._root.directory_mode)
            self._fill(draft, special_use)
            try:
                durable.rename(draft, target, "create-rename")
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                self._pour(draft, target)
        except (OSError, MailError):
            drop(draft)
            raise
        durable.dirsync(os.path.dirname(target))

    def _free(self, name: str) -> bytes:
        """The directory for a new name."""
        if any(ord(character) < 32 or ord(character) == 127 for character in name):
            raise cannot("A mailbox name cannot have control characters")
        try:
            parts = self._layout.parts(name)
        except MailError as error:
            raise cannot(error.text) if error.kind is Kind.NONEXISTENT else error from None
        if not parts or self._layout.name(parts) is None:
            raise MailError(Kind.ALREADYEXISTS, "There is such a mailbox already")
        relative = self._layout.relative(name)
        self._check_way(relative)
        if self._occupied(relative):
            raise MailError(Kind.ALREADYEXISTS, "There is such a mailbox already")
        if sum(1 for _ in self._layout.walk()) >= MAX_MAILBOXES:
            raise MailError(Kind.LIMIT, "There are too many mailboxes")
        return relative

    def _check_way(self, relative: bytes) -> None:
        """Nothing on the way is a link that leads out, or a file."""
        path = self._root.path
        for part in relative.split(b"/"):
            path = os.path.join(path, part)
            if not os.path.lexists(path):
                return
            if (os.path.islink(path) and not self._layout.is_inside(path)) or not os.path.isdir(path):
                raise cannot("The name is taken by something that is no mailbox")

    def _occupied(self, relative: bytes) -> bool:
        path = self._layout.path(relative)
        return os.path.lexists(path if self._layout.holds_nothing else os.path.join(path, b"cur"))

    def _make_parents(self, relative: bytes) -> None:
        """Directories that lead to a mailbox of the fs layout; they are no mailboxes themselves."""
        path = self._root.path
        for part in relative.split(b"/")[:-1]:
            parent, path = path, os.path.join(path, part)
            if not os.path.isdir(path):
                with contextlib.suppress(FileExistsError):
                    durable.make_directory(path, self._root.directory_mode)
                durable.dirsync(parent)

    def _hidden(self, directory: bytes) -> bytes:
        """A path that no list shows, Dovecot's included: it leaves out `temp.` here and `.temp.` in the fs layout."""
        path = durable.temporary(directory)
        if self._layout.holds_nothing:
            return path
        return os.path.join(directory, b"." + os.path.basename(path))

    def _fill(self, draft: bytes, special_use: Sequence[str]) -> None:
        """All that a new mailbox has."""
        mode = self._root.file_mode
        for part in PARTS:
            durable.make_directory(os.path.join(draft, part), self._root.directory_mode)
        if self._layout.holds_nothing:
            os.close(durable.create(os.path.join(draft, b"maildirfolder"), mode))
        origin = uidlist.Origin(self._root.new_uidvalidity, lambda: None, set, self._root.report)
        uidlist.UidList(draft, mode, origin).load()
        if special_use:
            side = side_file.Side(tuple(dict.fromkeys(special_use)))
            side_file.SideFile(draft, mode, self._root.report).write(side)
        durable.dirsync(draft)

    def _pour(self, draft: bytes, target: bytes) -> None:
        """A directory that leads to other mailboxes becomes one; cur comes last, since it is what makes a mailbox."""
        for name in _OWN_FILES:
            # Left there by a deletion that was cut short.
            durable.unlink(os.path.join(target, name))
        for name in (*_OWN_FILES, b"tmp", b"new", b"cur"):
            with contextlib.suppress(FileNotFoundError):
                durable.rename(os.path.join(draft, name), os.path.join(target, name), "create-rename")
        durable.dirsync(target)
        drop(draft)

    # -- removing --

    def delete(self, relative: bytes, folder: Callable[[], MaildirFolder]) -> None:
        """Remove a mailbox; `folder` gives it. HASCHILDREN for what only leads to others (RFC 3501 6.3.4)."""
        path = self._layout.path(relative)
        aside = self._hidden(os.path.dirname(path))
        if not self._occupied(relative):
            if not os.path.isdir(path) or self._layout.leads_on(path):
                raise MailError(Kind.HASCHILDREN, "The name only leads to other mailboxes; delete those first")
            self._moved_together([(path, aside)], "delete-rename")
        elif os.path.islink(path):
            raise cannot("The mailbox is another one under a second name")
        else:
            with folder().locked() as transaction:
                uidvalidity.pass_over(self._root.path, self._root.file_mode, transaction.header.uidvalidity)
                if self._layout.leads_on(path):
                    self._empty_out(path, aside)
                else:
                    self._moved_together([(path, aside)], "delete-rename")
        drop(aside)
        self._prune(relative)

    def _empty_out(self, path: bytes, aside: bytes) -> None:
        """Take the mailbox out of a directory that leads to others; without cur/ it is none any more."""
        with os.scandir(path) as entries:
            files = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
        lock = uidlist.NAME + b".lock"
        durable.make_directory(aside, self._root.directory_mode)
        try:
            names = (b"cur", b"new", b"tmp", *(name for name in files if name != lock))
            pairs = [(os.path.join(path, name), os.path.join(aside, name)) for name in names]
            self._moved_together(pairs, "delete-rename")
        except OSError:
            drop(aside)
            raise

    def _prune(self, relative: bytes) -> None:
        """Directories of the fs layout that led to a mailbox, and lead nowhere now, go with it."""
        while relative := os.path.dirname(relative):
            try:
                durable.remove_directory(self._layout.path(relative))
            except OSError:
                return

    # -- renaming --

    def rename(self, relative: bytes, new: str) -> list[bytes]:
        """Give a mailbox and all below it a new name. The old directories. ALREADYEXISTS, CANNOT."""
        target = self._free(new)
        if os.path.lexists(self._layout.path(target)):
            raise MailError(Kind.ALREADYEXISTS, "There is such a name already")
        pairs = [(one, self._layout.moved(one, relative, target)) for one in self._layout.family(relative)]
        if any(os.path.lexists(self._layout.path(there)) for _, there in pairs):
            raise MailError(Kind.ALREADYEXISTS, "There is such a mailbox already below the new name")
        self._make_parents(target)
        with self._announced(pairs):
            paths = [(self._layout.path(here), self._layout.path(there)) for here, there in pairs]
            self._moved_together(paths, "mailbox-rename", self._between_transactions)
        self._prune(relative)
        return [here for here, _ in pairs]

    @contextlib.contextmanager
    def _announced(self, pairs: Sequence[tuple[bytes, bytes]]) -> Iterator[None]:
        """Rule 3."""
        if len(pairs) < 2:
            yield
            return
        path = os.path.join(self._root.path, RENAMES)
        with DotLock(path + b".lock", path).held():
            words = [[os.fsdecode(here), os.fsdecode(there)] for here, there in pairs]
            try:
                durable.replace(path, json.dumps(words).encode() + b"\n", self._root.file_mode, "renames")
                yield
            except (OSError, MailError):
                if all(os.path.lexists(self._layout.path(here)) for here, _ in pairs):
                    durable.discard(path)
                raise
            durable.discard(path)

    @contextlib.contextmanager
    def _between_transactions(self, old: bytes, new: bytes) -> Iterator[None]:
        """While a mailbox's directory is renamed nobody is at work in it."""
        lock = uidlist.NAME + b".lock"
        if not os.path.isdir(os.path.join(old, b"cur")):
            yield
            return
        with DotLock(os.path.join(old, lock), os.path.join(old, uidlist.NAME)).held() as gate:
            yield
            gate.path = os.path.join(new, lock)

    def _moved_together(
        self,
        pairs: Sequence[tuple[bytes, bytes]],
        step: str,
        guard: Callable[[bytes, bytes], AbstractContextManager[None]] = lambda old, new: contextlib.nullcontext(),
    ) -> None:
        """Rename all of these, durably, or none."""
        done: list[tuple[bytes, bytes]] = []
        try:
            for old, new in pairs:
                with contextlib.suppress(FileNotFoundError), guard(old, new):
                    durable.rename(old, new, step)
                    done.append((old, new))
            durable.dirsync(*(os.path.dirname(path) for pair in pairs for path in pair))
        except (OSError, MailError):
            for old, new in reversed(done):
                with contextlib.suppress(OSError):
                    durable.rename(new, old, step)
            raise

    def finish_renames(self) -> None:
        """After a crash, rule 3; not while somebody else is at it."""
        path = os.path.join(self._root.path, RENAMES)
        with contextlib.suppress(MailError, FileNotFoundError), DotLock(path + b".lock", path).held(0):
            data = read_file(path)
            try:
                pairs = [(os.fsencode(here), os.fsencode(there)) for here, there in json.loads(data)]
            except (ValueError, TypeError) as error:
                self._root.report("renames-damaged", os.fsdecode(path), str(error))
                pairs = []
            for pair in pairs:
                here, there = (self._layout.path(one) for one in pair)
                sound = all(one.startswith(b".") and b"/" not in one and one != b".." for one in pair)
                if sound and os.path.isdir(here) and not os.path.lexists(there):
                    durable.rename(here, there, "mailbox-rename")
            durable.dirsync(self._root.path)
            durable.unlink(path)
