"""Merging what the store says into a mailbox's draft: messages that came, changed or went, all by UID.

Rules that keep it right:
1. Merging the same twice leaves no trace: what is known already is only updated, what is gone stays gone.
2. One merge gives at most one modseq, and only when something visible changed: flags, or a message came or went.
3. Chunks keep between one and 256 messages. Appending leaves full chunks alone, so that a mailbox that only grows
   rewrites its last chunk; small neighbours are joined when messages go.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..model.uids import MAX_UID
from . import cache, changelog, schema
from .columns import NO_DATE, UNKNOWN, unknown_cold
from .draft import Draft, Rows
from .head import Head
from .records import Added, Changed, Merge, Merged

_FEW = 16
"""So many rows are cut out of the columns one by one; else what stays is collected."""
_JOIN_BELOW = 64
_JOINED = 192
"""A chunk with fewer messages than the first is joined with its neighbour while both together stay under the second."""


class _Work:
    """What one merge does to one chunk."""

    __slots__ = ("added", "changed", "vanished")

    def __init__(self) -> None:
        self.added: list[Added] = []
        self.changed: list[Changed] = []
        self.vanished: list[int] = []


def merge(draft: Draft, changes: Merge) -> Merged:
    """Bring all changes into the draft and save it."""
    head = draft.head
    out = Merged(head, None, [], [], [], [])
    # From the last chunk to the first, so that chunk numbers stay true while chunks are cut and joined.
    for chunk, work in sorted(_by_chunk(draft, changes).items(), reverse=True):
        _merge_chunk(draft, chunk, work, out)
    out.added.sort()
    out.changed.sort()
    out.vanished.sort()
    out.skipped.sort()
    uidnext = max(head.uidnext, changes.uidnext, out.added[-1] + 1 if out.added else 0)
    more: dict[str, Any] = {}
    if uidnext != head.uidnext:
        more["uidnext"] = min(uidnext, MAX_UID)
    if changes.keywords is not None:
        more["keywords"] = changes.keywords
    if changes.fingerprint is not None:
        more["fingerprint"] = changes.fingerprint.key
        more["settled"] = changes.fingerprint.settled
    if out.vanished:
        changelog.log_vanished(draft.txn, draft.mailbox, draft.visible(), out.vanished)
        rows = head.vanished_rows + 1
        if rows > changelog.LOG_ROWS:
            rows, floor = changelog.trim(draft.txn, draft.mailbox, rows)
            more["vanished_floor"] = max(head.vanished_floor, floor)
        more["vanished_rows"] = rows
        cache.forget(draft.txn, draft.mailbox, _empty_groups(draft, out.vanished))
    if head.vanished_rows and out.added and out.added[0] < head.uidnext:
        cache.drop(draft.txn, draft.mailbox, [uid for uid in out.added if uid < head.uidnext])
    saved = draft.save(**more)
    return Merged(saved, draft.modseq, out.added, out.changed, out.vanished, out.skipped)


def _by_chunk(draft: Draft, changes: Merge) -> dict[int, _Work]:
    work: dict[int, _Work] = {}

    def of(uid: int) -> _Work:
        return work.setdefault(draft.chunk_of(uid), _Work())

    if changes.added:
        last = draft.directory.firsts[-1] if draft.directory.firsts else 0
        added = sorted({message.uid: message for message in changes.added}.values(), key=lambda message: message.uid)
        tail = bisect_left(added, last, key=lambda message: message.uid)
        for message in added[:tail]:
            of(message.uid).added.append(message)
        if tail < len(added):
            of(last).added.extend(added[tail:])
    if changes.changed:
        for change in {change.uid: change for change in changes.changed}.values():
            of(change.uid).changed.append(change)
    if changes.vanished:
        for uid in sorted(set(changes.vanished)):
            of(uid).vanished.append(uid)
    for part in work.values():
        if any(b"\0" in message.locator for message in part.added):
            raise ValueError("a locator with a NUL in it")
        if any(b"\0" in message.locator for message in part.changed):
            raise ValueError("a locator with a NUL in it")
    return work


def _merge_chunk(draft: Draft, chunk: int, work: _Work, out: Merged) -> None:
    rows = draft.load(chunk)
    gone = [uid for uid in work.vanished if rows.place(uid) >= 0]
    new: list[Added] = []
    if work.added:
        known = set(rows.uids)
        new = [message for message in work.added if message.uid not in known]
        for message in work.added:
            if message.uid in known and message.uid not in gone:
                _update(draft, chunk, rows, message, out)
                _set_cold(draft, chunk, rows, message.uid, message.size, message.vsize, message.internaldate)
    for change in work.changed:
        if change.uid in gone or rows.place(change.uid) < 0:
            out.skipped.append(change.uid)
        else:
            _update(draft, chunk, rows, change, out)
    if not gone and not new:
        draft.store(chunk, rows)
        return
    pieces = [rows]
    chunks = 1 if draft.directory.firsts else 0
    if gone:
        _remove(draft, chunk, rows, gone)
        out.vanished.extend(gone)
    if new:
        out.added.extend(message.uid for message in new)
        if len(rows.uids) >= schema.CHUNK and new[0].uid > rows.uids[-1]:
            # A full chunk stays as it is; what is behind it begins a new one.
            draft.store(chunk, rows)
            chunk, chunks = chunk + 1, 0
            rows = Rows(new[0].uid, array("I"), array("Q"), array("Q"))
            rows.locators, rows.cold = [], unknown_cold(0)
            pieces = [rows]
        _insert(draft, chunk, rows, new)
        pieces = _split(rows)
    elif not rows.uids:
        pieces = []
    elif _joinable(draft, chunk, rows):
        _join(draft, chunk, rows)
        chunks = 2
    for piece in pieces:
        draft.locators(chunk, piece)
        draft.cold(chunk, piece)
    draft.replace(chunk, chunks, pieces)


def _update(draft: Draft, chunk: int, rows: Rows, message: Added | Changed, out: Merged) -> None:
    place = rows.place(message.uid)
    expected = message.expected_locator if isinstance(message, Changed) else None
    if not (
        expected is not None and rows.locators is None and _splice(draft, chunk, rows, place, message.locator, expected)
    ):
        locators = draft.locators(chunk, rows)
        if expected is not None and locators[place] != expected:
            out.skipped.append(message.uid)
            return
        if locators[place] != message.locator:
            locators[place] = message.locator
            rows.new_locators = True
    old = rows.flags[place]
    if old != message.flags:
        draft.count_flags(old, -1)
        draft.count_flags(message.flags, 1)
        rows.flags[place] = message.flags
        rows.modseqs[place] = draft.visible()
        rows.new_hot = True
        out.changed.append((message.uid, message.flags, draft.visible()))


def _splice(draft: Draft, chunk: int, rows: Rows, place: int, new: bytes, old: bytes) -> bool:
    """Replace one locator without splitting all; False when `old` was not found there at once."""
    joined = draft.joined(chunk, rows)
    start = joined.find(old)
    end = start + len(old)
    if (
        start < 0
        or joined.count(b"\0", 0, start) != place
        or (start and joined[start - 1])
        or (end < len(joined) and joined[end])
    ):
        return False
    if old != new:
        rows.joined = b"".join((joined[:start], new, joined[end:]))
        rows.new_locators = True
    return True


def _set_cold(
    draft: Draft, chunk: int, rows: Rows, uid: int, size: int | None, vsize: int | None, date: int | None
) -> None:
    if size is None and vsize is None and date is None:
        return
    sizes, vsizes, dates = draft.cold(chunk, rows)
    place = rows.place(uid)
    if size is not None and sizes[place] != size:
        sizes[place] = size
        rows.new_cold = True
    if vsize is not None and vsizes[place] != vsize:
        draft.count_size(vsizes[place], -1)
        draft.count_size(vsize, 1)
        vsizes[place] = vsize
        rows.new_cold = True
    if date is not None and dates[place] != date:
        dates[place] = date
        rows.new_cold = True


def _remove(draft: Draft, chunk: int, rows: Rows, gone: Sequence[int]) -> None:
    locators = draft.locators(chunk, rows)
    sizes, vsizes, dates = draft.cold(chunk, rows)
    draft.visible()
    for uid in gone:
        place = rows.place(uid)
        draft.count_flags(rows.flags[place], -1)
        draft.count_size(vsizes[place], -1)
        if uid >= draft.first_recent:
            draft.recent -= 1
    draft.messages -= len(gone)
    if len(gone) <= _FEW:
        for uid in gone:
            place = rows.place(uid)
            for column in (rows.uids, rows.flags, rows.modseqs, locators, sizes, vsizes, dates):
                del column[place]
        return
    away = set(gone)
    stay = [place for place, uid in enumerate(rows.uids) if uid not in away]
    rows.uids = array("I", [rows.uids[place] for place in stay])
    rows.flags = array("Q", [rows.flags[place] for place in stay])
    rows.modseqs = array("Q", [rows.modseqs[place] for place in stay])
    rows.locators = [locators[place] for place in stay]
    rows.cold = (
        array("Q", [sizes[place] for place in stay]), array("Q", [vsizes[place] for place in stay]),
        array("q", [dates[place] for place in stay]),
    )  # fmt: skip


def _insert(draft: Draft, chunk: int, rows: Rows, new: Sequence[Added]) -> None:
    locators = draft.locators(chunk, rows)
    sizes, vsizes, dates = draft.cold(chunk, rows)
    modseq = draft.visible()
    for message in new:
        draft.count_flags(message.flags, 1)
        draft.count_size(UNKNOWN if message.vsize is None else message.vsize, 1)
        draft.count_recent(message.uid, message.recent)
    draft.messages += len(new)
    in_order = not rows.uids or new[0].uid > rows.uids[-1]
    rows.uids.extend(message.uid for message in new)
    rows.flags.extend(message.flags for message in new)
    rows.modseqs.extend(modseq for _ in new)
    locators.extend(message.locator for message in new)
    sizes.extend(UNKNOWN if message.size is None else message.size for message in new)
    vsizes.extend(UNKNOWN if message.vsize is None else message.vsize for message in new)
    dates.extend(NO_DATE if message.internaldate is None else message.internaldate for message in new)
    if not in_order:
        order = sorted(range(len(rows.uids)), key=rows.uids.__getitem__)
        rows.uids = array("I", [rows.uids[place] for place in order])
        rows.flags = array("Q", [rows.flags[place] for place in order])
        rows.modseqs = array("Q", [rows.modseqs[place] for place in order])
        rows.locators = [locators[place] for place in order]
        rows.cold = (
            array("Q", [sizes[place] for place in order]), array("Q", [vsizes[place] for place in order]),
            array("q", [dates[place] for place in order]),
        )  # fmt: skip


def _split(rows: Rows) -> list[Rows]:
    """Cut into chunks of at most CHUNK; the first keeps its name unless something now lies below that."""
    if rows.locators is None or rows.cold is None:
        raise AssertionError("a chunk is cut with all its columns loaded")
    pieces = []
    for start in range(0, len(rows.uids), schema.CHUNK):
        end = start + schema.CHUNK
        uids = rows.uids[start:end]
        first = uids[0] if start or not rows.first else min(rows.first, uids[0])
        piece = Rows(first, uids, rows.flags[start:end], rows.modseqs[start:end])
        piece.locators = rows.locators[start:end]
        piece.cold = rows.cold[0][start:end], rows.cold[1][start:end], rows.cold[2][start:end]
        pieces.append(piece)
    return pieces


def _joinable(draft: Draft, chunk: int, rows: Rows) -> bool:
    counts = draft.directory.counts
    return len(rows.uids) < _JOIN_BELOW and chunk + 1 < len(counts) and len(rows.uids) + counts[chunk + 1] <= _JOINED


def _join(draft: Draft, chunk: int, rows: Rows) -> None:
    """Take the messages of the next chunk into this one."""
    after = draft.load(chunk + 1)
    more = draft.cold(chunk + 1, after)
    rows.locators = draft.locators(chunk, rows) + draft.locators(chunk + 1, after)
    sizes, vsizes, dates = draft.cold(chunk, rows)
    rows.cold = sizes + more[0], vsizes + more[1], dates + more[2]
    rows.uids = rows.uids + after.uids
    rows.flags = rows.flags + after.flags
    rows.modseqs = rows.modseqs + after.modseqs


def _empty_groups(draft: Draft, gone: Iterable[int]) -> list[int]:
    """Groups of the fact cache in which no message is left."""
    gone = list(gone)
    left = {uid >> cache.SHIFT for uid in draft.neighbours(gone)}
    return sorted({uid >> cache.SHIFT for uid in gone} - left)


def set_cold(draft: Draft, sizes: Mapping[int, tuple[int, int]], dates: Mapping[int, int]) -> Head:
    """Record sizes and dates of messages that are there."""
    by_chunk: dict[int, list[int]] = {}
    if draft.directory.firsts:
        for uid in {**sizes, **dates}:
            by_chunk.setdefault(draft.chunk_of(uid), []).append(uid)
    for chunk, uids in by_chunk.items():
        rows = draft.load(chunk)
        for uid in uids:
            if rows.place(uid) >= 0:
                size, vsize = sizes.get(uid, (None, None))
                _set_cold(draft, chunk, rows, uid, size, vsize, dates.get(uid))
        draft.store(chunk, rows)
    return draft.save()
