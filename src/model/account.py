"""What is known of an account once its user has logged in: plain data that can cross a process border."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DefaultMailbox:
    """A mailbox made for a new account; `name` in modified UTF-7 as on the wire, `special_use` like `\\Sent`."""

    name: str
    special_use: str | None = None
    subscribe: bool = True


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """Where and how one user's mail lies. All paths are absolute and already expanded."""

    user: str
    store: str
    """The store's root, `maildir:/path`."""
    layout: str
    """`maildir++` or `fs`."""
    separator: str
    prefix: str
    index: str
    """Directory of this account's index environment."""
    defaults: tuple[DefaultMailbox, ...] = ()
    max_message_size: int = 50_000_000


@dataclass(frozen=True, slots=True)
class MailboxInfo:
    """One mailbox as LIST sees it; `name` is modified UTF-7 with the account's separator and prefix."""

    name: str
    selectable: bool
    """False for a parent that only exists through its children (\\Noselect, \\NonExistent)."""
    has_children: bool
    special_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """The counters of one mailbox (STATUS, SELECT)."""

    messages: int
    recent: int
    unseen: int
    deleted: int
    uidnext: int
    uidvalidity: int
    highestmodseq: int
    size: int | None
    """Sum of RFC822.SIZE; None while some message's size is unknown."""
    mailbox_id: str
