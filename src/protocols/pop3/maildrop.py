"""The maildrop of one POP3 session: INBOX as it was when the session began, under a lock.

Rules that keep it right:

1. What the session sees never changes: the UIDs are taken when it begins. Messages that IMAP expunges meanwhile stay
   in the list; that one may no longer be readable is told only to who asks for it (RFC 1939 5, 8).
2. The lock excludes POP3 sessions of all processes from each other and nobody else; it dies with its process. The
   view that is held beside it lets a message stay readable that IMAP expunges meanwhile, as far as the store can.
3. Nothing is removed from the mailbox but by `update`, which only QUIT calls.
4. Methods that wait run in a pool thread, one at a time, and put what they open where `close` finds it: the host
   closes the engine after the last call has ended, also when the connection was lost meanwhile. The view belongs to
   the reactor thread, and so does everything that is not said to wait.
"""

import contextlib
import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...account.jobs import PORTION, FillFacts
from ...model.errors import Kind, MailError
from ...model.flags import SEEN, FlagOp
from .reading import Reader

if TYPE_CHECKING:
    from ...account.account import Account
    from ...account.mailbox import Mailbox
    from ...account.maildrop import MaildropLock
    from ...account.results import Filled
    from ...account.view import View

_UIDL = re.compile(rb"[!-~]{1,70}")

@dataclass(slots=True)
class Counters:
    """What a session did, for the log."""

    retrieved: int = 0
    topped: int = 0
    deleted: int = 0
    octets: int = 0


class Maildrop:
    """A locked snapshot of one account's INBOX."""

    def __init__(self, account: "Account") -> None:
        self.account = account
        self.uids: Sequence[int] = array("I")
        """UIDs by message number less one."""
        self.octets: int | None = None
        """Sum of the sizes of the messages that are not marked; None: some sizes have to be found first."""
        self.sizes: Sequence[int] | None = None
        """CRLF sizes by message number less one, once `take_sizes` was called."""
        self.deleted: dict[int, int] = {}
        """Marked message numbers, and their sizes."""
        self.seen: set[int] = set()
        """Message numbers that were sent whole."""
        self.counters = Counters()
        self.uidvalidity = 0
        self._uidls: dict[int, bytes] = {}
        self._orders: dict[int, int] = {}
        self._found: dict[int, int] = {}
        """Sizes that the index could not take."""
        self._mailbox: Mailbox | None = None
        self._view: View | None = None
        self._lock: MaildropLock | None = None
        self._reader: Reader | None = None

    @property
    def view(self) -> "View":
        """What holds the messages during the session."""
        if self._view is None:
            raise MailError(Kind.UNAVAILABLE, "The maildrop is not open")
        return self._view

    @property
    def reader(self) -> Reader:
        """What reads the messages."""
        if self._reader is None:
            raise MailError(Kind.UNAVAILABLE, "The maildrop is not open")
        return self._reader

    # --- calls that wait -------------------------------------------------------------------------------------------

    def lock(self) -> None:
        """Take the lock, and bring INBOX in step with the store. MailError(INUSE) when another session has it."""
        mailbox = self.account.mailbox("INBOX")
        self._lock = mailbox.lock_maildrop()
        self._mailbox = mailbox
        names = mailbox.pop3_names()
        self._orders = names.orders
        # RFC 1939 7: 1 to 70 printable characters; anything else would break the listing.
        self._uidls = {uid: uidl for uid, uidl in names.uidls.items() if _UIDL.fullmatch(uidl)}

    def take_sizes(self) -> list[int]:
        """Take all sizes; from now on they stay as they are. The UIDs whose size is missing: they count nothing until
        it has been found, and for good when it cannot be."""
        sizes = self.view.mailbox.sizes(self.uids)
        found = self._found
        pairs = list(zip(self.uids, sizes, strict=True))
        self.sizes = array("Q", [found.get(uid, 0) if size is None else size for uid, size in pairs])
        if self.octets is None:
            self.octets = sum(self.sizes)
        return [uid for uid, size in pairs if size is None and uid not in found]

    def update(self) -> None:
        """The UPDATE state (RFC 1939 6): remove what was marked. MailError when that failed."""
        uids = sorted(self.uids[number - 1] for number in self.deleted)
        if uids:
            self.view.mailbox.remove(uids, caller=self.view)
            self.counters.deleted = len(uids)

    def note_seen(self) -> None:
        """What was sent whole is read, for the IMAP clients of the same mailbox; no promise of POP3's."""
        seen = sorted(self.uids[number - 1] for number in self.seen - self.deleted.keys())
        if seen:
            with contextlib.suppress(MailError):
                self.view.mailbox.store(seen, FlagOp.ADD, SEEN, ())

    # --- on the reactor --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take the snapshot, once `lock` has returned."""
        mailbox = self._mailbox
        if mailbox is None:
            raise MailError(Kind.UNAVAILABLE, "The maildrop is not locked")
        self._view = view = mailbox.keep_open()
        orders = self._orders
        uids: Sequence[int] = view.uids
        if orders:
            last = max(orders.values()) + 1
            uids = sorted(uids, key=lambda uid: (orders.get(uid, last), uid))
        self.uids = uids
        self._reader = Reader(view, uids)
        self.uidvalidity = view.uidvalidity
        # The index keeps the sum current, so that nothing has to be added up here, on the reactor.
        snapshot = mailbox.refresh()
        if snapshot is not None and snapshot.head.highestmodseq == view.highestmodseq:
            self.octets = None if snapshot.head.size_unknown else snapshot.head.size

    def close(self) -> None:
        """The session is over; harmless when repeated."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        view, self._view = self._view, None
        if view is not None:
            view.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def size_jobs(self, missing: Sequence[int]) -> list[FillFacts]:
        """Helper jobs that find the sizes of these UIDs."""
        mailbox = self.view.mailbox
        return [
            FillFacts(
                spec=self.account.spec,
                mailbox=mailbox.name,
                mailbox_id=mailbox.id,
                uids=tuple(missing[start : start + PORTION]),
                facts=frozenset(),
                header_fields=frozenset(),
                sizes=True,
                dates=False,
                pid=os.getpid(),
            )
            for start in range(0, len(missing), PORTION)
        ]

    def learn(self, filled: "Filled") -> None:
        """What a job found and the index could not take."""
        self._found.update((uid, size) for uid, (size, _) in filled.loose_sizes.items())

    # --- questions of a message number -----------------------------------------------------------------------------

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self.uids) and number not in self.deleted

    def __len__(self) -> int:
        """Messages that are not marked."""
        return len(self.uids) - len(self.deleted)

    def numbers(self) -> Sequence[int]:
        """Numbers of the messages that are not marked."""
        if not self.deleted:
            return range(1, len(self.uids) + 1)
        return [number for number in range(1, len(self.uids) + 1) if number not in self.deleted]

    def size(self, number: int) -> int | None:
        """One message's size with CRLF line ends, where known."""
        if self.sizes is not None:
            return self.sizes[number - 1]
        return self.view.sizes((self.uids[number - 1],))[0]

    def uidl(self, number: int) -> bytes:
        """The message's UIDL: what the store says, else 8 hexadecimal digits of UID and of UIDVALIDITY each."""
        uid = self.uids[number - 1]
        return self._uidls.get(uid) or b"%08x%08x" % (uid, self.uidvalidity)

    def mark(self, number: int) -> None:
        """DELE."""
        self.deleted[number] = size = self.size(number) or 0
        self.octets = (self.octets or 0) - size

    def unmark(self) -> None:
        """RSET."""
        if self.deleted:
            self.octets = (self.octets or 0) + sum(self.deleted.values())
            self.deleted.clear()
