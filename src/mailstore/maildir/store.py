"""All mailboxes of one account in a Maildir. What changes their directories is in structure.py."""

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence

from ...model.account import MailboxInfo
from ...model.errors import Kind, MailError
from ...model.flags import SYSTEM, keyword_bit
from ...model.store import Folder
from .. import durable
from ..layout import INBOX, LAYOUTS, PARTS, Found, MaildirPlusPlus, cannot
from ..listing import tree
from ..subscriptions import Subscriptions
from . import ceiling, intent, leftovers, side_file
from .folder import MaildirFolder
from .names import delivery_order
from .root import Root, make_parts
from .structure import RENAMES, Structure

_KEPT_FOLDERS = 16


class MaildirStore:
    """See model.store.MailStore."""

    def __init__(self, path: str, layout: str, separator: str, prefix: str) -> None:
        root = os.path.realpath(os.fsencode(path))
        self._root = Root(root)
        self._layout = LAYOUTS[layout](root, separator, prefix)
        own = b"." if isinstance(self._layout, MaildirPlusPlus) else b"/"
        self._subscriptions = Subscriptions(root, self._root.file_mode, own)
        self._structure = Structure(self._root, self._layout)
        self._folders: OrderedDict[bytes, MaildirFolder] = OrderedDict()
        self._sides: dict[bytes, side_file.SideFile] = {}
        self._busy = threading.Lock()

    # -- the whole --

    def prepare(self) -> None:
        """See the port."""
        with durable.answered():
            self._root.make()
            names = os.listdir(self._root.path)
            if any(name.startswith(RENAMES) for name in names):
                self._structure.finish_renames()
            if any(name.startswith(intent.PREFIX) for name in names):
                for relative in list(intent.folders(self._root)):
                    self._play(relative)
            if leftovers.is_due(self._root.path):
                leftovers.clean(self._layout, names)

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
        return tree(found, uses, self._layout.separator)

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
        with durable.answered():
            parts = None
            if not on:
                # A name in the file may be one that the layout cannot hold.
                parts = next((one for one in self._subscriptions.names() if self._layout.name(one) == name), None)
            self._subscriptions.change(parts or self._layout.parts(name) or (INBOX.encode(),), on)

    # -- making, removing, renaming --

    def create(self, name: str, special_use: Sequence[str] = ()) -> MaildirFolder:
        """See the port."""
        name = name.removesuffix(self._layout.separator)
        with durable.answered():
            self._structure.create(name, special_use)
        return self.folder(name)

    def delete(self, name: str) -> None:
        """See the port."""
        relative = self._existing(name, "INBOX cannot be deleted")
        with durable.answered():
            self._structure.delete(relative, lambda: self.folder(name))
        self._forget(relative)

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
            for one in self._structure.rename(relative, new):
                self._forget(one)

    def _existing(self, name: str, refusal: str) -> bytes:
        relative = self._layout.relative(name)
        if not relative:
            raise cannot(refusal)
        with durable.answered():
            if self._layout.resolve(relative) is None:
                if self._layout.family(relative):
                    return relative
                raise MailError(Kind.NONEXISTENT, "There is no such mailbox")
        return relative

    def _rename_inbox(self, new: str) -> None:
        """The messages of INBOX move to a new mailbox, INBOX stays (RFC 3501 6.3.5)."""
        inbox, target = self.folder(INBOX), self.create(new)
        words = inbox.keywords()
        try:
            with target.locked() as transaction:
                numbers = transaction.keyword_numbers([word for word in words if word])
                bits = dict(zip([keyword_bit(n) for n, word in enumerate(words) if word], numbers, strict=True))
                messages = [(name, _translated(inbox.parse(name).flags, bits)) for name in inbox.scan().locators]
                transaction.move_from(inbox, sorted(messages, key=lambda one: delivery_order(one[0])))
        except MailError:
            with contextlib.suppress(MailError):
                scan = target.scan()
                if scan.stable and not scan.locators and target.intent.found() is None:
                    self.delete(new)
            raise

    def _forget(self, relative: bytes) -> None:
        with self._busy:
            self._folders.pop(relative, None)
            self._sides.pop(relative, None)


def _translated(flags: int, bits: dict[int, int | None]) -> int:
    """The mask in another folder's keyword numbers."""
    mask = flags & SYSTEM
    for bit, number in bits.items():
        if flags & bit and number is not None:
            mask |= keyword_bit(number)
    return mask
