"""UIDs, sequence numbers, modseqs and sets of UIDs.

Uid, Seq and Modseq are distinct to the type checker and plain ints at run time. A `UidSet` is a sorted tuple of
runs that never overlap or touch, so that a set of a million UIDs in one piece costs one pair.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NewType

Uid = NewType("Uid", int)
Seq = NewType("Seq", int)
Modseq = NewType("Modseq", int)

MAX_UID = 0xFFFFFFFF
MAX_MODSEQ = (1 << 63) - 1


class UidSet:
    """An immutable set of positive 32-bit numbers, kept as runs `(low, high)`, both ends inside."""

    __slots__ = ("runs",)

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        """Takes runs in any order, overlapping or touching; an empty run (low > high) is dropped."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(run for run in runs if run[0] <= run[1]):
            if merged and low <= merged[-1][1] + 1:
                if high > merged[-1][1]:
                    merged[-1] = (merged[-1][0], high)
            else:
                merged.append((low, high))
        self.runs: tuple[tuple[int, int], ...] = tuple(merged)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "UidSet":
        """The set of these numbers, in any order."""
        runs: list[tuple[int, int]] = []
        low = high = 0
        for number in sorted(numbers):
            if high and number <= high + 1:
                high = number if number > high else high
            else:
                if high:
                    runs.append((low, high))
                low = high = number
        if high:
            runs.append((low, high))
        made = cls.__new__(cls)
        made.runs = tuple(runs)
        return made

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self.runs, (number, MAX_MODSEQ)) - 1
        return place >= 0 and self.runs[place][0] <= number <= self.runs[place][1]

    def __iter__(self) -> Iterator[int]:
        for low, high in self.runs:
            yield from range(low, high + 1)

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.runs)

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UidSet) and self.runs == other.runs

    def __hash__(self) -> int:
        return hash(self.runs)

    def __repr__(self) -> str:
        return f"UidSet({str(self)!r})"

    def __str__(self) -> str:
        """The wire form of RFC 3501's sequence-set, `1:3,5`; empty for the empty set."""
        return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in self.runs)

    def __or__(self, other: "UidSet") -> "UidSet":
        return UidSet((*self.runs, *other.runs))

    def __and__(self, other: "UidSet") -> "UidSet":
        out: list[tuple[int, int]] = []
        left, right = iter(self.runs), iter(other.runs)
        one, two = next(left, None), next(right, None)
        while one and two:
            low, high = max(one[0], two[0]), min(one[1], two[1])
            if low <= high:
                out.append((low, high))
            if one[1] < two[1]:
                one = next(left, None)
            else:
                two = next(right, None)
        return UidSet(out)

    def __sub__(self, other: "UidSet") -> "UidSet":
        gaps: list[tuple[int, int]] = []
        start = 0
        for low, high in other.runs:
            gaps.append((start, low - 1))
            start = high + 1
        gaps.append((start, MAX_MODSEQ))
        return self & UidSet(gaps)

    def select(self, ordered: Sequence[int]) -> list[int]:
        """Those members of an ascending sequence that are in the set; cost grows with runs, not with gaps."""
        out: list[int] = []
        for low, high in self.runs:
            out.extend(ordered[bisect_left(ordered, low) : bisect_right(ordered, high)])
        return out
