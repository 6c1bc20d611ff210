"""Values that several commands share, as their grammar reads them. A value that exists is valid."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A sequence-set as written: pairs of numbers, None for `*`, in any order (RFC 3501 9)."""

    runs: tuple[tuple[int | None, int | None], ...]

    def __str__(self) -> str:
        parts = []
        for low, high in self.runs:
            first, last = ("*" if number is None else str(number) for number in (low, high))
            parts.append(first if low == high else f"{first}:{last}")
        return ",".join(parts)


@dataclass(frozen=True, slots=True)
class FlagList:
    """Flags that a client names: system flags as a mask of model.flags, keywords by name."""

    system: int = 0
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Partial:
    """`<start.length>` of a FETCH item, `<start>` of its answer."""

    start: int
    length: int
