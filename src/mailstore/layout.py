"""Mailbox names and the directories that hold them, for Maildir++ and for the `fs` layout.

Names are the wire's modified UTF-7, by os.fsdecode, with the account's separator and prefix; the directory of a part
has the same bytes. INBOX is the root itself in both layouts, as in Dovecot. A directory's path relative to the root
is what the other modules know a mailbox by; INBOX's is empty.

    Maildir++   A/B  →  .A.B        a part cannot hold a dot
    fs          A/B  →  A/B         a part cannot be cur, new, tmp, begin with a dot, dovecot or culverhouse-

Rules that keep it right:
1. No name leads out of the root: parts are never empty, `.` or `..`, never hold `/` or NUL, and a symbolic link on the
   way counts only when it ends inside the root. What the layout cannot hold is CANNOT.
2. Bytes that are no modified UTF-7 are listed and found like others; only `create` is strict, and more so in protocols.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.errors import Kind, MailError

INBOX = "INBOX"
PARTS = (b"cur", b"new", b"tmp")
_RESERVED = (b"dovecot", b"culverhouse-", b".")
_FILES = frozenset({*PARTS, b"maildirfolder", b"subscriptions"})
_NAME_MAX = 255
_PATH_MAX = 4096
_ROOM = 320
"""Octets that a message's file name and directory may add to a mailbox's path."""


def cannot(text: str) -> MailError:
    """The refusal of an impossible name."""
    return MailError(Kind.CANNOT, text)


@dataclass(frozen=True, slots=True)
class Found:
    """A directory that is a mailbox, or in the fs layout leads to one."""

    name: str
    relative: bytes
    selectable: bool


class Layout:
    """What both layouts share."""

    def __init__(self, root: bytes, separator: str, prefix: str) -> None:
        self.root = root
        self.separator = separator
        self.prefix = prefix

    def relative(self, name: str) -> bytes:
        """The directory of a name, relative to the root. CANNOT."""
        return self._joined(self.parts(name))

    def parts(self, name: str) -> tuple[bytes, ...]:
        """The name's levels below the prefix; none for INBOX. CANNOT, NONEXISTENT outside the prefix."""
        if name.upper() == INBOX:
            return ()
        rest = self._below_prefix(name)
        if rest is None:
            raise MailError(Kind.NONEXISTENT, f"Mailboxes are named {self.prefix}...")
        parts = tuple(os.fsencode(part) for part in rest.split(self.separator))
        for part in parts:
            if not part:
                raise cannot("A mailbox name has no empty levels")
            if b"/" in part or b"\0" in part or part in (b".", b".."):
                raise cannot("The name has a character or level that mailboxes cannot have")
            self._check(part)
        self._check_length(self._joined(parts))
        return parts

    def _below_prefix(self, name: str) -> str | None:
        prefix = self.prefix
        if not prefix:
            return name
        head = name[: len(prefix)]
        # INBOX is INBOX in any case, also where it begins the prefix.
        same = head.upper() == prefix.upper() if prefix.upper().startswith(INBOX) else head == prefix
        return name[len(prefix) :] if same else None

    def _check_length(self, relative: bytes) -> None:
        if len(self.root) + len(relative) + _ROOM > _PATH_MAX or max(map(len, relative.split(b"/"))) > _NAME_MAX:
            raise cannot("The mailbox name is too long")

    def name(self, parts: tuple[bytes, ...]) -> str | None:
        """The name that leads to these parts, None when there is none."""
        if not parts:
            return INBOX
        separator = os.fsencode(self.separator)
        if any(separator in part for part in parts):
            return None
        name = self.prefix + self.separator.join(map(os.fsdecode, parts))
        return None if name.upper() == INBOX else name

    def path(self, relative: bytes) -> bytes:
        """The directory."""
        return os.path.join(self.root, relative) if relative else self.root

    def is_inside(self, path: bytes) -> bool:
        """Whether a symbolic link may be followed."""
        return (os.path.realpath(path) + b"/").startswith(self.root + b"/")

    def resolve(self, relative: bytes) -> bytes | None:
        """The directory to work in, symbolic links inside the root followed; None when there is none."""
        path = self.root
        linked = False
        for part in relative.split(b"/") if relative else ():
            path = os.path.join(path, part)
            try:
                state = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(state.st_mode):
                if not self.is_inside(path) or not os.path.isdir(path):
                    return None
                linked = True
            elif not stat.S_ISDIR(state.st_mode):
                return None
        return os.path.realpath(path) if linked else path

    # -- what differs --

    holds_nothing = False
    """Whether a directory without cur/ is still a mailbox."""

    def _joined(self, parts: tuple[bytes, ...]) -> bytes:
        raise NotImplementedError

    def _check(self, part: bytes) -> None:
        raise NotImplementedError

    def walk(self) -> Iterator[Found]:
        """All mailboxes but INBOX, in no order. OSError."""
        raise NotImplementedError

    def family(self, relative: bytes) -> list[bytes]:
        """The directories to rename with a mailbox: its own if there is one, and those of all below it."""
        raise NotImplementedError

    def leads_on(self, path: bytes) -> bool:
        """Whether a mailbox's directory holds other mailboxes too."""
        raise NotImplementedError

    def moved(self, relative: bytes, old: bytes, new: bytes) -> bytes:
        """Where `relative`, one of the family of `old`, goes when `old` becomes `new`."""
        moved = new + relative[len(old) :]
        self._check_length(moved)
        return moved

    def _is_directory(self, entry: "os.DirEntry[bytes]") -> bool:
        if entry.is_symlink():
            return os.path.isdir(entry.path) and self.is_inside(entry.path)
        return entry.is_dir(follow_symlinks=False)


class MaildirPlusPlus(Layout):
    """All mailboxes side by side in the root, `.A.B`."""

    holds_nothing = True

    def _joined(self, parts: tuple[bytes, ...]) -> bytes:
        return b"".join(b"." + part for part in parts)

    def _check(self, part: bytes) -> None:
        if b"." in part:
            raise cannot("A mailbox name cannot have a dot here")

    def walk(self) -> Iterator[Found]:
        with os.scandir(self.root) as entries:
            for entry in entries:
                if entry.name[:1] != b"." or not self._is_directory(entry):
                    continue
                parts = tuple(entry.name[1:].split(b"."))
                if all(parts) and (name := self.name(parts)) is not None:
                    yield Found(name, entry.name, True)

    def family(self, relative: bytes) -> list[bytes]:
        with os.scandir(self.root) as entries:
            return sorted(
                entry.name
                for entry in entries
                if (entry.name == relative or entry.name.startswith(relative + b".")) and self._is_directory(entry)
            )


    def leads_on(self, path: bytes) -> bool:
        return False


class Nested(Layout):
    """Directories within directories, `A/B`."""

    def _joined(self, parts: tuple[bytes, ...]) -> bytes:
        return b"/".join(parts)

    def _check(self, part: bytes) -> None:
        if part in _FILES or part.startswith(_RESERVED):
            raise cannot("The name is one that mailboxes cannot have")

    def walk(self) -> Iterator[Found]:
        pending: list[tuple[bytes, ...]] = [()]
        while pending:
            parts = pending.pop()
            relative = self._joined(parts)
            selectable = False
            try:
                entries = os.scandir(self.path(relative))
            except OSError:
                # Unreadable, or gone meanwhile.
                if not parts:
                    raise
                continue
            with entries:
                for entry in entries:
                    if entry.name == b"cur":
                        selectable = True
                    elif not self._is_level(entry):
                        continue
                    elif not entry.is_symlink():
                        pending.append((*parts, entry.name))
                    elif os.path.isdir(os.path.join(entry.path, b"cur")):
                        # Not descended into: links may lead in circles.
                        linked = (*parts, entry.name)
                        if (name := self.name(linked)) is not None:
                            yield Found(name, self._joined(linked), True)
            if parts and (name := self.name(parts)) is not None:
                yield Found(name, relative, selectable)

    def _is_level(self, entry: "os.DirEntry[bytes]") -> bool:
        return entry.name not in _FILES and not entry.name.startswith(_RESERVED) and self._is_directory(entry)

    def leads_on(self, path: bytes) -> bool:
        with os.scandir(path) as entries:
            return any(map(self._is_level, entries))

    def family(self, relative: bytes) -> list[bytes]:
        return [relative] if self.resolve(relative) is not None else []


LAYOUTS: dict[str, type[Layout]] = {"maildir++": MaildirPlusPlus, "fs": Nested}
