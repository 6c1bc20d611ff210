"""One user's mailboxes as the protocols see them. R: on the reactor thread; B: inside `Blocking` with `key`.

All changes of an account's store and index run under the index's account write lock, in whatever process.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..model.account import AccountSpec, MailboxInfo, MailboxStatus
from ..model.events import Doorbell, Watcher
from ..model.store import Report, Spool
from .mailbox import Mailbox
from .results import Appended, NewMessage
from .view import View

if TYPE_CHECKING:
    from ..index.env import Environments


class Account:
    """See the module."""

    user: str
    key: str
    """For `Blocking`."""
    separator: str
    prefix: str
    spec: AccountSpec

    def __init__(
        self, spec: AccountSpec, watcher: Watcher | None, bell: Doorbell | None, environments: "Environments"
    ) -> None:
        raise NotImplementedError

    # -- the list of mailboxes (B) --
    def prepare(self) -> None:
        """Once after login: make what is missing, finish what a crash left, default mailboxes for a new account."""
        raise NotImplementedError

    def mailboxes(self) -> list[MailboxInfo]:
        """All mailboxes, INBOX first, parents before children."""
        raise NotImplementedError

    def subscriptions(self) -> list[str]:
        """Subscribed names, existing or not."""
        raise NotImplementedError

    def create(self, name: str, special_use: Sequence[str] = ()) -> str:
        """Make a mailbox with its parents; its mailbox id."""
        raise NotImplementedError

    def delete(self, name: str) -> None:
        """Remove a mailbox; views on it become `gone`."""
        raise NotImplementedError

    def rename(self, old: str, new: str) -> None:
        """With children; views follow. Of INBOX only the messages move (RFC 3501 6.3.5)."""
        raise NotImplementedError

    def subscribe(self, name: str, on: bool) -> None:
        """Change the subscriptions."""
        raise NotImplementedError

    # -- one mailbox --
    def try_status(self, name: str) -> MailboxStatus | None:
        """The counters when they are known to be right, else None: ask `status` (R)."""
        raise NotImplementedError

    def status(self, name: str) -> MailboxStatus:
        """The counters (B). `size` is None when sizes are missing: see `unsized`."""
        raise NotImplementedError

    def unsized(self, name: str) -> tuple[str, list[int]]:
        """(mailbox id, UIDs without a known size), for FillFacts jobs before `status` is asked again (B)."""
        raise NotImplementedError

    def try_mailbox(self, name: str) -> Mailbox | None:
        """The mailbox when it is open in this process and in step with the store, else None (R)."""
        raise NotImplementedError

    def mailbox(self, name: str) -> Mailbox:
        """The mailbox, in step with the store (B). NONEXISTENT."""
        raise NotImplementedError

    def try_select(self, name: str, readonly: bool, on_change: Callable[[], None]) -> View | None:
        """A view when that needs no waiting, else None: ask `select` (R)."""
        raise NotImplementedError

    def select(self, name: str, readonly: bool, on_change: Callable[[], None]) -> View:
        """Open a view; claims \\Recent unless `readonly` (B). NONEXISTENT."""
        raise NotImplementedError

    # -- delivery (B) --
    def spool(self, name: str) -> Spool:
        """A sink for a message that will be appended there. TRYCREATE."""
        raise NotImplementedError

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """All or none; durable when it returns. The spools are used up whatever happens."""
        raise NotImplementedError

    # -- the server's side (R) --
    def doorbell(self, mailbox_id: str) -> None:
        """This or another worker changed that mailbox."""
        raise NotImplementedError

    def views(self) -> int:
        """Open views in this process."""
        raise NotImplementedError

    def upkeep(self) -> Callable[[], None] | None:
        """Called every 10 to 30 s: drops caches of idle mailboxes; gives what has to run off the reactor (B)."""
        raise NotImplementedError

    def drain_reports(self) -> list[Report]:
        """What the store, the index or a job mended or could not read since the last call."""
        raise NotImplementedError

    def release(self) -> None:
        """The last session left: end watches and close the index."""
        raise NotImplementedError
