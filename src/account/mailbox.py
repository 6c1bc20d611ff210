"""One mailbox, shared by all sessions of this process that have it open.

R: on the reactor thread; B: inside `Blocking` with the account's key.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..model.facts import Fact
from ..model.flags import FlagOp
from ..model.store import OpenMessage, Pop3Names
from .results import Copied, Expunged, StoreResult

if TYPE_CHECKING:
    from ..index.snapshot import Snapshot
    from .view import View


class MaildropLock:
    """Held by the one POP3 session of a mailbox; dies with the process."""

    def release(self) -> None:
        """Give it up; harmless when repeated."""
        raise NotImplementedError


class Mailbox:
    """See the module."""

    name: str
    """Modified UTF-7; follows renames."""
    id: str
    uidvalidity: int
    gone: bool
    """Deleted, or replaced under the same name."""

    @property
    def snapshot(self) -> "Snapshot":
        """The newest one seen (R)."""
        raise NotImplementedError

    def refresh(self) -> "Snapshot":
        """The newest snapshot; re-reads the index's head, cheap (R)."""
        raise NotImplementedError

    @property
    def keywords(self) -> tuple[str, ...]:
        """Keyword names by number (R)."""
        raise NotImplementedError

    @property
    def keywords_full(self) -> bool:
        """No new keyword finds a place: PERMANENTFLAGS has no \\* (R)."""
        raise NotImplementedError

    @property
    def stale(self) -> bool:
        """`sync` should run: something changed, or may have, that the index does not know (R)."""
        raise NotImplementedError

    def sync(self, claimant: "View | None" = None) -> None:
        """Bring the index in step with the store (B)."""
        raise NotImplementedError

    def store(
        self, uids: Sequence[int], op: FlagOp, system: int, keywords: Sequence[str], unchanged_since: int | None = None
    ) -> StoreResult:
        """Change flags (B). UIDs that are not there come back as `gone`."""
        raise NotImplementedError

    def expunge(self, uids: Sequence[int] | None = None, *, caller: "View | None" = None) -> Expunged:
        """Remove those with \\Deleted; None: all of them (B). `caller`'s own view needs no copy kept."""
        raise NotImplementedError

    def remove(self, uids: Sequence[int], *, caller: "View | None" = None) -> Expunged:
        """Remove these whether or not they have \\Deleted (POP3; B)."""
        raise NotImplementedError

    def copy(self, uids: Sequence[int], target: str) -> Copied:
        """All or none (B). TRYCREATE; EXPUNGED when one of them is gone."""
        raise NotImplementedError

    def move(self, uids: Sequence[int], target: str, *, caller: "View | None" = None) -> Copied:
        """Each message is in exactly one mailbox at every moment (B)."""
        raise NotImplementedError

    def open(self, uid: int) -> OpenMessage:
        """EXPUNGED, UNREADABLE (B, needs no key)."""
        raise NotImplementedError

    def corrected(self, uid: int, size: int, vsize: int) -> None:
        """The true sizes of a message whose name or index row says something else (B)."""
        raise NotImplementedError

    def sizes(self, uids: Sequence[int]) -> list[int | None]:
        """RFC822.SIZE where known (R)."""
        raise NotImplementedError

    def dates(self, uids: Sequence[int]) -> list[int | None]:
        """INTERNALDATE where known, seconds (R)."""
        raise NotImplementedError

    def facts(self, fact: Fact, uids: Sequence[int]) -> list[bytes | None]:
        """Ready bytes where known (R)."""
        raise NotImplementedError

    def header_blocks(self, fields: frozenset[bytes], uids: Sequence[int]) -> list[bytes | None]:
        """Header fields in message order where known (R)."""
        raise NotImplementedError

    def pop3_names(self) -> Pop3Names:
        """What the uidlist says to POP3 alone (B)."""
        raise NotImplementedError

    def lock_maildrop(self) -> MaildropLock:
        """MailError(INUSE) when another POP3 session has it (B)."""
        raise NotImplementedError

    def keep_open(self) -> "View":
        """A read-only view that claims nothing: what POP3 holds during its session (R)."""
        raise NotImplementedError
