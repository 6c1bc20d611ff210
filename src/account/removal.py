"""EXPUNGE: messages leave the store one by one, then the index, all at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..index.records import Merge
from ..index.snapshot import Snapshot
from ..model.errors import MailError
from ..model.flags import DELETED
from .recording import record
from .results import Expunged

if TYPE_CHECKING:
    from .mailbox import Mailbox
    from .view import View


def expunge(mailbox: "Mailbox", uids: Sequence[int] | None, caller: "View | None") -> Expunged:
    """See Mailbox.expunge."""
    with mailbox.changing() as snapshot:
        marked: list[int] = []
        if snapshot.head.deleted or uids is not None:
            for chunk in snapshot.chunks:
                marked += [uid for uid, flags in zip(chunk.uids, chunk.flags, strict=True) if flags & DELETED]
        if uids is not None:
            wanted = set(uids)
            marked = [uid for uid in marked if uid in wanted]
        return _remove(mailbox, snapshot, marked, caller)


def remove(mailbox: "Mailbox", uids: Sequence[int], caller: "View | None") -> Expunged:
    """See Mailbox.remove."""
    with mailbox.changing() as snapshot:
        return _remove(mailbox, snapshot, sorted({uid for uid in uids if snapshot.find(uid)}), caller)


def _remove(mailbox: "Mailbox", snapshot: Snapshot, uids: Sequence[int], caller: "View | None") -> Expunged:
    if not uids:
        return Expunged([], snapshot.head.highestmodseq)
    keep_for = mailbox.kept.others(caller)
    locators = mailbox.locate(uids, snapshot)
    gone: list[int] = []
    failure: MailError | None = None
    for uid in uids:
        locator = locators.get(uid)
        if locator is None:
            continue
        try:
            mailbox.folder.expunge(uid, locator, keep_for)
        except MailError as error:
            failure = error
            break
        gone.append(uid)
    merged = record(mailbox, snapshot.head, Merge(vanished=gone), [(locators[uid], False) for uid in gone])
    if failure is not None:
        raise failure
    return Expunged(gone, (snapshot if merged is None else merged).head.highestmodseq)
