"""Ready-made facts of messages, up to 32 messages with neighbouring UIDs in one value.

A group is named by UID // 32, so that a message's group never depends on what else is in the mailbox. Its value:

    checksum (8) | tags (32) | 33 offsets u32 | the facts one after another

A tag is 0 for a message without the fact; else its low bits are the version (of the header set; 1 for the other
facts). With SPILLED a big fact lies in a row of its own, so that one huge message does not make its neighbours slow.
Reading 32 neighbours is one lookup, one checksum and 32 slices, a quarter of what rows of their own cost.

Rules that keep it right:
1. A damaged group reads as empty; the next `put` writes it anew.
2. A group is removed when its last message goes. What it holds of vanished messages until then is dropped with the
   next write to the group, and when a message turns up again under its old UID.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from struct import Struct
from typing import TYPE_CHECKING

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from ..model.facts import Fact
from . import schema

if TYPE_CHECKING:
    from .environment import Txn

GROUP = 32
SHIFT = 5
SPILLED = 0x80
VERSIONS = 0x7F
SPILL_FROM = 16384
_SPILL = 64
"""Spilled facts lie in column FACTS + _SPILL + fact, by UID."""

_OFFSETS = Struct("=33I")
_SPAN = Struct("=2I")
_TAGS_END = 8 + GROUP
_START = _TAGS_END + _OFFSETS.size
_FEW = 6
"""So many facts are cut out of a group one by one."""
_EMPTY = bytes(GROUP)

Rows = list[bytes | None]


def read_group(
    txn: "Txn", mailbox: int, fact: int, group: int, places: Sequence[int] | None = None
) -> tuple[bytes, Rows] | None:
    """Tags and facts of one group's 32 UIDs, or of those at `places`; None when there is no such group. Raises
    ValueError when it is damaged."""
    key = schema.row_key(mailbox, schema.FACTS + fact, group)
    value = txn.get(key)
    if value is None:
        return None
    if value[:8] != xxh3_64_digest(memoryview(value)[8:], xxh3_64_intdigest(key)) or len(value) < _START:
        raise ValueError(f"fact {fact} of UIDs from {group << SHIFT}")
    rows: Rows
    tags = value[8:_TAGS_END]
    if places is not None:
        tags = bytes([tags[place] for place in places])
    if places is not None and len(places) <= _FEW:
        spans = [_SPAN.unpack_from(value, _TAGS_END + 4 * place) for place in places]
        rows = [value[start:end] for start, end in spans]
    else:
        rows = [value[start:end] for start, end in pairwise(_OFFSETS.unpack_from(value, _TAGS_END))]
        if places is not None:
            rows = [rows[place] for place in places]
    if 0 in tags or max(tags) & SPILLED:
        for number, tag in enumerate(tags):
            if not tag:
                rows[number] = None
            elif tag & SPILLED:
                place = number if places is None else places[number]
                rows[number] = _spilled(txn, mailbox, fact, (group << SHIFT) + place)
        tags = bytes([0 if row is None else tag & VERSIONS for tag, row in zip(tags, rows, strict=True)])
    return tags, rows


def sound(key: bytes, record: bytes) -> bool:
    """The checksum of a group or a spilled fact fits."""
    return schema.checked(key, record) is not None


def write_group(txn: "Txn", mailbox: int, fact: int, group: int, tags: bytes, rows: Rows) -> None:
    """Replace one group."""
    key = schema.row_key(mailbox, schema.FACTS + fact, group)
    kept = bytearray(tags)
    parts: list[bytes] = []
    for place, row in enumerate(rows):
        if row is None:
            kept[place] = 0
            parts.append(b"")
        elif len(row) > SPILL_FROM:
            kept[place] |= SPILLED
            parts.append(b"")
            spill = schema.row_key(mailbox, schema.FACTS + _SPILL + fact, (group << SHIFT) + place)
            txn.put(spill, schema.sealed(spill, row))
        else:
            parts.append(row)
    offsets = accumulate(map(len, parts), initial=_START)
    body = b"".join((kept, _OFFSETS.pack(*offsets), *parts))
    txn.put(key, schema.sealed(key, body))


def _spilled(txn: "Txn", mailbox: int, fact: int, uid: int) -> bytes | None:
    key = schema.row_key(mailbox, schema.FACTS + _SPILL + fact, uid)
    record = txn.get(key)
    return None if record is None else schema.checked(key, record)


def put(
    txn: "Txn", mailbox: int, fact: int, version: int, facts: Mapping[int, bytes], uids: "array[int]"
) -> int:  # fmt: skip
    """Keep these facts (by UID) of messages that are in `uids`, all UIDs of the mailbox. How many were kept."""
    kept = 0
    for group, new in _by_group(facts):
        low = bisect_left(uids, group << SHIFT)
        alive = uids[low : low + GROUP]
        living = {uid & (GROUP - 1) for uid in alive if uid >> SHIFT == group}
        try:
            found = read_group(txn, mailbox, fact, group)
        except ValueError:
            found = None
        tags = bytearray(found[0] if found else _EMPTY)
        rows: Rows = found[1] if found else [None] * GROUP
        for place in range(GROUP):
            if place not in living:
                rows[place] = None
        changed = False
        for uid in new:
            place = uid & (GROUP - 1)
            if place in living:
                tags[place] = version
                rows[place] = facts[uid]
                changed = True
                kept += 1
        if changed:
            write_group(txn, mailbox, fact, group, bytes(tags), rows)
    return kept


def _by_group(uids: Iterable[int]) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for uid in uids:
        groups.setdefault(uid >> SHIFT, []).append(uid)
    return sorted(groups.items())


def drop(txn: "Txn", mailbox: int, uids: Iterable[int]) -> None:
    """Drop the facts that single messages had before they vanished."""
    for group, places in _by_group(uids):
        for fact in Fact:
            try:
                found = read_group(txn, mailbox, fact, group)
            except ValueError:
                continue
            if found is not None:
                tags, rows = found
                for uid in places:
                    rows[uid & (GROUP - 1)] = None
                write_group(txn, mailbox, fact, group, tags, rows)


def forget(txn: "Txn", mailbox: int, groups: Iterable[int]) -> None:
    """Drop all facts of groups in which no message is left."""
    for group in groups:
        for fact in Fact:
            if txn.delete(schema.row_key(mailbox, schema.FACTS + fact, group)):
                _forget_spilled(txn, mailbox, fact, group << SHIFT)


def _forget_spilled(txn: "Txn", mailbox: int, fact: int, first: int) -> None:
    column = schema.FACTS + _SPILL + fact
    end = schema.row_key(mailbox, column, first + GROUP - 1)
    with txn.cursor() as cursor:
        more = cursor.set_range(schema.row_key(mailbox, column, first))
        while more and cursor.key() <= end:
            more = cursor.delete()
