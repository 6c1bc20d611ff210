"""STORE: flags change in the store, message by message, then in the index, all at once."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..index.records import Changed, Merge
from ..model.errors import MailError
from ..model.flags import FlagOp, keyword_bit
from .recording import record
from .results import StoreResult
from .synchronise import synchronise

if TYPE_CHECKING:
    from .mailbox import Mailbox


def store(
    mailbox: "Mailbox", uids: Sequence[int], op: FlagOp, system: int, keywords: Sequence[str],
    unchanged_since: int | None,
) -> StoreResult:  # fmt: skip
    """See Mailbox.store. When the disk refuses in the middle, what was changed is recorded and the error goes on."""
    with mailbox.changing() as snapshot:
        folder = mailbox.folder
        change, no_room = keyword_bits(mailbox, keywords, create=op is not FlagOp.REMOVE)
        change |= system
        rows: dict[int, tuple[int, int]] = {}
        addressed: list[tuple[int, int]] = []
        modified: list[int] = []
        gone: list[int] = []
        for uid in uids:
            found = snapshot.find(uid)
            if found is None:
                gone.append(uid)
                continue
            flags, modseq = found[0].flags[found[1]], found[0].modseqs[found[1]]
            if unchanged_since is not None and modseq > unchanged_since:
                modified.append(uid)
            elif op.apply(flags, change) == flags:
                rows[uid] = flags, modseq
            else:
                addressed.append((uid, flags))
        locators = mailbox.locate([uid for uid, _ in addressed], snapshot)
        changed: list[Changed] = []
        states: list[tuple[bytes, bool]] = []
        failure: MailError | None = None
        for uid, _ in addressed:
            locator = locators.get(uid)
            try:
                done = None if locator is None else folder.change_flags(locator, lambda old: op.apply(old, change))
            except MailError as error:
                failure = error
                break
            if done is None or locator is None:
                gone.append(uid)
                continue
            now, flags = done
            changed.append(Changed(uid, now, flags, expected_locator=locator))
            if now != locator:
                states += [(locator, False), (now, True)]
        names = folder.keywords() if keywords and not no_room else None
        merged = None
        if changed or names:
            merged = record(mailbox, snapshot.head, Merge(changed=changed, keywords=names), states)
        if failure is not None:
            raise failure
        if merged is None and changed:
            with contextlib.suppress(MailError):
                synchronise(mailbox)
        if merged is not None:
            rows.update((uid, (flags, modseq)) for uid, flags, modseq in merged.changed)
        left = [item for item in changed if item.uid not in rows]
        if left:
            newest = mailbox.refresh() or snapshot
            for item in left:
                rows[item.uid] = item.flags, newest.modseq_of(item.uid) or newest.head.highestmodseq
    return StoreResult([(uid, *rows[uid]) for uid in sorted(rows)], modified, sorted(gone), no_room)


def keyword_bits(mailbox: "Mailbox", names: Sequence[str], create: bool) -> tuple[int, bool]:
    """The mask of these keywords, compared without case (RFC 3501 2.3.2), new ones recorded when `create`; and
    whether there was no room for some."""
    if not names:
        return 0, False
    numbers = {name.lower(): number for number, name in enumerate(mailbox.keywords) if name}
    known = [numbers.get(name.lower()) for name in names]
    if create and None in known:
        with mailbox.folder.locked() as transaction:
            known = transaction.keyword_numbers(names)
    mask = 0
    for number in known:
        if number is not None:
            mask |= keyword_bit(number)
    return mask, create and None in known
