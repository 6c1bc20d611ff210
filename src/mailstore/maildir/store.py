"""All mailboxes of one account in a Maildir: listing, making, removing and renaming them.

Rules that keep it right:
1. A mailbox appears by one rename of a finished directory, with its UIDVALIDITY and GUID in it, and goes by one rename
   to a name that no list shows; what a crash leaves of either is removed at a later `prepare`.
2. UIDVALIDITY of a mailbox that goes is passed over by the counter, so that its name never meets it again.
3. Renaming several directories (Maildir++ children) is announced by a file that `prepare` finds.
"""

import contextlib
import errno
import json
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from ...model.account import MailboxInfo
from ...model.errors import Kind, MailError
from ...model.store import Folder
from .. import durable
from ..layout import INBOX, LAYOUTS, PARTS, Found, MaildirPlusPlus, cannot
from ..locking import DotLock
from ..subscriptions import Subscriptions
from . import ceiling, intent, keywords, side_file, uidlist, uidvalidity
from .folder import MaildirFolder
from .root import Root, make_parts, read_file

MAX_MAILBOXES = 10_000
_KEPT_FOLDERS = 16
_OWN_FILES = (uidlist.NAME, keywords.NAME, side_file.NAME, ceiling.NAME, b"maildirfolder")
_RENAMES = b"culverhouse-renames"
_OLD = 36 * 3600
"""Age at which a file in tmp/ is nobody's any more (as in Dovecot)."""
_SPOOL = re.compile(rb"[0-9]+\.M[0-9]+P([0-9]+)Q[0-9]+\.(.*)")
_KEPT = re.compile(rb"culverhouse-([0-9]{1,9})-[0-9]+")
_REMEMBERED = 10_000
_cleaned: dict[bytes, float] = {}
"""When this process last looked for leftovers in which root."""


class MaildirStore:
    """See model.store.MailStore."""

    def __init__(self, path: str, layout: str, separator: str, prefix: str) -> None:
        root = os.path.realpath(os.fsencode(path))
        self._root = Root(root)
        self._layout = LAYOUTS[layout](root, separator, prefix)
        own = b"." if isinstance(self._layout, MaildirPlusPlus) else b"/"
        self._subscriptions = Subscriptions(root, self._root.file_mode, own)
        self._folders: OrderedDict[bytes, MaildirFolder] = OrderedDict()
        self._sides: dict[bytes, side_file.SideFile] = {}
        self._busy = threading.Lock()

    # -- the whole --

    def prepare(self) -> None:
        """See the port."""
        with durable.answered():
            self._root.make()
            names = os.listdir(self._root.path)
            if any(name.startswith(_RENAMES) for name in names):
                self._finish_renames()
            if any(name.startswith(intent.PREFIX) for name in names):
                for relative in list(intent.folders(self._root)):
                    self._play(relative)
            now = time.monotonic()
            if now - _cleaned.get(self._root.path, -_OLD) > 3600:
                if len(_cleaned) >= _REMEMBERED:
                    _cleaned.clear()
                _cleaned[self._root.path] = now
                self._clean(names)

    def _play(self, relative: bytes) -> None:
        """Finish what a crash left, unless its folder is locked: then somebody is at it."""
        directory = self._layout.resolve(relative)
        if directory is None:
            intent.IntentFile(self._root, relative).remove()
            return
        with contextlib.suppress(MailError), self._kept(relative, directory).locked(0):
            pass

    def is_new(self) -> bool:
        """See the port."""
        with durable.answered():
            return not self._subscriptions.exists() and next(self._layout.walk(), None) is None

    def watch_paths(self) -> tuple[str, ...]:
        """See the port."""
        if isinstance(self._layout, MaildirPlusPlus):
            return (os.fsdecode(self._root.path),)
        with durable.answered():
            below = [os.fsdecode(self._layout.path(found.relative)) for found in self._layout.walk()]
        return (os.fsdecode(self._root.path), *below)

    def mailboxes(self) -> list[MailboxInfo]:
        """See the port."""
        with durable.answered():
            found = list(self._layout.walk())
            found.append(Found(INBOX, b"", True))
            uses = {one.name: self._special_use(one.relative) for one in found if one.selectable}
        return _tree(found, uses, self._layout.separator)

    def _special_use(self, relative: bytes) -> tuple[str, ...]:
        reader = self._sides.get(relative)
        if reader is None:
            path, mode = self._layout.path(relative), self._root.file_mode
            reader = self._sides[relative] = side_file.SideFile(path, mode, self._root.report)
        try:
            return reader.load().special_use
        except OSError:
            return ()

    def folder(self, name: str) -> MaildirFolder:
        """See the port."""
        with durable.answered():
            relative = self._layout.relative(name)
            directory = self._layout.resolve(relative)
            if directory is None or not self._is_mailbox(directory):
                raise MailError(Kind.NONEXISTENT, "There is no such mailbox")
            return self._kept(relative, directory)

    def _is_mailbox(self, directory: bytes) -> bool:
        """Whether there is a mailbox; missing parts of it are made. Parts that lead out of the store are refused."""
        present = 0
        for part in PARTS:
            path = os.path.join(directory, part)
            if os.path.islink(path) and not self._layout.is_inside(path):
                raise MailError(Kind.NOPERM, "The mailbox leads out of the mail store")
            present += os.path.isdir(path)
        if present < len(PARTS):
            if not self._layout.holds_nothing and not os.path.isdir(directory + b"/cur"):
                return False
            make_parts(directory, self._root.directory_mode)
        return True

    def _kept(self, relative: bytes, directory: bytes) -> MaildirFolder:
        with self._busy:
            folder = self._folders.get(relative)
            if folder is None or folder.directory != directory:
                folder = self._folders[relative] = MaildirFolder(self._root, relative, directory)
                if len(self._folders) > _KEPT_FOLDERS:
                    self._folders.popitem(last=False)
            self._folders.move_to_end(relative)
            return folder

    def modseq_ceiling(self, folder: Folder) -> int:
        """See the port."""
        if not isinstance(folder, MaildirFolder):
            raise TypeError("not a folder of this format")
        with folder.answered():
            return ceiling.read(folder.directory)[0]

    # -- subscriptions --

    def subscriptions(self) -> list[str]:
        """See the port."""
        with durable.answered():
            parts = self._subscriptions.names()
        names = [INBOX if one == (INBOX.encode(),) else self._layout.name(one) for one in parts]
        return [name for name in names if name is not None]

    def subscribe(self, name: str, on: bool) -> None:
        """See the port."""
        if not on:
            parts = next((one for one in self._subscriptions.names() if self._layout.name(one) == name), None)
            parts = parts or self._layout.parts(name) or (INBOX.encode(),)
        else:
            parts = self._layout.parts(name) or (INBOX.encode(),)
        with durable.answered():
            self._subscriptions.change(parts, on)

    # -- making, removing, renaming --

    def create(self, name: str, special_use: Sequence[str] = ()) -> MaildirFolder:
        """See the port."""
        name = name.removesuffix(self._layout.separator)
        with durable.answered():
            relative = self._free(name)
            target = self._layout.path(relative)
            self._make_parents(relative)
            draft = self._hidden(os.path.dirname(target))
            mode = self._root.directory_mode
            try:
                durable.make_directory(draft, mode)
                self._fill(draft, special_use)
                try:
                    durable.rename(draft, target, "create-rename")
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    self._pour(draft, target)
            except (OSError, MailError):
                self._drop(draft)
                raise
            durable.dirsync(os.path.dirname(target))
        return self.folder(name)

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
        self._drop(draft)

    def _drop(self, path: bytes) -> None:
        with contextlib.suppress(OSError):
            durable.remove_tree(path)

    def delete(self, name: str) -> None:
        """See the port."""
        relative = self._existing(name, "INBOX cannot be deleted")
        path = self._layout.path(relative)
        with durable.answered():
            if not self._occupied(relative):
                self._remove_empty(path)
                return
            if os.path.islink(path):
                raise cannot("The mailbox is another one under a second name")
            folder = self.folder(name)
            aside = self._hidden(os.path.dirname(path))
            with folder.locked() as transaction:
                uidvalidity.pass_over(self._root.path, self._root.file_mode, transaction.header.uidvalidity)
                if self._layout.holds_nothing or not self._leads_on(path):
                    self._moved_together([(path, aside)], "delete-rename")
                else:
                    self._empty_out(path, aside)
            self._forget(relative)
            self._drop(aside)
            self._prune(relative)

    def _prune(self, relative: bytes) -> None:
        """Directories of the fs layout that led to a mailbox, and lead nowhere now, go with it."""
        while relative := os.path.dirname(relative):
            try:
                durable.remove_directory(self._layout.path(relative))
            except OSError:
                return

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

    def _existing(self, name: str, refusal: str) -> bytes:
        relative = self._layout.relative(name)
        if not relative:
            raise cannot(refusal)
        with durable.answered():
            if self._layout.resolve(relative) is None:
                if any(True for _ in self._layout.family(relative)):
                    return relative
                raise MailError(Kind.NONEXISTENT, "There is no such mailbox")
        return relative

    def _remove_empty(self, path: bytes) -> None:
        """A name that is no mailbox itself (RFC 3501 6.3.4)."""
        if not os.path.isdir(path) or self._leads_on(path):
            raise MailError(Kind.HASCHILDREN, "The name only leads to other mailboxes; delete those first")
        aside = self._hidden(os.path.dirname(path))
        self._moved_together([(path, aside)], "delete-rename")
        self._drop(aside)
        self._prune(os.path.relpath(path, self._root.path))

    def _leads_on(self, path: bytes) -> bool:
        """Whether a directory of the fs layout has others below it."""
        with os.scandir(path) as entries:
            return any(
                entry.name not in PARTS and not entry.name.startswith(b".") and entry.is_dir() for entry in entries
            )

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
            self._drop(aside)
            raise

    def rename(self, old: str, new: str) -> None:
        """See the port."""
        new = new.removesuffix(self._layout.separator)
        if old.upper() == INBOX:
            self._rename_inbox(new)
            return
        relative = self._existing(old, "INBOX cannot be renamed")
        if (new + self._layout.separator).startswith(old + self._layout.separator):
            kind = Kind.ALREADYEXISTS if new == old else Kind.CANNOT
            raise MailError(kind, "A mailbox cannot be renamed to itself or to a name below itself")
        with durable.answered():
            target = self._free(new)
            if os.path.lexists(self._layout.path(target)):
                raise MailError(Kind.ALREADYEXISTS, "There is such a name already")
            pairs = [(one, self._layout.moved(one, relative, target)) for one in self._layout.family(relative)]
            if any(os.path.lexists(self._layout.path(there)) for _, there in pairs):
                raise MailError(Kind.ALREADYEXISTS, "There is such a mailbox already below the new name")
            self._make_parents(target)
            with self._renames(pairs):
                paths = [(self._layout.path(here), self._layout.path(there)) for here, there in pairs]
                self._moved_together(paths, "mailbox-rename", self._between_transactions)
            for pair in pairs:
                for one in pair:
                    self._forget(one)
            self._prune(relative)

    @contextlib.contextmanager
    def _renames(self, pairs: Sequence[tuple[bytes, bytes]]) -> Iterator[None]:
        """Rule 3."""
        if len(pairs) < 2:
            yield
            return
        path = os.path.join(self._root.path, _RENAMES)
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

    def _finish_renames(self) -> None:
        path = os.path.join(self._root.path, _RENAMES)
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

    def _rename_inbox(self, new: str) -> None:
        """The messages of INBOX move to a new mailbox, INBOX stays (RFC 3501 6.3.5)."""
        inbox, target = self.folder(INBOX), self.create(new)
        words = inbox.keywords()
        with target.locked() as transaction:
            numbers = transaction.keyword_numbers([word for word in words if word])
            bits = dict(zip([1 << (8 + number) for number, word in enumerate(words) if word], numbers, strict=True))
            messages = [(name, _translated(inbox.parse(name).flags, bits)) for name in sorted(inbox.scan().locators)]
            transaction.move_from(inbox, messages)

    def _forget(self, relative: bytes) -> None:
        with self._busy:
            self._folders.pop(relative, None)
            self._sides.pop(relative, None)

    # -- leftovers --

    def _clean(self, names: Sequence[bytes]) -> None:
        """Remove what crashes left: drafts of mailboxes, deleted ones, spools and kept files of dead processes."""
        limit = time.time() - 3600
        for name in names:
            path = os.path.join(self._root.path, name)
            if name.startswith((b"temp.", b".temp.")) and _changed(path) < limit:
                if os.path.isdir(path) and not os.path.islink(path):
                    self._drop(path)
                else:
                    durable.discard(path)
        for relative in (b"", *(found.relative for found in self._layout.walk() if found.selectable)):
            with contextlib.suppress(OSError):
                clean_tmp(os.path.join(self._layout.path(relative), b"tmp"))


def clean_tmp(path: bytes) -> None:
    """Remove files of processes that are dead, and others that are too old to become messages."""
    limit = time.time() - _OLD
    for name in os.listdir(path):
        found = _KEPT.fullmatch(name) or _SPOOL.fullmatch(name)
        file = os.path.join(path, name)
        ours = found is not None and (found.re is _KEPT or found[2].startswith(durable.HOST.encode()))
        if (ours and found is not None and not _runs(int(found[1]))) or _changed(file) < limit:
            durable.discard(file)


def _runs(process: int) -> bool:
    return os.path.isdir(f"/proc/{process}") or not os.path.isdir("/proc/self")


def _changed(path: bytes) -> float:
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return time.time()


def _translated(flags: int, bits: dict[int, int | None]) -> int:
    mask = flags & 0xFF
    for bit, number in bits.items():
        if flags & bit and number is not None:
            mask |= 1 << (8 + number)
    return mask


def _tree(found: Sequence[Found], uses: dict[str, tuple[str, ...]], separator: str) -> list[MailboxInfo]:
    """INBOX first, parents before children, parents that are no mailboxes added."""
    selectable = {one.name: one.selectable for one in found}
    parents: set[str] = set()
    for name in list(selectable):
        while (place := name.rfind(separator)) > 0:
            name = name[:place]
            name = INBOX if name.upper() == INBOX else name
            if name in parents:
                break
            parents.add(name)
            selectable.setdefault(name, False)

    def order(name: str) -> tuple[bool, list[str]]:
        levels = name.split(separator)
        return levels[0].upper() != INBOX, levels

    names = sorted(selectable, key=order)
    return [MailboxInfo(name, selectable[name], name in parents, uses.get(name, ())) for name in names]
