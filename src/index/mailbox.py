"""One mailbox in the index: reading for sessions, merging what the store says."""

from collections.abc import Mapping, Sequence

from ..model.facts import Fact
from ..model.store import FolderHeader
from ..model.uids import UidSet
from .head import Head
from .records import Merge, Merged
from .snapshot import Snapshot


class MailboxIndex:
    """The rows of one mailbox, named by its GUID. Cheap to make; holds no transaction between calls.

    Reading calls may be made from any thread at any time (reactor-safe), never wait and never raise. Writing calls
    may wait for another writer: pool threads only. They raise IndexUnavailable, and NotIndexed when the mailbox has no
    rows (head() is then None as well): call `create`, then merge everything the store has.
    """

    guid: str

    # ── reading ──

    def head(self) -> Head | None:
        """Counters and identity; None: not indexed (any more), to be created and merged from the store."""
        raise NotImplementedError

    def snapshot(self, previous: Snapshot | None = None) -> Snapshot | None:
        """All messages as they are now, sharing what did not change with `previous` (or being `previous`)."""
        raise NotImplementedError

    def locators(self) -> dict[bytes, int]:
        """Locator to UID of all messages; empty when not indexed."""
        raise NotImplementedError

    def locators_of(self, uids: Sequence[int]) -> dict[int, bytes]:
        """UID to locator of those messages that are there."""
        raise NotImplementedError

    def sizes(self, uids: Sequence[int]) -> list[int | None]:
        """RFC822.SIZE of each, None where unknown or gone."""
        raise NotImplementedError

    def dates(self, uids: Sequence[int]) -> list[int | None]:
        """INTERNALDATE of each in seconds since 1970, None where unknown or gone."""
        raise NotImplementedError

    def facts(self, fact: Fact, uids: Sequence[int]) -> list[bytes | None]:
        """Ready bytes of each, None where not cached. Fastest for ascending UIDs, some hundreds at a time.
        Not for Fact.HEADERS."""
        raise NotImplementedError

    def header_blocks(self, fields: frozenset[bytes], uids: Sequence[int]) -> list[bytes | None]:
        """The block of these header fields (lower case) of each, None where the cached set does not hold them."""
        raise NotImplementedError

    def changed_since(self, modseq: int) -> list[tuple[int, int, int]]:
        """(uid, flags, modseq) of messages with a higher modseq, ascending by UID."""
        raise NotImplementedError

    def vanished_since(self, modseq: int, uids: UidSet | None = None) -> UidSet | None:
        """UIDs that went after that modseq (only those in `uids`); None when the log does not reach back so far."""
        raise NotImplementedError

    def needs_ceiling(self) -> bool:
        """The next modseq would pass the recorded ceiling: reserve one in the store and pass it to the merge."""
        raise NotImplementedError

    # ── writing ──

    def create(self, header: FolderHeader, ceiling: int, keywords: tuple[str, ...] = ()) -> Head:
        """Start afresh with no messages, dropping all rows that were there. `ceiling` is what the store holds
        (0: nothing); every modseq given out from now on is higher."""
        raise NotImplementedError

    def merge(self, changes: Merge) -> Merged:
        """Bring changes in, in one short write transaction. Also raises CeilingNeeded (nothing was changed then)."""
        raise NotImplementedError

    def claim_recent(self) -> tuple[int, int]:
        """Take all messages that no session was shown yet: half-open range of UIDs, empty (equal) when none."""
        raise NotImplementedError

    def set_sizes(self, sizes: Mapping[int, tuple[int, int]]) -> None:
        """UID to (octets of the file, RFC822.SIZE); replaces what is recorded. Gives no modseq."""
        raise NotImplementedError

    def set_dates(self, dates: Mapping[int, int]) -> None:
        """UID to INTERNALDATE in seconds."""
        raise NotImplementedError

    def want_headers(self, fields: frozenset[bytes]) -> int:
        """Have these header fields (lower case) kept: the version of the set that holds them, whose fields are
        `head().header_sets[version - 1]`; 0 when there is no room for them."""
        raise NotImplementedError

    def put_facts(self, rows: Sequence[tuple[int, Fact, bytes]], header_version: int = 0) -> int:
        """Keep ready bytes; `header_version` says which set the HEADERS among them are of. Rows of messages that
        are gone are left out. How many were kept."""
        raise NotImplementedError
