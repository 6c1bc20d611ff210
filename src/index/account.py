"""The index of one account: its mailboxes, its write lock, its reports."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from ..model.store import Report
from . import listing
from .changelog import microseconds
from .env import Environments
from .lock import Held
from .mailbox import MailboxIndex

LOCK_TIMEOUT = 15.0


class AccountIndex:
    """One account's index; any number of these may exist on one path, they share the environment."""

    def __init__(
        self, path: str, environments: Environments, clock: Callable[[], int] = microseconds
    ) -> None:  # fmt: skip
        """`path` is the environment's folder; nothing is opened or made before the first call that needs it.
        `clock` gives microseconds since 1970."""
        self._environment = environments.at(path)
        self._clock = clock
        self.path = path

    def mailbox(self, guid: str) -> MailboxIndex:
        """The mailbox with this GUID, indexed or not."""
        return MailboxIndex(guid, self._environment, self._clock)

    def mailboxes(self) -> list[str]:
        """GUIDs of all mailboxes that have rows."""
        return self._environment.read(lambda txn, opened: listing.guids(txn)) or []

    def remove(self, guid: str) -> None:
        """Drop a mailbox (it was deleted in the store). IndexUnavailable when that cannot be written."""
        if not os.path.exists(self._environment.path):
            return
        mailbox = self._environment.write(lambda txn, opened: listing.unlist(txn, guid))
        if mailbox:
            listing.sweep(self._environment, mailbox)

    def sweep(self) -> int:
        """Delete the rows that an interrupted removal left; how many there were. Pool thread."""
        numbers = self._environment.read(lambda txn, opened: listing.headless(txn)) or []
        return sum(listing.sweep(self._environment, number) for number in numbers)

    def lock(self, timeout: float = LOCK_TIMEOUT) -> AbstractContextManager[None]:
        """The account's write lock, shared by all our processes: held around every change to the store with the
        merge that follows. Re-entrant within a thread. MailError(INUSE) after `timeout` seconds; IndexUnavailable
        when the lock file cannot be made."""
        return Held(self._environment.lock, timeout)

    @property
    def write_started(self) -> float | None:
        """time.monotonic() when this account's write transaction that runs now was asked for, else None."""
        return self._environment.write_started

    def drain_reports(self) -> list[Report]:
        """What was found damaged and what was done about it, since the last call."""
        return self._environment.drain_reports()

    def sync(self) -> bool:
        """Flush to disk and mark the environment as sound for the next boot; False when that could not be. Pool
        thread; may take a while. `Environments.maintain` does it for all accounts."""
        return self._environment.sync()

    def close(self) -> None:
        """Close the environment unless a thread uses it; it is opened again when it is needed."""
        self._environment.close_if_unused()
