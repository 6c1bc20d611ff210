"""Bringing a mailbox's index in step with its folder, with the account's write lock held.

From the cheapest to the dearest: nothing at all (the folder's fingerprint is the recorded one), a look at the names
that a live watch told, a full scan that is reconciled with the index, and a new index from the store alone.

Rules that keep it right:

1. The index is read before the folder: what changes in between is found once more, never missed.
2. A message is gone only when a stable scan does not have it. A name that is missing decides nothing.
3. UIDs come from the store, under its lock. A message that clients were told is gone and that turns up again gets a
   new UID; the index's log of vanished UIDs says which those are.
4. New messages are told by names alone only when the index knows every UID that the store gave out: else a message
   with a lower UID could follow one with a higher.
5. Nothing is moved from new/ to cur/ here: that happens when a session is told (recording.claim).
"""

import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from ..index.errors import IndexUnavailable, NotIndexed
from ..index.head import Head
from ..index.reconcile import reconcile
from ..index.records import Added, Changed, Merge
from ..model.errors import Kind, MailError
from ..model.store import Fingerprint, FolderHeader, Scan
from ..model.uids import UidSet
from .recording import AHEAD, merge, unavailable

if TYPE_CHECKING:
    from .mailbox import Mailbox

NAMES = 64
"""More names than that are answered with a full scan."""
BUILDS = 5
"""How often an index is begun again that is lost while it is being built."""
SCANS = 3
"""So many unstable scans are put together before an index is built from them."""


def synchronise(mailbox: "Mailbox") -> None:
    """See the module. Sets `mailbox.gone` when the folder is no longer this mailbox's. MailError."""
    header = _identity(mailbox)
    if header is None:
        mailbox.account.forget(mailbox)
        return
    watch = mailbox.watch
    head = mailbox.head()
    epoch = watch.epoch
    names = watch.take()
    try:
        if head is not None and not mailbox.suspect:
            if names is None:
                fingerprint = mailbox.folder.fingerprint()
                if head.settled and head.fingerprint == fingerprint.key:
                    watch.scanned(epoch)
                    return
            elif _look(mailbox, head, header, names):
                return
        stable = _scan(mailbox, head, header) if head is not None else None
    except NotIndexed:
        stable = None
    except BaseException:
        watch.lose()
        raise
    try:
        if stable is None:
            # There is no index, or it was lost under our hands: nothing but the store is needed to make one.
            stable = _rebuild(mailbox)
    except BaseException:
        watch.lose()
        raise
    mailbox.suspect = False
    if stable:
        watch.scanned(epoch)
    else:
        # The names were taken, but nobody knows whether what is missing is gone.
        watch.lose()


def _identity(mailbox: "Mailbox") -> FolderHeader | None:
    """The folder's header if it is still this mailbox's; a folder that was renamed is looked for."""
    try:
        header = mailbox.folder.header()
        if header.guid == mailbox.id and mailbox.present:
            return header if header.uidvalidity == mailbox.uidvalidity else None
    except MailError as error:
        if error.kind is not Kind.NONEXISTENT:
            raise
    store = mailbox.account.store
    for info in store.mailboxes():
        if not info.selectable:
            continue
        try:
            folder = store.folder(info.name)
            header = folder.header()
        except MailError:
            continue
        if header.guid == mailbox.id:
            mailbox.account.moved(mailbox, info.name, folder)
            return header if header.uidvalidity == mailbox.uidvalidity else None
    return None


def _look(mailbox: "Mailbox", head: Head, header: FolderHeader, names: Collection[bytes]) -> bool:
    """Look at these names only. False: that was not enough, a full scan is needed."""
    if not names:
        return True
    if len(names) > NAMES:
        return False
    folder, index = mailbox.folder, mailbox.index
    found: dict[bytes, list[bytes]] = {}
    for name in names:
        here = found.setdefault(folder.parse(name).base, [])
        if folder.exists(name):
            here.append(name)
    known = {folder.parse(locator).base: (uid, locator) for uid, locator in index.find(list(found))}
    changed: list[Changed] = []
    appeared: list[bytes] = []
    for base, here in found.items():
        uid, locator = known.get(base, (0, b""))
        if not uid:
            appeared += here[:1]
        elif not folder.exists(locator):
            if not here:
                return False
            changed.append(Changed(uid, here[0], folder.parse(here[0]).flags))
    changes = Merge(changed=changed, keywords=_new_keywords(mailbox, head))
    if appeared:
        if header.uidnext > head.uidnext:
            return False
        added, uidnext = _assigned(mailbox, head, appeared, head.uidnext)
        if added is None:
            return False
        changes = Merge(added=added, changed=changed, keywords=changes.keywords, uidnext=uidnext)
    if changed or appeared or changes.keywords is not None:
        merge(mailbox, changes)
    return True


def _scan(mailbox: "Mailbox", head: Head, header: FolderHeader) -> bool:
    """Compare the whole folder with the index; whether the scan was stable. `header` was read before."""
    folder, index = mailbox.folder, mailbox.index
    known = index.locators()
    scan = folder.scan()
    keywords = _new_keywords(mailbox, head)
    fingerprint = scan.fingerprint if scan.stable else Fingerprint(scan.fingerprint.key, settled=False)
    plan = reconcile(known, scan, folder.parse)
    added: list[Added] = []
    # Whatever UID was given out before a stable scan is in it, or is no more.
    uidnext = header.uidnext if scan.stable else 0
    if plan.appeared:
        given, uidnext = _assigned(mailbox, head, plan.appeared, None)
        added = given or []
    merge(mailbox, Merge(
        added=added,
        changed=[Changed(uid, now, flags) for uid, _, now, flags in plan.renamed],
        vanished=plan.vanished,
        uidnext=uidnext,
        keywords=keywords,
        fingerprint=fingerprint,
    ))  # fmt: skip
    return scan.stable


def _rebuild(mailbox: "Mailbox") -> bool:
    """Make the index from the store alone."""
    folder, store = mailbox.folder, mailbox.account.store
    scan, locators = _everything(mailbox)
    with folder.locked() as transaction:
        held = store.modseq_ceiling(folder)
        ceiling = max(held, time.time_ns() // 1000) + AHEAD
        uids = transaction.assign(list(locators))
        transaction.reserve_modseq(ceiling)
        header = transaction.header
    mailbox.ceiling = ceiling
    everything = Merge(
        added=[_added(mailbox, uid, locator) for locator, uid in uids.items()],
        uidnext=header.uidnext,
        fingerprint=scan.fingerprint if scan.stable else Fingerprint(scan.fingerprint.key, settled=False),
        ceiling=ceiling,
    )
    for _ in range(BUILDS):
        try:
            mailbox.index.create(header, held, folder.keywords())
            merge(mailbox, everything)
            break
        except NotIndexed:
            # Lost again before it was filled.
            continue
        except IndexUnavailable as error:
            raise unavailable(error) from error
    return scan.stable


def _assigned(
    mailbox: "Mailbox", head: Head, locators: Iterable[bytes], expected: int | None
) -> tuple[list[Added] | None, int]:
    """New messages with the UIDs that the store gives them, and its next UID. None when the store's next UID was not
    the expected one."""
    retired = mailbox.index.vanished_since(head.vanished_floor) or UidSet()
    with mailbox.folder.locked() as transaction:
        if expected is not None and transaction.header.uidnext != expected:
            return None, 0
        uids = transaction.assign(list(locators), retired.__contains__ if retired else None)
        uidnext = max(transaction.header.uidnext, max(uids.values(), default=0) + 1)
    return [_added(mailbox, uid, locator) for locator, uid in uids.items()], uidnext


def _everything(mailbox: "Mailbox") -> tuple[Scan, Collection[bytes]]:
    """The folder's messages when there is no index to compare with. An unstable scan may lack some that are there;
    sessions that have them in view must not hear that they are gone, so several scans are put together."""
    folder = mailbox.folder
    scan = folder.scan()
    if scan.stable:
        return scan, scan.locators
    seen: dict[bytes, bytes] = {}
    for _ in range(SCANS):
        seen.update((folder.parse(locator).base, locator) for locator in scan.locators)
        scan = folder.scan()
        if scan.stable:
            return scan, scan.locators
    now = {folder.parse(locator).base: locator for locator in scan.locators}
    for locator in [locator for base, locator in seen.items() if base not in now][:NAMES]:
        found = folder.locate(locator)
        if found is not None:
            now[folder.parse(found).base] = found
    return scan, now.values()


def _added(mailbox: "Mailbox", uid: int, locator: bytes) -> Added:
    parsed = mailbox.folder.parse(locator)
    return Added(uid, locator, parsed.flags, parsed.recent, parsed.size, parsed.vsize)


def _new_keywords(mailbox: "Mailbox", head: Head) -> tuple[str, ...] | None:
    """The store's keyword table where the index has another."""
    names = mailbox.folder.keywords()
    return None if names == head.keywords else names
