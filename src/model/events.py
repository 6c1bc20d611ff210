"""Ports through which the account layer hears of changes and tells of them. The server room implements them."""

from collections.abc import Callable, Sequence
from typing import Protocol


class Watch(Protocol):
    """A live watch on directories."""

    def close(self) -> None:
        """Stop; the callback is not called afterwards."""


class Watcher(Protocol):
    """Tells when another program changes a directory (inotify, or polling where that fails). `watch` and `close`
    may be called from any thread; what changes after `watch` returned is told. A watched directory that is removed
    or renamed is told as None."""

    def watch(self, paths: Sequence[str], changed: Callable[[frozenset[bytes] | None], None]) -> Watch:
        """Call `changed` on the reactor thread with the names that changed, each `new/name` or `name` as in a
        locator (the part after the last watched directory; `cur/` is left out), or None when names were lost."""


class Doorbell(Protocol):
    """Wakes every worker that has the same mailbox open, this one included: each calls `Account.doorbell` on its
    reactor thread."""

    def ring(self, account: str, mailbox_id: str) -> None:
        """From any thread; never waits, never raises."""
