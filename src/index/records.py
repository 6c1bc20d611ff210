"""What goes into and comes out of a merge: plain values without behaviour."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..model.store import Fingerprint
from .head import Head


@dataclass(frozen=True, slots=True)
class Added:
    """A message that the store has. Adding one that is known already only updates it."""

    uid: int
    locator: bytes
    flags: int
    recent: bool = False
    size: int | None = None
    vsize: int | None = None
    internaldate: int | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A message whose flags or locator changed. With `expected_locator` the change is left out, and its UID
    returned in `Merged.skipped`, when the index meanwhile holds another locator: somebody else was later."""

    uid: int
    locator: bytes
    flags: int
    expected_locator: bytes | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """What one look at the store, or one change to it, brings into the index. Everything is by UID and may be
    merged twice without a trace."""

    added: Sequence[Added] = ()
    changed: Sequence[Changed] = ()
    vanished: Sequence[int] = ()
    uidnext: int = 0
    """The store's next UID; never lowers what the index holds."""
    keywords: tuple[str, ...] | None = None
    """The store's keyword table by number; None: unchanged."""
    fingerprint: Fingerprint | None = None
    """What the folder looked like; None: keep what is recorded."""
    ceiling: int = 0
    """The modseq ceiling that the store holds now; 0 or lower than recorded: unchanged."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did. `modseq` is the one it gave out, None when nothing visible changed."""

    head: Head
    modseq: int | None
    added: list[int]
    """UIDs that were new."""
    changed: list[tuple[int, int, int]]
    """(uid, flags, modseq) of known messages whose flags changed."""
    vanished: list[int]
    """UIDs that were removed, ascending."""
    skipped: list[int]
    """UIDs whose expected locator was not the recorded one, or that are not there (any more)."""
