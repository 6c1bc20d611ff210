"""Bringing what the store did into the index, with the account's write lock held.

Rules that keep it right:

1. A modseq is given out only below the ceiling that the store holds, so that no later index, however it was lost or
   put back, gives out the same again. The ceiling is raised an hour ahead, before it is needed.
2. What the store has done stands. When the index cannot take it, `record` gives None and the folder's watch forgets
   what it knows: the next sync finds the change in the store.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..index.errors import CeilingNeeded, IndexUnavailable, NotIndexed
from ..index.head import Head
from ..index.records import Changed, Merge, Merged
from ..model.errors import Kind, MailError
from ..model.store import FolderTransaction
from ..model.uids import MAX_UID, UidSet
from .notify import IndexState

if TYPE_CHECKING:
    from .mailbox import Mailbox

AHEAD = 3600 * 1_000_000
"""Microseconds by which a ceiling is above the modseq that needed it."""
MARGIN = 60 * 1_000_000
"""And by which it is raised before it is needed."""


def unavailable(error: Exception) -> MailError:
    """What a client is told when the index cannot be written."""
    made = MailError(Kind.UNAVAILABLE, "The mailbox index cannot be written at the moment")
    made.__cause__ = error
    return made


def reserve(mailbox: "Mailbox", head: Head, transaction: FolderTransaction | None = None, modseq: int = 0) -> None:
    """Raise the ceiling when the next modseq (or `modseq`) will soon need it."""
    wanted = max(modseq, head.highestmodseq + 1, time.time_ns() // 1000) + MARGIN
    if wanted > max(head.ceiling, mailbox.ceiling):
        ceiling = wanted + AHEAD
        if transaction is not None:
            transaction.reserve_modseq(ceiling)
        else:
            with mailbox.folder.locked() as opened:
                opened.reserve_modseq(ceiling)
        mailbox.ceiling = ceiling


def merge(mailbox: "Mailbox", changes: Merge) -> Merged:
    """Merge, raising the ceiling where that is needed. NotIndexed, or MailError(UNAVAILABLE)."""
    try:
        try:
            return mailbox.index.merge(replace(changes, ceiling=max(mailbox.ceiling, changes.ceiling)))
        except CeilingNeeded as needed:
            head = mailbox.head()
            if head is None:
                raise NotIndexed(mailbox.id) from needed
            reserve(mailbox, head, modseq=needed.modseq)
            return mailbox.index.merge(replace(changes, ceiling=mailbox.ceiling))
    except (IndexUnavailable, CeilingNeeded) as error:
        raise unavailable(error) from error


def record(
    mailbox: "Mailbox", before: Head | None, changes: Merge, states: Iterable[tuple[bytes, bool]]
) -> Merged | None:
    """Merge what the store has done since the index was `before`; `states` are the names that it left there (True) or
    took away (False)."""
    try:
        merged = merge(mailbox, changes)
    except (MailError, NotIndexed):
        mailbox.watch.lose()
        return None
    old, new = state_of(before), state_of(merged.head)
    mailbox.watch.ours(states, old, new)
    mailbox.remember(changes, old, new)
    return merged


def state_of(head: Head | None) -> IndexState:
    """See notify.IndexState."""
    return (-1, -1) if head is None else (head.generation, head.highestmodseq)


def claim(mailbox: "Mailbox") -> tuple[int, int]:
    """Take what is \\Recent for one session, in whatever process it is: half-open range of UIDs. The messages move
    from new/ to cur/, so that other programs no longer call them new either."""
    folder, head, snapshot = mailbox.folder, mailbox.head(), mailbox.refresh()
    if head is None or snapshot is None:
        return 0, 0
    # Looked up before they are claimed: what was claimed must not stay in new/ because the index is lost in between.
    uids = UidSet([(head.first_recent, MAX_UID)]).select(snapshot.uids)
    locators = mailbox.index.locators_of(uids)
    try:
        low, high = mailbox.index.claim_recent()
    except NotIndexed:
        return 0, 0
    except IndexUnavailable as error:
        raise unavailable(error) from error
    new = {
        locator: uid for uid, locator in locators.items() if low <= uid < high and folder.parse(locator).recent
    }
    if new:
        try:
            moved = folder.claim_new(new)
        except MailError:
            # They stay in new/, which only other programs see; \Recent was given all the same.
            mailbox.watch.lose()
            return low, high
        changed = [
            Changed(new[old], now, folder.parse(now).flags, expected_locator=old)
            for old, now in moved.items()
            if old != now
        ]
        states = [(now, True) for now in moved.values()] + [(old, False) for old, now in moved.items() if old != now]
        record(mailbox, mailbox.head(), Merge(changed=changed), states)
    return low, high


def correct_sizes(mailbox: "Mailbox", sizes: Mapping[int, tuple[int, int]]) -> None:
    """Put the true (size, vsize) of messages into the index, and into the names that say something else."""
    folder = mailbox.folder
    changed: list[Changed] = []
    states: list[tuple[bytes, bool]] = []
    for uid, locator in mailbox.index.locators_of(list(sizes)).items():
        parsed = folder.parse(locator)
        size, vsize = sizes[uid]
        if parsed.size not in (None, size) or parsed.vsize not in (None, vsize):
            try:
                now = folder.correct_size(locator, size, vsize)
            except MailError:
                continue
            changed.append(Changed(uid, now, folder.parse(now).flags, expected_locator=locator))
            states += [(locator, False), (now, True)]
    try:
        mailbox.index.set_sizes(sizes)
    except (IndexUnavailable, NotIndexed):
        mailbox.watch.lose()
    if changed:
        record(mailbox, mailbox.head(), Merge(changed=changed), states)
