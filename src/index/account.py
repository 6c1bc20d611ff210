"""The index of one account: its mailboxes, its write lock, its reports."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ..model.store import Report
from .mailbox import MailboxIndex

if TYPE_CHECKING:
    from .env import Environments


class AccountIndex:
    """One account's index; any number of these may exist on one path, they share the environment."""

    def __init__(self, path: str, environments: "Environments") -> None:
        """`path` is the environment's folder; nothing is opened or made before the first call that needs it."""
        raise NotImplementedError

    def mailbox(self, guid: str) -> MailboxIndex:
        """The mailbox with this GUID, indexed or not."""
        raise NotImplementedError

    def mailboxes(self) -> list[str]:
        """GUIDs of all mailboxes that have rows."""
        raise NotImplementedError

    def remove(self, guid: str) -> None:
        """Drop a mailbox (it was deleted in the store)."""
        raise NotImplementedError

    def lock(self, timeout: float = 15.0) -> AbstractContextManager[None]:
        """The account's write lock, shared by all our processes: held around every change to the store with the
        merge that follows. Re-entrant within a thread. MailError(INUSE) after `timeout` seconds."""
        raise NotImplementedError

    @property
    def write_started(self) -> float | None:
        """time.monotonic() when the write transaction that runs now was asked for, None when none runs."""
        raise NotImplementedError

    def drain_reports(self) -> list[Report]:
        """What was found damaged and what was done about it, since the last call."""
        raise NotImplementedError

    def sync(self) -> None:
        """Flush to disk and mark the environment as sound for the next boot (pool thread; may take a while)."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go; the environment itself is closed when it is the least recently used."""
        raise NotImplementedError
