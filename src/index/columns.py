"""The values of the three columns, and the bulk reading of them.

hot:      flags u64[n] | modseqs u64[n] | uids u32[n]
locators: n locators joined by NUL
cold:     octets u64[n] | octets with CRLF u64[n] | dates i64[n]

Rules that keep it right: all three values of a chunk have the same n and order; a value whose digest is not the
head's is not decoded at all.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

UNKNOWN = (1 << 64) - 1
"""A size that is not known."""
NO_DATE = -(1 << 63)

_HOT = 20
_COLD = 24


def pack_hot(uids: "array[int]", flags: "array[int]", modseqs: "array[int]") -> bytes:
    """The hot value."""
    return flags.tobytes() + modseqs.tobytes() + uids.tobytes()


def unpack_hot(value: bytes) -> "tuple[array[int], array[int], array[int]]":
    """uids, flags, modseqs."""
    count = len(value) // _HOT
    return (
        array("I", value[16 * count :]), array("Q", value[: 8 * count]), array("Q", value[8 * count : 16 * count])
    )  # fmt: skip


def pack_cold(sizes: "array[int]", vsizes: "array[int]", dates: "array[int]") -> bytes:
    """The cold value."""
    return sizes.tobytes() + vsizes.tobytes() + dates.tobytes()


def unpack_cold(value: bytes) -> "tuple[array[int], array[int], array[int]]":
    """sizes, vsizes, dates."""
    count = len(value) // _COLD
    return (
        array("Q", value[: 8 * count]), array("Q", value[8 * count : 16 * count]), array("q", value[16 * count :])
    )  # fmt: skip


def unpack_vsizes(value: bytes) -> "array[int]":
    """Sizes with CRLF of one chunk."""
    count = len(value) // _COLD
    return array("Q", value[8 * count : 16 * count])


def unpack_dates(value: bytes) -> "array[int]":
    """Dates of one chunk."""
    return array("q", value[16 * (len(value) // _COLD) :])


def unknown_cold(count: int) -> "tuple[array[int], array[int], array[int]]":
    """The cold column of messages of which nothing is known."""
    return array("Q", [UNKNOWN]) * count, array("Q", [UNKNOWN]) * count, array("q", [NO_DATE]) * count


def ordered(uids: Sequence[int], answer: "Callable[[array[int]], list[T | None]]") -> list[T | None]:
    """`answer` for UIDs in any order, where `answer` itself needs them ascending and distinct."""
    wanted = array("I", uids)
    listed = wanted.tolist()
    sorted_uids = sorted(set(listed))
    if sorted_uids == listed:
        return answer(wanted)
    found = dict(zip(sorted_uids, answer(array("I", sorted_uids)), strict=True))
    return [found[uid] for uid in listed]


def spans(firsts: "array[int]", wanted: "array[int]") -> Iterator[tuple[int, int, int]]:
    """Cut ascending UIDs by chunk: (chunk, start, end) with `wanted[start:end]` in that chunk's range."""
    start, chunk, last = 0, -1, len(firsts) - 1
    while start < len(wanted):
        chunk = max(_at(firsts, wanted[start]), 0)
        end = len(wanted) if chunk == last else bisect_left(wanted, firsts[chunk + 1], start)
        yield chunk, start, end
        start = end


def _at(firsts: "array[int]", uid: int) -> int:
    return bisect_left(firsts, uid + 1) - 1


def pick(column: Sequence[T], uids: "array[int]", wanted: "array[int]") -> list[T | None]:
    """The column's values for these ascending UIDs, None for one that is not in `uids`."""
    low = bisect_left(uids, wanted[0])
    high = low + len(wanted)
    if uids[low:high] == wanted:
        return list(column[low:high])
    values = dict(zip(uids, column, strict=True))
    return [values.get(uid) for uid in wanted]
