"""What happened to a folder since the index last saw it: a pure comparison of two sets of locators.

Rules that keep it right:
1. A message is its locator's base. A known base under another name was renamed (flags changed, or new/ to cur/) and
   keeps its UID; an unknown base appeared.
2. A message is gone only when a scan during which the folder stood still does not have it: readdir may skip a file
   that is being renamed.
3. When one base turns up under several new names, one of them, always the same, counts; the others are left to the
   store, which tells such files apart when it gives out UIDs.
4. Nothing changed is the common case, and costs one comparison of sets.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from ..model.store import Parsed, Scan


@dataclass(frozen=True, slots=True)
class Plan:
    """What to merge, and which locators need a UID from the store."""

    renamed: list[tuple[int, bytes, bytes, int]] = field(default_factory=list)
    """(uid, old locator, new locator, flags it shows), ascending by UID."""
    vanished: list[int] = field(default_factory=list)
    """UIDs, ascending; empty when the scan was not stable."""
    appeared: list[bytes] = field(default_factory=list)
    """Locators of unknown messages, sorted."""

    def __bool__(self) -> bool:
        return bool(self.renamed or self.vanished or self.appeared)


def reconcile(known: Mapping[bytes, int], scan: Scan, parse: Callable[[bytes], Parsed]) -> Plan:
    """Compare the index's locators (with their UIDs) with a scan. Names that are in both are not looked at."""
    present: Set[bytes] = scan.locators
    if known.keys() == present:
        return Plan()
    missing: dict[bytes, list[bytes]] = {}
    for locator in sorted(known.keys() - present):
        missing.setdefault(parse(locator).base, []).append(locator)
    renamed: list[tuple[int, bytes, bytes, int]] = []
    appeared: list[bytes] = []
    for locator in sorted(present - known.keys()):
        parsed = parse(locator)
        old = missing.get(parsed.base)
        if old:
            renamed.append((known[old[0]], old.pop(0), locator, parsed.flags))
        else:
            appeared.append(locator)
    gone = [known[locator] for locators in missing.values() for locator in locators]
    vanished = sorted(gone) if scan.stable else []
    return Plan(sorted(renamed), vanished, appeared)
