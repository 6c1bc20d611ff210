"""Evaluates a search tree over the messages of a view.

What the index knows (flags, UIDs, modseqs, sizes and dates where known) is answered on the reactor, from the one
snapshot that the view has told its client. What needs the text of messages is left as a residual tree, for
`SearchMessages` jobs over those candidates only that the index could not decide.

    found = search.begin(view, key)              # R
    while job := found.job():                    # R; None: all candidates are decided
        found.add(<result of Compute(job)>)      # R
    uids = found.uids()                          # ascending

A set of messages is one big integer with a byte, 0 or 1, per message in the view's order: 100,000 messages are combined
in microseconds. Every key gives two of them, those that match and those that only the message itself can tell.
"""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from ..model.facts import Fact
from ..model.flags import keyword_bit
from ..model.search import (
    All,
    And,
    DateField,
    HasFlags,
    HasKeyword,
    InUids,
    Larger,
    ModseqFrom,
    Not,
    OnDate,
    Or,
    SearchKey,
    Smaller,
)
from ..model.uids import UidSet
from .jobs import PORTION, SearchMessages
from .matching import DAY, EPOCH, cost, days_of

if TYPE_CHECKING:
    from .view import View

SENT_ON_REACTOR = 2000
"""Cached sent dates of up to so many messages are looked at on the reactor."""

_BIT = [bytes(int(bool(byte >> bit & 1)) for byte in range(256)) for bit in range(8)]
"""Translation of a byte to whether a bit of it is set."""

Decided = tuple[int, int]
"""(matching, undecided) as sets of messages."""


class Search:
    """One SEARCH under way."""

    def __init__(self, view: "View", key: SearchKey) -> None:
        self._view = view
        self._key = key
        self._uids, self._flags, self._modseqs = view.columns()
        self._total = len(self._uids)
        self._masks: dict[SearchKey, bytes] = {}
        everything = self._set(b"\1" * self._total)
        yes, maybe = self._decide(key, everything)
        self._found: list[int] = list(compress(self._uids, self._bytes(yes)))
        self._places = list(compress(range(self._total), self._bytes(maybe))) if maybe else []
        self._next = 0

    # ── what is asked of it ──

    def job(self) -> SearchMessages | None:
        """The next portion of undecided messages; None when there is none left."""
        places = self._places[self._next : self._next + PORTION]
        if not places:
            return None
        self._next += PORTION
        mailbox = self._view.mailbox
        uids = tuple(self._uids[place] for place in places)
        key = self._residual(self._key, places)
        return SearchMessages(mailbox.account.spec, mailbox.name, mailbox.id, uids, key, mailbox.account.viewers.pid)

    def add(self, matching: list[int]) -> None:
        """The answer to the last job."""
        self._found += matching

    def uids(self) -> list[int]:
        """What was found so far, ascending, without messages that the view no longer has."""
        found = sorted(self._found)
        if self._view.uids is not self._uids:
            here = set(self._view.uids)
            found = [uid for uid in found if uid in here]
        return found

    @property
    def decided(self) -> bool:
        """No message needs to be read."""
        return not self._places

    # ── sets ──

    @staticmethod
    def _set(members: bytes) -> int:
        return int.from_bytes(members, "little")

    def _bytes(self, members: int) -> bytes:
        return members.to_bytes(self._total, "little")

    # ── deciding ──

    def _decide(self, key: SearchKey, among: int) -> Decided:
        if not among:
            return 0, 0
        if isinstance(key, And):
            undecided = 0
            for one in sorted(key.keys, key=cost):
                yes, maybe = self._decide(one, among)
                among, undecided = yes | maybe, undecided | maybe
            return among & ~undecided, among & undecided
        if isinstance(key, Or):
            found = undecided = 0
            for one in sorted(key.keys, key=cost):
                yes, maybe = self._decide(one, among & ~found)
                found, undecided = found | yes, undecided | maybe
            return found, undecided & ~found
        if isinstance(key, Not):
            yes, maybe = self._decide(key.key, among)
            return among & ~(yes | maybe), maybe
        if isinstance(key, All):
            return among, 0
        mask = self._mask(key)
        if mask is not None:
            return self._set(mask) & among, 0
        # The tests below are bound methods of int and range, so that a column of numbers is tested at C speed.
        if isinstance(key, Larger):
            return self._column(self._view.sizes, key.octets.__lt__, among)
        if isinstance(key, Smaller):
            return self._column(self._view.sizes, key.octets.__gt__, among)
        if isinstance(key, OnDate):
            days = days_of(key)
            if key.field is DateField.INTERNAL:
                seconds = range((days.start - EPOCH) * DAY, (days.stop - EPOCH) * DAY)
                return self._column(self._view.dates, seconds.__contains__, among)
            if among.bit_count() <= SENT_ON_REACTOR:
                return self._column(self._sent_days, days.__contains__, among)
        return 0, among

    def _sent_days(self, uids: Sequence[int]) -> list[int | None]:
        days = self._view.facts(Fact.SENT, uids)
        return [None if day is None else int.from_bytes(day, "big") for day in days]

    def _column(
        self, read: Callable[[Sequence[int]], list[Any]], fits: Callable[[Any], bool], among: int
    ) -> Decided:
        """Decide by a value per message where it is known."""
        members = self._bytes(among)
        uids = array("I", compress(self._uids, members))
        values = read(uids)
        if None in values:
            yes = bytes([value is not None and fits(value) for value in values])
            maybe = bytes([value is None for value in values])
        else:
            yes, maybe = bytes(map(fits, values)), bytes(len(values))
        if len(uids) == self._total:
            return self._set(yes), self._set(maybe)
        places = list(compress(range(self._total), members))
        return self._spread(compress(places, yes)), self._spread(compress(places, maybe))

    def _spread(self, places: Iterable[int]) -> int:
        members = bytearray(self._total)
        for place in places:
            members[place] = 1
        return self._set(bytes(members))

    def _mask(self, key: SearchKey) -> bytes | None:
        """A byte per message for a key that the snapshot alone decides; None for other keys."""
        known = self._masks.get(key)
        if known is None:
            if isinstance(key, InUids):
                known = self._in_uids(key.uids)
            elif isinstance(key, HasFlags):
                known = self._with_bits(key.mask)
            elif isinstance(key, HasKeyword):
                known = self._with_keyword(key.name)
            elif isinstance(key, ModseqFrom):
                modseq = key.modseq
                known = bytes([one >= modseq for one in self._modseqs])
            else:
                return None
            self._masks[key] = known
        return known

    def _in_uids(self, wanted: UidSet) -> bytes:
        members = bytearray(self._total)
        for low, high in wanted.runs:
            start, end = bisect_left(self._uids, low), bisect_right(self._uids, high)
            if start < end:
                members[start:end] = b"\1" * (end - start)
        return bytes(members)

    def _with_keyword(self, name: str) -> bytes:
        wanted = name.lower()
        for number, known in enumerate(self._view.keywords):
            if known and known.lower() == wanted:
                return self._with_bits(keyword_bit(number))
        return bytes(self._total)

    def _with_bits(self, mask: int) -> bytes:
        """Messages that have all these bits, each bit tested in one pass over one byte column."""
        column = self._flags.tobytes()
        members = self._set(b"\1" * self._total)
        for bit in range(64):
            if mask >> bit & 1:
                place = bit // 8 if sys.byteorder == "little" else 7 - bit // 8
                members &= self._set(column[place::8].translate(_BIT[bit % 8]))
        return self._bytes(members)

    # ── what is left for jobs ──

    def _residual(self, key: SearchKey, places: Sequence[int]) -> SearchKey:
        """The key for these messages, with what the snapshot decides put down as UIDs: flags may change while a
        search goes on, its answer is about one moment."""
        if isinstance(key, And | Or):
            return type(key)(tuple(self._residual(one, places) for one in key.keys))
        if isinstance(key, Not):
            return Not(self._residual(key.key, places))
        mask = self._mask(key)
        if mask is None:
            return key
        return InUids(UidSet.of(self._uids[place] for place in places if mask[place]))


def begin(view: "View", key: SearchKey) -> Search:
    """Decide what can be decided without opening a message."""
    return Search(view, key)


def try_search(view: "View", key: SearchKey) -> list[int] | None:
    """The matching UIDs when the index alone can tell, else None."""
    search = Search(view, key)
    return search.uids() if search.decided else None


