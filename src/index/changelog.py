"""Modseqs and the log of vanished UIDs.

A modseq is the time in microseconds since 1970, or one more than the last when the clock stands or went back, and
never above the ceiling that the store holds: whatever happens to the index or the clock, no value is used twice.

The log has one row per merge that removed messages. It is bounded: the oldest half goes when it is full, and the
head's floor says from which modseq on it is complete. Whoever asks for more compares sets of UIDs instead.
"""

import time
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..model.uids import MAX_MODSEQ, UidSet
from . import schema
from .errors import CeilingNeeded
from .head import Head

if TYPE_CHECKING:
    from .environment import Txn

LOG_ROWS = 2000
"""Rows kept per mailbox at most."""


def microseconds() -> int:
    """The clock that modseqs follow."""
    return time.time_ns() // 1000


def next_modseq(head: Head, now: int) -> int:
    """The modseq of the next change."""
    return min(max(head.highestmodseq + 1, now), MAX_MODSEQ)


def take_modseq(head: Head, now: int, ceiling: int) -> int:
    """The modseq of this change; CeilingNeeded when the store must reserve first."""
    modseq = next_modseq(head, now)
    if modseq > ceiling:
        raise CeilingNeeded(modseq)
    return modseq


def log_vanished(txn: "Txn", mailbox: int, modseq: int, uids: Sequence[int]) -> None:
    """Add a row."""
    key = schema.log_key(mailbox, schema.VANISHED, modseq)
    runs = array("I", [end for run in UidSet.of(uids).runs for end in run])
    txn.put(key, schema.sealed(key, runs.tobytes()))


def trim(txn: "Txn", mailbox: int, rows: int) -> tuple[int, int]:
    """Drop the oldest half: the new number of rows, and the modseq up to which nothing is known any more."""
    prefix = schema.column_key(mailbox, schema.VANISHED)
    surplus, floor = rows - LOG_ROWS // 2, 0
    with txn.cursor() as cursor:
        more = cursor.set_range(prefix)
        while more and surplus > 0 and cursor.key()[:5] == prefix:
            floor = schema.split_log_key(cursor.key())[2]
            more = cursor.delete()
            rows -= 1
            surplus -= 1
    return rows, floor


def vanished_after(txn: "Txn", mailbox: int, modseq: int) -> UidSet | None:
    """All UIDs logged with a higher modseq; None when a row is damaged."""
    prefix = schema.column_key(mailbox, schema.VANISHED)
    runs: list[tuple[int, int]] = []
    with txn.cursor() as cursor:
        more = cursor.set_range(schema.log_key(mailbox, schema.VANISHED, modseq + 1))
        while more:
            key, record = cursor.item()
            if key[:5] != prefix:
                break
            body = schema.checked(key, record)
            if body is None or len(body) % 8:
                return None
            ends = array("I", body)
            runs.extend(zip(ends[::2], ends[1::2], strict=True))
            more = cursor.next()
    return UidSet(runs)
