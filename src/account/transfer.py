"""Messages that come into a mailbox: APPEND, COPY, MOVE.

The store assigns UIDs under its own lock. The index takes new messages as they come only when it knew every UID that
the store had given out before; otherwise some message with a lower UID would be told to clients after a higher one,
and the whole folder is looked at instead.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..index.errors import NotIndexed
from ..index.records import Added, Merge
from ..index.snapshot import Snapshot
from ..model.errors import Kind, MailError
from ..model.flags import SYSTEM, keyword_bit
from ..model.store import Arrival, FolderTransaction, Stored
from .recording import record, reserve
from .results import Appended, Copied, NewMessage
from .synchronise import synchronise

if TYPE_CHECKING:
    from .mailbox import Mailbox
    from .view import View

Message = tuple[int, bytes, int]
"""(uid, locator, flags)"""

Put = Callable[[FolderTransaction, Mapping[str, int]], Sequence[Stored | None]]
"""Stores messages; gets the mask bit of each keyword name that found room, by lower-case name."""


def append(mailbox: "Mailbox", messages: Sequence[NewMessage]) -> Appended:
    """See Account.append."""

    def put(transaction: FolderTransaction, bits: Mapping[str, int]) -> Sequence[Stored]:
        return transaction.add([
            Arrival(
                message.spool,
                message.flags & SYSTEM | _mask(message.keywords, bits),
                message.internaldate,
            )
            for message in messages
        ])

    with mailbox.account.locked():
        names = dict.fromkeys(name for message in messages for name in message.keywords)
        stored = receive(mailbox, tuple(names), put)
    mailbox.account.ring(mailbox.id)
    return Appended(mailbox.uidvalidity, [message.uid for message in stored if message is not None])


def copy(source: "Mailbox", uids: Sequence[int], target: "Mailbox") -> Copied:
    """See Mailbox.copy."""
    with source.changing() as snapshot:
        messages, names = _addressed(source, snapshot, uids)
        if len(messages) < len(uids):
            raise MailError(Kind.EXPUNGED, "Some of the messages no longer exist")

        def put(transaction: FolderTransaction, bits: Mapping[str, int]) -> Sequence[Stored | None]:
            return transaction.copy_from(source.folder, _translated(messages, names, bits))

        stored = receive(target, tuple(names), put) if messages else []
    target.account.ring(target.id)
    return Copied(target.uidvalidity, _pairs(messages, stored))


def move(source: "Mailbox", uids: Sequence[int], target: "Mailbox", caller: "View | None") -> Copied:
    """See Mailbox.move."""
    with source.changing() as snapshot:
        messages, names = _addressed(source, snapshot, uids)
        keep_for = source.kept.others(caller)
        if keep_for:
            for uid, locator, _ in messages:
                source.folder.keep_expunged(uid, locator, keep_for)

        def put(transaction: FolderTransaction, bits: Mapping[str, int]) -> Sequence[Stored | None]:
            return transaction.move_from(source.folder, _translated(messages, names, bits))

        try:
            stored = receive(target, tuple(names), put) if messages else []
        except BaseException:
            # Some may have moved, some not: only a look at the folder tells.
            source.watch.lose()
            raise
        moved = [
            (uid, locator) for (uid, locator, _), done in zip(messages, stored, strict=True) if done is not None
        ]
        vanished = Merge(vanished=[uid for uid, _ in moved])
        record(source, source.head(), vanished, [(locator, False) for _, locator in moved])
        if len(moved) < len(messages):
            source.watch.lose()
    target.account.ring(target.id)
    return Copied(target.uidvalidity, _pairs(messages, stored))


def receive(mailbox: "Mailbox", names: Sequence[str], put: Put) -> Sequence[Stored | None]:
    """Let `put` store messages with these keywords, and index them (account lock held)."""
    if mailbox.head() is None:
        with contextlib.suppress(MailError):
            synchronise(mailbox)
    with mailbox.folder.locked() as transaction:
        header = transaction.header
        if (header.guid, header.uidvalidity) != (mailbox.id, mailbox.uidvalidity):
            mailbox.gone = True
            raise MailError(Kind.TRYCREATE, "The mailbox was replaced meanwhile")
        known = mailbox.head()
        numbers = transaction.keyword_numbers(names) if names else ()
        bits = {
            name.lower(): keyword_bit(number)
            for name, number in zip(names, numbers, strict=True)
            if number is not None
        }
        if known is not None:
            reserve(mailbox, known, transaction)
        stored = put(transaction, bits)
    arrived = [message for message in stored if message is not None]
    if not arrived:
        return stored
    if known is not None and known.uidnext == header.uidnext:
        # RFC 3501 6.3.11, 6.4.7: what is appended or copied is \Recent, whatever its flags.
        added = [
            Added(message.uid, message.locator, message.flags, True, message.size, message.vsize, message.internaldate)
            for message in arrived
        ]
        changes = Merge(
            added=added, uidnext=max(message.uid for message in arrived) + 1,
            keywords=mailbox.folder.keywords() if names else None,
        )  # fmt: skip
        record(mailbox, known, changes, [(message.locator, True) for message in arrived])
    else:
        mailbox.watch.lose()
        try:
            synchronise(mailbox)
        except (MailError, NotIndexed):
            # The messages are stored, which is what the client asked for; whoever looks next finds them.
            mailbox.watch.lose()
    return stored


def _addressed(
    mailbox: "Mailbox", snapshot: Snapshot, uids: Sequence[int]
) -> tuple[list[Message], dict[str, int]]:
    """(uid, locator, flags) of those that are there, and the keywords that they have: name to mask bit."""
    locators = mailbox.locate([uid for uid in uids if snapshot.find(uid)], snapshot)
    messages: list[Message] = []
    used = 0
    for uid in uids:
        flags = snapshot.flags_of(uid)
        if flags is not None and uid in locators:
            messages.append((uid, locators[uid], flags))
            used |= flags
    bits = ((name, keyword_bit(number)) for number, name in enumerate(snapshot.head.keywords) if name)
    return messages, {name: bit for name, bit in bits if used & bit}


def _translated(
    messages: Sequence[Message], ours: Mapping[str, int], theirs: Mapping[str, int]
) -> list[tuple[bytes, int]]:
    """(locator, flags in the target's keyword numbers): keywords go by name, one without room there is left off."""
    pairs = [(bit, theirs.get(name.lower(), 0)) for name, bit in ours.items()]
    masks: dict[int, int] = {}
    for _, _, flags in messages:
        if flags not in masks:
            mask = flags & SYSTEM
            for bit, there in pairs:
                if flags & bit:
                    mask |= there
            masks[flags] = mask
    return [(locator, masks[flags]) for _, locator, flags in messages]


def _mask(names: Sequence[str], bits: Mapping[str, int]) -> int:
    mask = 0
    for name in names:
        mask |= bits.get(name.lower(), 0)
    return mask


def _pairs(messages: Sequence[Message], stored: Sequence[Stored | None]) -> list[tuple[int, int]]:
    return [(uid, done.uid) for (uid, _, _), done in zip(messages, stored, strict=True) if done is not None]
