"""What the account layer asks of a message store (Maildir today), and the plain values that pass between them.

All calls are synchronous and may wait for the disk: they run in a pool thread, in a helper process or in a command
line tool, never on the reactor, except `Folder.fingerprint`, which is a handful of stat calls.

A *locator* names one message inside its folder as the store finds it now; it changes when the flags change. In a
Maildir it is the file name when the file lies in cur/, and `new/` + file name when it lies in new/. The *base* is
the part of the locator that never changes.

All paths given to a MailError's text are left out; the path goes into the exception's `__cause__` or a `Report`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from .account import MailboxInfo


@dataclass(frozen=True, slots=True)
class Report:
    """Something the store or the index noticed and mended, or could not read; logged by the server."""

    event: str
    """A short fixed word, for example `uidlist-repaired`, `size-corrected`, `message-unreadable`."""
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a folder looked like at one moment."""

    key: bytes
    """Two fingerprints with equal keys show the same directory times and side files."""
    settled: bool
    """Read 2 s or more after the newest of its times: an equal key later means that nothing changed."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A full listing of a folder."""

    locators: frozenset[bytes] | set[bytes]
    fingerprint: Fingerprint
    stable: bool
    """Nothing changed while it was read; only then does absence from it mean that a message is gone."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a locator says of its message."""

    base: bytes
    flags: int
    """Mask of model.flags; keyword letters a to z are keyword numbers 0 to 25."""
    recent: bool
    """Lies in new/: no session was told of it yet."""
    size: int | None
    """Octets of the file, when the name says so."""
    vsize: int | None
    """Octets with CRLF line ends, when the name says so."""


@dataclass(frozen=True, slots=True)
class FolderHeader:
    """The identity of a folder, from its uidlist (made and written when it has none)."""

    uidvalidity: int
    uidnext: int
    guid: str
    """32 hexadecimal digits; follows the folder through renames."""
    pop3_format: str | None = None


@dataclass(frozen=True, slots=True)
class Pop3Names:
    """What the store says of its messages for POP3 alone (`P` and `O` of the uidlist); empty for most folders."""

    uidls: dict[int, bytes]
    """The UIDL of these UIDs, instead of the one made of UID and UIDVALIDITY."""
    orders: dict[int, int]
    """Where these UIDs come in a maildrop: lower numbers first, messages without one after all of them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it lies in the store now."""

    uid: int
    locator: bytes
    flags: int
    recent: bool
    size: int
    vsize: int
    internaldate: int
    """Seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete, fsynced spool file that is to become a message."""

    spool: "Spool"
    flags: int
    internaldate: int | None
    """None: now."""


class Spool(Protocol):
    """A sink for one message on the target folder's file system (a file in its tmp/)."""

    size: int
    vsize: int

    def write(self, data: bytes) -> None:
        """Append; raises MailError(OVERQUOTA or UNAVAILABLE) when the disk refuses, the file is then gone."""

    def finish(self) -> None:
        """fsync and close; after it the spool can become a message."""

    def discard(self) -> None:
        """Close and remove the file; harmless after delivery."""


class OpenMessage(Protocol):
    """One message's file, open; the content does not change under it, whatever happens to its name."""

    file: BinaryIO
    size: int
    """Octets, counted on the descriptor."""
    internaldate: int

    def close(self) -> None:
        """Release the descriptor."""


class Folder(Protocol):
    """One mailbox in the store."""

    path: str

    def fingerprint(self) -> Fingerprint:
        """A few stat calls. Raises MailError(NONEXISTENT) when the folder is gone."""

    def scan(self) -> Scan:
        """List all messages; tries a few times for a stable view."""

    def parse(self, locator: bytes) -> Parsed:
        """Read a locator; pure."""

    def header(self) -> FolderHeader:
        """Identity; creates the uidlist under its lock when missing, repairs it when damaged (see reports)."""

    def watch_paths(self) -> tuple[str, ...]:
        """Directories whose changes mean that messages changed (for inotify)."""

    def locked(self) -> AbstractContextManager["FolderTransaction"]:
        """Take the store's own lock (dovecot-uidlist.lock). Raises MailError(INUSE) after a time-out."""

    def spool(self) -> Spool:
        """A new sink in this folder."""

    def open(self, locator: bytes) -> OpenMessage:
        """Open a message, looking for its base when the name changed meanwhile. MailError(EXPUNGED) when it is
        gone, MailError(UNREADABLE) when it cannot be read."""

    def exists(self, locator: bytes) -> bool:
        """Whether a message lies under exactly this name now: one stat call, safe on the reactor."""

    def locate(self, locator: bytes) -> bytes | None:
        """The present locator of the message with this locator's base, or None when it is gone."""

    def change_flags(self, locator: bytes, change: Callable[[int], int]) -> tuple[bytes, int] | None:
        """Rename so that the flags become `change(flags on disk now)`; retried when another program renamed
        first. Returns (new locator, new flags), None when the message is gone. A message in new/ moves to cur/
        only when its flags are not empty."""

    def claim_new(self, locators: Iterable[bytes]) -> dict[bytes, bytes]:
        """Move messages from new/ to cur/ (they were shown to a session). Old locator to new; a message that
        another program moved or removed is mapped to where it is now, or left out."""

    def expunge(self, uid: int, locator: bytes, keep_for: Sequence[int]) -> bool:
        """Remove a message for good; False when it was gone already. For each process id in `keep_for` a link
        `tmp/culverhouse-<pid>-<uid>` keeps it readable (left out when the disk is full)."""

    def keep_expunged(self, uid: int, locator: bytes, keep_for: Sequence[int]) -> None:
        """Only the links of `expunge`, made before a message is moved away; left out when the disk is full."""

    def open_expunged(self, pid: int, uid: int) -> OpenMessage:
        """The message that was kept for this process. MailError(EXPUNGED) when it is gone."""

    def release_expunged(self, pid: int, uids: Iterable[int]) -> None:
        """Remove the links that were kept for this process."""

    def keywords(self) -> tuple[str, ...]:
        """Keyword names by number, `""` for a number without a name."""

    def correct_size(self, locator: bytes, size: int, vsize: int) -> bytes:
        """Rename a message whose S= or W= is wrong; returns the new locator (the base stays)."""

    def pop3_names(self) -> Pop3Names:
        """The uidlist's words for POP3, read anew when the file changed; an empty `P` stands for the
        file name without its flags."""

    def drain_reports(self) -> list[Report]:
        """What was mended or found unreadable since the last call."""


class FolderTransaction(Protocol):
    """A folder with its lock held. Everything it returns is durable when it returns."""

    @property
    def header(self) -> FolderHeader:
        """The folder's identity as the uidlist has it now."""

    def assign(self, locators: Sequence[bytes], retired: Callable[[int], bool] | None = None) -> dict[bytes, int]:
        """UIDs of these messages: as the uidlist (read again now) has them, new ones appended and fsynced. A
        message whose recorded UID is `retired` (clients were told that it is gone) gets a new one."""

    def uid_map(self) -> dict[bytes, int]:
        """Base to UID for the whole uidlist."""

    def add(self, arrivals: Sequence[Arrival]) -> list[Stored]:
        """Deliver all or none (an intent file when there are several): uidlist lines, fsync, rename, dirsync."""

    def copy_from(self, source: Folder, messages: Sequence[tuple[bytes, int]]) -> list[Stored | None]:
        """Copy (locator, flags in this folder's keyword numbers), all or none, by hard link where possible,
        INTERNALDATE kept. None for a message that was gone."""

    def move_from(self, source: Folder, messages: Sequence[tuple[bytes, int]]) -> list[Stored | None]:
        """Move: each message is in exactly one folder at every moment."""

    def keyword_numbers(self, names: Sequence[str]) -> list[int | None]:
        """Numbers of these keywords, new ones recorded; None for a name for which there is no room."""

    def reserve_modseq(self, ceiling: int) -> None:
        """Write `culverhouse-modseq`: no modseq above `ceiling` is given out before the next call."""


class MailStore(Protocol):
    """All mailboxes of one account. Names are the wire's modified UTF-7 with the account's separator and prefix,
    as `str` by os.fsdecode (so that undecodable directory names survive)."""

    def prepare(self) -> None:
        """Make the root and INBOX when missing; play intents, remove leftovers."""

    def is_new(self) -> bool:
        """No mailbox but INBOX and no subscriptions file: nobody has used this account yet."""

    def mailboxes(self) -> list[MailboxInfo]:
        """All mailboxes, INBOX first, parents before children; special-use from the side files."""

    def folder(self, name: str) -> Folder:
        """MailError(NONEXISTENT) when there is none, MailError(CANNOT) for an impossible name."""

    def create(self, name: str, special_use: Sequence[str] = ()) -> Folder:
        """Create with parents. ALREADYEXISTS, CANNOT, LIMIT, NOPERM."""

    def delete(self, name: str) -> None:
        """Remove a mailbox with its messages; children stay. INBOX: CANNOT."""

    def rename(self, old: str, new: str) -> None:
        """With children. INBOX: its messages move to the new mailbox, INBOX stays (RFC 3501 6.3.5)."""

    def subscriptions(self) -> list[str]:
        """Subscribed names, existing or not."""

    def subscribe(self, name: str, on: bool) -> None:
        """Durably change the subscriptions file."""

    def modseq_ceiling(self, folder: Folder) -> int:
        """What `reserve_modseq` wrote last, 0 when nothing."""

    def watch_paths(self) -> tuple[str, ...]:
        """Directories whose changes mean that the list of mailboxes changed."""
