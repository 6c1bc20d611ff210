"""Keys, checksums and limits of the index: everything about its rows that more than one file must agree on.

One unnamed LMDB database holds all rows. A key begins with the mailbox's number (u32, big-endian, so that a
mailbox's rows lie together) and a column; number 0 is the account's own. Within a column follows what names the row:

    0  SCHEMA                      magic, format, byte order
    0  DIRECTORY   guid            the mailbox's number
    n  HEAD                        counters, identity, chunk directory (see head.py)
    n  HOT         chunk u32       uids, flags, modseqs
    n  LOCATORS    chunk u32       locators joined by NUL
    n  COLD        chunk u32       sizes, sizes with CRLF, dates
    n  VANISHED    modseq u64      runs of UIDs that went with that modseq
    n  FACTS+fact  group u32       one fact of up to 32 messages with neighbouring UIDs (see cache.py)

A mailbox number without a HEAD row is garbage and swept. Hot, locator and cold values have their digest in the head,
every other row begins with its own; all digests cover the key.
"""

import sys
from struct import Struct

from xxhash import xxh3_64_digest, xxh3_64_intdigest

FORMAT = 1
MAGIC = b"culverhouse-index\0" + bytes((FORMAT,)) + sys.byteorder.encode()

CHUNK = 256
"""Messages per column value at most."""

SCHEMA, DIRECTORY, HEAD, HOT, LOCATORS, COLD, VANISHED = range(7)
FACTS = 16
"""Column of fact number f is FACTS + f."""

_MAILBOX = Struct(">IB")
_ROW = Struct(">IBI")
_LONG = Struct(">IBQ")

LAST_NUMBER = 0xFFFFFFFF

SCHEMA_KEY = _MAILBOX.pack(0, SCHEMA)


def directory_key(guid: str) -> bytes:
    """Where the number of a mailbox is kept."""
    return _MAILBOX.pack(0, DIRECTORY) + guid.encode("utf-8", "surrogateescape")


def column_key(mailbox: int, column: int) -> bytes:
    """The head's key, or what all keys of a column begin with."""
    return _MAILBOX.pack(mailbox, column)


row_key = _ROW.pack
"""(mailbox, column, chunk or group) to key."""
log_key = _LONG.pack
"""(mailbox, VANISHED, modseq) to key."""
split_row_key = _ROW.unpack
split_log_key = _LONG.unpack


def mailbox_of(key: bytes) -> int:
    """The mailbox number a key begins with."""
    return int.from_bytes(key[:4], "big")


def digest(key: bytes, value: bytes) -> int:
    """Digest of a chunk's value under its key, as kept in the head."""
    return xxh3_64_intdigest(value, xxh3_64_intdigest(key))


def sealed(key: bytes, body: bytes) -> bytes:
    """The body with its checksum in front."""
    return xxh3_64_digest(body, xxh3_64_intdigest(key)) + body


def checked(key: bytes, record: bytes) -> bytes | None:
    """The body of a sealed record, None when it is damaged or belongs elsewhere."""
    body = record[8:]
    if record[:8] == xxh3_64_digest(body, xxh3_64_intdigest(key)):
        return body
    return None
