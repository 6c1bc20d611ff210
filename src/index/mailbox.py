"""One mailbox in the index: reading for sessions, merging what the store says.

Rules that keep it right:
1. Every call is one transaction, begun and ended inside it; what a call returns is from one moment.
2. Rows are believed only when their digests fit. A bad fact or size reads as unknown and is written anew by whoever
   fills it; a bad head, flag or locator column condemns the mailbox: `head()` is None until `create` starts it afresh.
3. Nothing is cached here but the last head and a weak reference to the last snapshot, both compared with the bytes
   in the environment at each call.
"""

import re
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..message.headers import cut_block
from ..model.facts import Fact
from ..model.store import FolderHeader
from ..model.uids import UidSet
from . import cache, changelog, columns, listing, schema
from .draft import Draft
from .errors import NotIndexed, Unsound
from .head import Directory, Head, pack_head, unpack_head
from .merge import merge, set_cold
from .records import Merge, Merged
from .snapshot import Chunk, Snapshot, read_chunk, snapshot_of

if TYPE_CHECKING:
    from .environment import Environment, Opened, Txn

T = TypeVar("T")

MAX_FIELDS = 100
"""Header fields kept per message at most: a client that asks for ever new names must not grow every row."""
MAX_FIELD_NAME = 100


class _Known(NamedTuple):
    """A head as it was last read."""

    mailbox: int
    record: bytes
    head: Head
    directory: Directory


class MailboxIndex:
    """The rows of one mailbox, named by its GUID. Cheap to make; holds no transaction between calls.

    Reading calls may be made from any thread at any time (reactor-safe), never wait and never raise. Writing calls
    may wait for another writer: pool threads only. They raise IndexUnavailable, and NotIndexed when the mailbox has no
    rows (head() is then None as well): call `create`, then merge everything the store has.
    """

    def __init__(self, guid: str, environment: "Environment", clock: Callable[[], int]) -> None:
        self.guid = guid
        self._environment = environment
        self._clock = clock
        self._known: _Known | None = None
        self._latest: weakref.ref[Snapshot] | None = None

    # ── reading ──

    def head(self) -> Head | None:
        """Counters and identity; None: not indexed (any more), to be created and merged from the store."""
        known = self._environment.read(self._look)
        return None if known is None else known.head

    def snapshot(self, previous: Snapshot | None = None) -> Snapshot | None:
        """All messages as they are now, sharing what did not change with `previous` (or being `previous`)."""

        def build(txn: "Txn", known: _Known) -> Snapshot:
            return self._snapshot(txn, known, previous)

        return self._read(build)

    def locators(self) -> dict[bytes, int]:
        """Locator to UID of all messages; empty when not indexed."""

        def collect(txn: "Txn", known: _Known) -> dict[bytes, int]:
            found: dict[bytes, int] = {}
            for number, chunk in enumerate(self._snapshot(txn, known, None).chunks):
                found.update(zip(_locators(txn, known, number), chunk.uids, strict=True))
            return found

        return self._read(collect) or {}

    def locators_of(self, uids: Sequence[int]) -> dict[int, bytes]:
        """UID to locator of those messages that are there."""

        def collect(txn: "Txn", known: _Known, number: int) -> list[bytes]:
            return _locators(txn, known, number)

        return {uid: row for uid, row in zip(uids, self._column(uids, collect), strict=True) if row is not None}

    def find(self, parts: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """(uid, locator) of the messages whose locator has one of these byte strings in it, ascending by UID. One
        pass over all locators, whatever the number of parts; the caller looks closer at what was found."""
        if not parts:
            return []
        pattern = re.compile(b"|".join(map(re.escape, parts)))

        def collect(txn: "Txn", known: _Known) -> list[tuple[int, bytes]]:
            found: list[tuple[int, bytes]] = []
            for number in range(known.head.chunks):
                joined = _joined(txn, known, number)
                if pattern.search(joined):
                    rows = zip(self._chunk(txn, known, number).uids, joined.split(b"\0"), strict=True)
                    found.extend(row for row in rows if pattern.search(row[1]))
            return found

        return self._read(collect) or []

    def sizes(self, uids: Sequence[int]) -> list[int | None]:
        """RFC822.SIZE of each, None where unknown or gone."""
        return self._cold(uids, columns.unpack_vsizes, columns.UNKNOWN)

    def dates(self, uids: Sequence[int]) -> list[int | None]:
        """INTERNALDATE of each in seconds since 1970, None where unknown or gone."""
        return self._cold(uids, columns.unpack_dates, columns.NO_DATE)

    def facts(self, fact: Fact, uids: Sequence[int]) -> list[bytes | None]:
        """Ready bytes of each, None where not cached. Fastest for ascending UIDs, some hundreds at a time.
        Not for Fact.HEADERS."""
        return self._facts(fact, uids, _plain)

    def header_blocks(self, fields: frozenset[bytes], uids: Sequence[int]) -> list[bytes | None]:
        """The block of these header fields (lower case) of each, None where the cached set does not hold them."""
        head = self.head()
        if head is None:
            return [None] * len(uids)
        whole, cut = _versions(head, fields)

        def choose(tags: bytes, rows: cache.Rows) -> cache.Rows:
            if tags.count(whole) == len(tags):
                return rows
            return [
                row if row is None or tag == whole else cut_block(row, fields) if tag in cut else None
                for tag, row in zip(tags, rows, strict=True)
            ]

        return self._facts(Fact.HEADERS, uids, choose)

    def changed_since(self, modseq: int) -> list[tuple[int, int, int]]:
        """(uid, flags, modseq) of messages with a higher modseq, ascending by UID."""

        def collect(txn: "Txn", known: _Known) -> list[tuple[int, int, int]]:
            rows: list[tuple[int, int, int]] = []
            for number, newest in enumerate(known.directory.modseqs):
                if newest > modseq:
                    rows.extend(self._chunk(txn, known, number).changed_since(modseq))
            return rows

        return self._read(collect) or []

    def vanished_since(self, modseq: int, uids: UidSet | None = None) -> UidSet | None:
        """UIDs that went after that modseq (only those in `uids`); None when the log does not reach back so far."""

        def collect(txn: "Txn", known: _Known) -> UidSet | None:
            if modseq < known.head.vanished_floor:
                return None
            return changelog.vanished_after(txn, known.mailbox, modseq)

        gone = self._read(collect)
        return gone if gone is None or uids is None else gone & uids

    def needs_ceiling(self) -> bool:
        """The next modseq would pass the recorded ceiling: reserve one in the store and pass it to the merge."""
        head = self.head()
        return head is None or changelog.next_modseq(head, self._clock()) > head.ceiling

    # ── writing ──

    def create(self, header: FolderHeader, ceiling: int, keywords: tuple[str, ...] = ()) -> Head:
        """Start afresh with no messages, dropping all rows that were there. `ceiling` is what the store holds
        (0: nothing); every modseq given out from now on is higher."""
        start = max(ceiling, 1)
        head = Head(
            guid=self.guid, generation=1, uidvalidity=header.uidvalidity, uidnext=max(header.uidnext, 1), messages=0,
            unseen=0, deleted=0, size=0, size_unknown=0, highestmodseq=start, first_recent=1, recent=0,
            fingerprint=None, settled=False, ceiling=ceiling, vanished_floor=start, vanished_rows=0,
            keywords=keywords, header_sets=(), pop3_format=header.pop3_format, chunks=0, packed=b"",
        )  # fmt: skip

        def begin(txn: "Txn", opened: "Opened") -> int:
            old = listing.unlist(txn, self.guid)
            mailbox = listing.enlist(txn, self.guid)
            opened.condemned.discard(mailbox)
            key = schema.column_key(mailbox, schema.HEAD)
            txn.put(key, pack_head(key, head))
            return old

        old = self._environment.write(begin)
        if old:
            listing.sweep(self._environment, old)
        return head

    def merge(self, changes: Merge) -> Merged:
        """Bring changes in, in one short write transaction. Also raises CeilingNeeded (nothing was changed then)."""
        return self._change(lambda draft: merge(draft, changes), changes.ceiling)

    def claim_recent(self) -> tuple[int, int]:
        """Take all messages that no session was shown yet: half-open range of UIDs, empty (equal) when none."""

        def claim(draft: Draft) -> tuple[int, int]:
            low = draft.first_recent
            if not draft.recent:
                return low, low
            rows = draft.load(len(draft.directory.firsts) - 1)
            draft.first_recent, draft.recent = rows.uids[-1] + 1, 0
            draft.save()
            return low, draft.first_recent

        return self._change(claim)

    def set_sizes(self, sizes: Mapping[int, tuple[int, int]]) -> None:
        """UID to (octets of the file, RFC822.SIZE); replaces what is recorded. Gives no modseq."""
        self._change(lambda draft: set_cold(draft, sizes, {}))

    def set_dates(self, dates: Mapping[int, int]) -> None:
        """UID to INTERNALDATE in seconds."""
        self._change(lambda draft: set_cold(draft, {}, dates))

    def want_headers(self, fields: frozenset[bytes]) -> int:
        """Have these header fields (lower case) kept: the version of the set that holds them, whose fields are
        `head().header_sets[version - 1]`; 0 when there is no room for them."""
        head = self.head()
        if head is not None and head.header_sets and fields <= head.header_sets[-1]:
            return len(head.header_sets)

        def grow(draft: Draft) -> int:
            sets = draft.head.header_sets
            if sets and fields <= sets[-1]:
                return len(sets)
            wanted = fields | sets[-1] if sets else fields
            if len(wanted) > MAX_FIELDS or any(len(name) > MAX_FIELD_NAME for name in fields):
                return 0
            draft.save(header_sets=(*sets, wanted))
            return len(sets) + 1

        return self._change(grow)

    def put_facts(self, rows: Sequence[tuple[int, Fact, bytes]], header_version: int = 0) -> int:
        """Keep ready bytes; `header_version` says which set the HEADERS among them are of. Rows of messages that
        are gone are left out. How many were kept."""
        by_fact: dict[Fact, dict[int, bytes]] = {}
        for uid, fact, value in rows:
            by_fact.setdefault(fact, {})[uid] = value

        def keep(draft: Draft) -> int:
            uids = draft.neighbours(uid for uid, _, _ in rows)
            kept = 0
            for fact, values in by_fact.items():
                version = header_version if fact is Fact.HEADERS else 1
                if 0 < version <= cache.VERSIONS:
                    kept += cache.put(draft.txn, draft.mailbox, fact, version, values, uids)
            return kept

        return self._change(keep)

    # ── inside a transaction ──

    def _look(self, txn: "Txn", opened: "Opened") -> _Known | None:
        """The mailbox's head; None when it has no (sound) rows."""
        known = self._known
        if known is not None:
            record = txn.get(schema.column_key(known.mailbox, schema.HEAD))
            if record == known.record and known.mailbox not in opened.condemned:
                return known
            if record is not None:
                found = self._decode(known.mailbox, record, opened)
                if found is not None and found.head.guid == self.guid:
                    return found
        mailbox = listing.number_of(txn, self.guid)
        record = txn.get(schema.column_key(mailbox, schema.HEAD)) if mailbox else None
        if record is None:
            return None
        found = self._decode(mailbox, record, opened)
        return found if found is not None and found.head.guid == self.guid else None

    def _decode(self, mailbox: int, record: bytes, opened: "Opened") -> _Known | None:
        if mailbox in opened.condemned:
            return None
        head = unpack_head(schema.column_key(mailbox, schema.HEAD), record)
        if head is None:
            self._condemn(mailbox, opened, "head")
            return None
        known = _Known(mailbox, record, head, head.directory())
        if head.guid == self.guid:
            self._known = known
        return known

    def _condemn(self, mailbox: int, opened: "Opened", detail: str) -> None:
        if mailbox not in opened.condemned:
            opened.condemned.add(mailbox)
            self._environment.report("mailbox-index-damaged", f"mailbox {self.guid}: {detail}; it is built anew")

    def _read(self, action: "Callable[[Txn, _Known], T | None]") -> T | None:
        def run(txn: "Txn", opened: "Opened") -> T | None:
            known = self._look(txn, opened)
            if known is None:
                return None
            try:
                return action(txn, known)
            except Unsound as problem:
                self._condemn(known.mailbox, opened, str(problem))
                return None

        return self._environment.read(run)

    def _change(self, action: Callable[[Draft], T], ceiling: int = 0) -> T:
        def run(txn: "Txn", opened: "Opened") -> tuple[T, Draft]:
            known = self._look(txn, opened)
            if known is None:
                raise NotIndexed(self.guid)
            draft = Draft(txn, known.mailbox, known.head, known.directory, self._clock(), ceiling)
            try:
                return action(draft), draft
            except Unsound as problem:
                self._condemn(known.mailbox, opened, str(problem))
                raise NotIndexed(self.guid) from problem

        result, draft = self._environment.write(run)
        if draft.record is not None:
            self._known = _Known(draft.mailbox, draft.record, draft.head, draft.directory)
        if draft.lost_cold:
            self._environment.report("index-row-damaged", f"mailbox {self.guid}: sizes and dates")
        return result

    def _snapshot(self, txn: "Txn", known: _Known, previous: Snapshot | None) -> Snapshot:
        if previous is None and self._latest is not None:
            previous = self._latest()
        snapshot = snapshot_of(txn, known.mailbox, known.head, known.directory, previous)
        self._latest = weakref.ref(snapshot)
        return snapshot

    def _chunk(self, txn: "Txn", known: _Known, number: int) -> Chunk:
        latest = self._latest() if self._latest is not None else None
        if latest is not None and number < len(latest.chunks):
            chunk = latest.chunks[number]
            if chunk.version == known.directory.hot[number]:
                return chunk
        return read_chunk(txn, known.mailbox, known.directory, number)

    def _column(
        self, uids: Sequence[int], column: "Callable[[Txn, _Known, int], Sequence[T | None] | None]"
    ) -> list[T | None]:
        """One column's values for these UIDs; `column` reads that of a whole chunk, None when it is lost."""

        def collect(txn: "Txn", known: _Known) -> list[T | None]:
            if not known.directory.firsts:
                return [None] * len(uids)

            def answer(wanted: "array[int]") -> list[T | None]:
                out: list[T | None] = []
                for number, start, end in columns.spans(known.directory.firsts, wanted):
                    values = column(txn, known, number)
                    if values is None:
                        out.extend([None] * (end - start))
                    else:
                        out.extend(columns.pick(values, self._chunk(txn, known, number).uids, wanted[start:end]))
                return out

            return columns.ordered(uids, answer)

        return self._read(collect) or [None] * len(uids)

    def _cold(self, uids: Sequence[int], unpack: "Callable[[bytes], array[int]]", unknown: int) -> list[int | None]:
        def values(txn: "Txn", known: _Known, number: int) -> "array[int] | None":
            first = known.directory.firsts[number]
            key = schema.row_key(known.mailbox, schema.COLD, first)
            value = txn.get(key)
            if value is None or schema.digest(key, value) != known.directory.cold[number]:
                self._environment.report("index-row-damaged", f"mailbox {self.guid}: sizes of UIDs from {first}")
                return None
            return unpack(value)

        found = self._column(uids, values)
        return [None if value == unknown else value for value in found] if unknown in found else found

    def _facts(
        self, fact: Fact, uids: Sequence[int], choose: Callable[[bytes, cache.Rows], cache.Rows]
    ) -> list[bytes | None]:
        def collect(txn: "Txn", known: _Known) -> list[bytes | None]:
            def answer(wanted: "array[int]") -> list[bytes | None]:
                out: list[bytes | None] = []
                start, end, total = 0, 0, len(wanted)
                while start < total:
                    group = wanted[start] >> cache.SHIFT
                    end = bisect_left(wanted, (group + 1) << cache.SHIFT, start)
                    places = None
                    if end - start < cache.GROUP:
                        places = [uid & (cache.GROUP - 1) for uid in wanted[start:end]]
                    try:
                        found = cache.read_group(txn, known.mailbox, fact, group, places)
                    except ValueError as problem:
                        self._environment.report("index-row-damaged", f"mailbox {self.guid}: {problem}")
                        found = None
                    if found is None:
                        out.extend([None] * (end - start))
                    else:
                        out.extend(choose(*found))
                    start = end
                return out

            return columns.ordered(uids, answer)

        return self._read(collect) or [None] * len(uids)


def _plain(tags: bytes, rows: cache.Rows) -> cache.Rows:
    return rows


def _versions(head: Head, fields: frozenset[bytes]) -> tuple[int, frozenset[int]]:
    """The version that is exactly these fields (255: none), and those that hold them and more."""
    whole, cut = 255, set()
    for version, names in enumerate(head.header_sets, 1):
        if names == fields:
            whole = version
        elif names > fields:
            cut.add(version)
    return whole, frozenset(cut)


def _joined(txn: "Txn", known: _Known, number: int) -> bytes:
    first = known.directory.firsts[number]
    key = schema.row_key(known.mailbox, schema.LOCATORS, first)
    value = txn.get(key)
    if value is None or schema.digest(key, value) != known.directory.locators[number]:
        raise Unsound(f"locators of UIDs from {first}")
    return value


def _locators(txn: "Txn", known: _Known, number: int) -> list[bytes]:
    return _joined(txn, known, number).split(b"\0")
