"""Expunged messages that stay readable for whoever still has them in view (model.store: `keep_for`).

Rules that keep it right:
1. A file is kept per process, and goes when no view of this process has its message in the list: after the expunge was
   told, or the view was closed, or because no view ever had it. The index's log says which UIDs went since the first
   view began; it is lost with the index, so what views were told is noted as well.
2. A view that is not told for `AT_MOST` seconds loses the files, not the messages: it is then told that they are gone
   when it reads them.
3. What a process leaves behind when it dies is removed at the store's next start.
"""

import contextlib
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..model.errors import MailError
from ..model.uids import UidSet

if TYPE_CHECKING:
    from .mailbox import Mailbox
    from .view import View

AT_MOST = 30 * 60.0
GAPS = 5000
"""Without the log every UID that is not there may have a file; so many are tried, else they wait for the process's
end."""


class Kept:
    """What is kept of one mailbox for this process."""

    def __init__(self, mailbox: "Mailbox") -> None:
        self._mailbox = mailbox
        self._lock = threading.Lock()
        self._told: set[int] = set()
        self._since: int | None = None
        self._behind: float | None = None

    @property
    def due(self) -> bool:
        """`release` has something to do."""
        if self._told or self._overdue:
            return True
        head = self._mailbox.head()
        return self._since is not None and head is not None and head.highestmodseq != self._since

    def begin(self) -> None:
        """A view begins: from now on something may be kept for it."""
        head = self._mailbox.head()
        if self._since is None and head is not None:
            self._since = head.highestmodseq

    @property
    def _overdue(self) -> bool:
        return self._behind is not None and time.monotonic() - self._behind > AT_MOST

    def told(self, uids: Iterable[int]) -> None:
        """These expunges were told to a view (R)."""
        with self._lock:
            self._told.update(uids)

    def look(self) -> None:
        """Note whether some view has not been told everything (R, every now and then)."""
        if any(view.ghosts() or view.pending for view in self._mailbox.open_views()):
            if self._behind is None:
                self._behind = time.monotonic()
        else:
            self._behind = None

    def others(self, caller: "View | None") -> list[int]:
        """Processes for which an expunged message is to be kept (account lock held): those with views, this one only
        if a view other than the caller's has the mailbox."""
        mailbox = self._mailbox
        viewers = mailbox.account.viewers
        mine = any(view is not caller for view in mailbox.open_views())
        return [pid for pid in viewers.of(mailbox.id) if pid != viewers.pid or mine]

    def release(self) -> None:
        """Remove the files that are no longer needed (B)."""
        if not self.due:
            return
        mailbox = self._mailbox
        snapshot = mailbox.refresh()
        if snapshot is None:
            return
        overdue, views = self._overdue, mailbox.open_views()
        gone = UidSet() if self._since is None else mailbox.index.vanished_since(self._since)
        if gone is None:
            gone = UidSet([(1, snapshot.head.uidnext - 1)]) - UidSet.of(snapshot.uids)
            gone = gone if len(gone) <= GAPS else UidSet()
        self._since = snapshot.head.highestmodseq
        with self._lock:
            self._told.update(gone)
            told = set(self._told)
        needless = {uid for uid in told if not any(view.holds(uid) for view in views)}
        with self._lock:
            self._told -= needless
        if overdue:
            self._behind = None
            for view in views:
                needless.update(set(view.uids).difference(snapshot.uids))
        if needless:
            with contextlib.suppress(MailError):
                mailbox.folder.release_expunged(mailbox.account.viewers.pid, needless)
