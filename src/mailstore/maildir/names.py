"""Names of message files: reading flags and sizes out of them, changing them, inventing new ones.

A name is `base[,S=octets][,W=octets with CRLF][,more][:2,FLAGS[,more]]`. The *base* ends at the first `,` or `:`, so
that it survives a corrected size and mbsync's `,U=`. Rules that keep it right:
1. Letters that mean nothing here (`P` for passed, another program's fields) are kept, in ASCII order (as in Dovecot).
2. A new name is unique in this process by its counter, on this host by process id and microsecond.
"""

import itertools
import os
import re
import time

from ...model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, KEYWORD_SHIFT, SEEN
from ...model.store import Parsed
from ..durable import HOST

NEW = b"new/"
LETTERS = 26
"""Keywords that fit into names; the others live in the side file."""
LETTER_MASK = ((1 << LETTERS) - 1) << KEYWORD_SHIFT

_SIZES = re.compile(rb"S=([0-9]{1,18})(?:,W=([0-9]{1,18}))?")
_FIELD = {kind: re.compile(b",%c=([0-9]{1,18})(?=[,:]|\\Z)" % kind) for kind in b"SW"}
_BASE = re.compile(rb"[^,:]*")
_FLAGS = {ord("D"): DRAFT, ord("F"): FLAGGED, ord("R"): ANSWERED, ord("S"): SEEN, ord("T"): DELETED} | {
    ord("a") + number: 1 << (KEYWORD_SHIFT + number) for number in range(LETTERS)
}
_WHEN = re.compile(rb"([0-9]{0,18})(?:\.[^.:]*?M([0-9]{1,18}))?")
_masks: dict[bytes, int] = {b"": 0}
_counter = itertools.count(1)
_HOST = os.fsencode(HOST.replace("/", "\\057").replace(":", "\\072").replace(",", "\\054"))


def base_of(name: bytes) -> bytes:
    """What never changes of a name or locator."""
    found = _BASE.match(name, 4 if name.startswith(NEW) else 0)
    return found[0] if found else b""


def flags_of(letters: bytes) -> int:
    """The mask for the letters after `:2,`."""
    mask = _masks.get(letters)
    if mask is None:
        mask = 0
        for letter in letters:
            mask |= _FLAGS.get(letter, 0)
        if len(_masks) < 4096:
            _masks[letters] = mask
    return mask


def parse(locator: bytes) -> Parsed:
    """All that a locator says; any bytes are taken."""
    recent = locator.startswith(NEW)
    name = locator[4:] if recent else locator
    # As in Dovecot the flags are what follows the last colon, fields end at the first.
    head, colon, info = name.rpartition(b":")
    if not colon:
        head, info = name, b""
    letters = b"" if info[:2] != b"2," else info[2:]
    if b"," in letters:
        letters = letters[: letters.index(b",")]
    base, _, fields = head.partition(b",")
    size = vsize = None
    if b":" in head:
        base, fields = base_of(head), b""
    if fields:
        found = _SIZES.fullmatch(fields)
        size, vsize = found.groups() if found else (_field(head, b"S"[0]), _field(head, b"W"[0]))
    mask = _masks.get(letters)
    return Parsed(
        base,
        flags_of(letters) if mask is None else mask,
        recent,
        None if size is None else int(size),
        None if vsize is None else int(vsize),
    )


def _field(fields: bytes, kind: int) -> bytes | None:
    found = _FIELD[kind].search(fields)
    return found[1] if found else None


def with_flags(name: bytes, flags: int) -> bytes:
    """The name (without directory) with the flags that fit into names set to those of `flags`."""
    head, colon, info = name.rpartition(b":")
    if not colon:
        head, info = name, b""
    letters, comma, more = (info[2:] if info[:2] == b"2," else b"").partition(b",")
    wanted = [letter for letter, bit in _FLAGS.items() if flags & bit]
    foreign = [letter for letter in letters if letter not in _FLAGS]
    return head + b":2," + bytes(sorted({*wanted, *foreign})) + comma + more


def with_sizes(name: bytes, size: int, vsize: int) -> bytes:
    """The name with these sizes; other fields and the flags stay."""
    head, colon, info = name.partition(b":")
    base = base_of(head)
    fields = head[len(base) :]
    for pattern in _FIELD.values():
        fields = pattern.sub(b"", fields)
    return b"%s,S=%d,W=%d%s%s%s" % (base, size, vsize, fields, colon, info)


def fresh(size: int | None = None, vsize: int | None = None) -> bytes:
    """A name nobody has, without flags."""
    now = time.time_ns() // 1000
    name = b"%d.M%dP%dQ%d.%s" % (now // 1_000_000, now % 1_000_000, os.getpid(), next(_counter), _HOST)
    if size is not None:
        name += b",S=%d" % size
    if vsize is not None:
        name += b",W=%d" % vsize
    return name


def delivery_order(locator: bytes) -> tuple[int, int, bytes]:
    """Sort key for messages that get their UIDs together: by the time in the name, as Dovecot orders them."""
    name = locator[4:] if locator.startswith(NEW) else locator
    found = _WHEN.match(name)
    seconds, micros = found.groups() if found else (b"", None)
    return int(seconds or 0), int(micros or 0), name
