"""Which mailboxes have rows: their numbers, and the removal of what no head belongs to.

Rules that keep it right:
1. A mailbox goes in one step: its directory entry and its head, in one transaction. The rest of its rows is garbage
   from then on, and swept in pieces, so that no write transaction is long.
2. A number is free when no row begins with it; rows of a mailbox whose sweeping was interrupted keep theirs.
"""

from typing import TYPE_CHECKING

from . import schema

if TYPE_CHECKING:
    from .environment import Environment, Opened, Txn

_PIECE = 2000
"""Rows that one transaction deletes."""


def number_of(txn: "Txn", guid: str) -> int:
    """The number of a mailbox, 0 when it has none (or the entry is damaged)."""
    key = schema.directory_key(guid)
    record = txn.get(key)
    body = None if record is None else schema.checked(key, record)
    return 0 if body is None else int.from_bytes(body, "big")


def enlist(txn: "Txn", guid: str) -> int:
    """Give a mailbox a new number."""
    with txn.cursor() as cursor:
        mailbox = schema.mailbox_of(cursor.key()) + 1 if cursor.last() else 1
    key = schema.directory_key(guid)
    txn.put(key, schema.sealed(key, mailbox.to_bytes(4, "big")))
    return mailbox


def unlist(txn: "Txn", guid: str) -> int:
    """Take a mailbox off the list: the number whose rows are garbage now, 0 when it had none."""
    mailbox = number_of(txn, guid)
    txn.delete(schema.directory_key(guid))
    if mailbox:
        txn.delete(schema.column_key(mailbox, schema.HEAD))
    return mailbox


def guids(txn: "Txn") -> list[str]:
    """All mailboxes on the list."""
    prefix = schema.column_key(0, schema.DIRECTORY)
    found: list[str] = []
    with txn.cursor() as cursor:
        more = cursor.set_range(prefix)
        while more and cursor.key()[:5] == prefix:
            found.append(cursor.key()[5:].decode("utf-8", "surrogateescape"))
            more = cursor.next()
    return found


def headless(txn: "Txn") -> list[int]:
    """Numbers that have rows but no head. One seek per mailbox."""
    found: list[int] = []
    with txn.cursor() as cursor:
        more = cursor.set_range(schema.column_key(1, 0))
        while more:
            mailbox = schema.mailbox_of(cursor.key())
            if cursor.key() != schema.column_key(mailbox, schema.HEAD):
                found.append(mailbox)
            more = mailbox < schema.LAST_NUMBER and cursor.set_range(schema.column_key(mailbox + 1, 0))
    return found


def sweep(environment: "Environment", mailbox: int) -> int:
    """Delete all rows of a number without a head; how many there were."""

    def delete(txn: "Txn", opened: "Opened") -> int:
        prefix = mailbox.to_bytes(4, "big")
        if txn.get(schema.column_key(mailbox, schema.HEAD)) is not None:
            return 0
        deleted = 0
        with txn.cursor() as cursor:
            more = cursor.set_range(prefix)
            while more and deleted < _PIECE and cursor.key()[:4] == prefix:
                more = cursor.delete()
                deleted += 1
        return deleted

    total = 0
    while deleted := environment.write(delete):
        total += deleted
    return total
