"""Turns responses into the bytes that go out: the only place where wire text is put together (rows.py for FETCH).

Rules that keep it right: text for humans is printable ASCII on one line, whatever it was made of; a mailbox name is
the octets it has on disk, quoted, or as a literal when they cannot be quoted; lists of numbers are sequence sets.
"""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from ...message.wire import string
from .responses import (
    Capability,
    Continuation,
    Enabled,
    Esearch,
    Exists,
    Expunge,
    Flags,
    Id,
    Listed,
    MailboxData,
    Namespace,
    Recent,
    Response,
    Status,
    Vanished,
)

SLICE = 32_768
"""Long answers leave in pieces of about this size."""

_SAFE_NAME = re.compile(rb"[A-Za-z0-9_./-]++").fullmatch
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def text(line: str) -> bytes:
    """resp-text's text: one line of printable ASCII, never empty."""
    return _UNPRINTABLE.sub("?", line).encode("ascii") or b"-"


def mailbox(name: str) -> bytes:
    """mailbox = "INBOX" / astring"""
    raw = os.fsencode(name)
    return raw if _SAFE_NAME(raw) and raw.upper() != b"NIL" else string(raw)


def _ascii(names: tuple[str, ...]) -> bytes:
    return " ".join(names).encode("ascii")


def _separator(separator: str) -> bytes:
    return string(separator.encode("ascii")) if separator else b"NIL"


def status(response: Status) -> bytes:
    code = b"[%b] " % response.code.encode("ascii") if response.code else b""
    tag = response.tag if response.tag is not None else b"*"
    return b"%b %b %b%b\r\n" % (tag, response.condition.encode("ascii"), code, text(response.text))


def _listed(response: Listed) -> bytes:
    extended = b""
    if response.childinfo:
        # RFC 5258 3.5; option names are quoted there
        quoted = " ".join(f'"{option}"' for option in response.childinfo).encode("ascii")
        extended = b' ("CHILDINFO" (%b))' % quoted
    return b"* %b (%b) %b %b%b\r\n" % (
        response.command.encode("ascii"), _ascii(response.attributes), _separator(response.separator),
        mailbox(response.name), extended,
    )


def _id(response: Id) -> bytes:
    if not response.pairs:
        return b"* ID NIL\r\n"
    flat = b" ".join(string(value.encode("ascii")) for pair in response.pairs for value in pair)
    return b"* ID (%b)\r\n" % flat


def _namespace(response: Namespace) -> bytes:
    return b"* NAMESPACE ((%b %b)) NIL NIL\r\n" % (string(os.fsencode(response.prefix)), _separator(response.separator))


def _mailbox_data(response: MailboxData) -> bytes:
    items = " ".join(f"{name} {value}" for name, value in response.items).encode("ascii")
    return b"* STATUS %b (%b)\r\n" % (mailbox(response.name), items)


def _esearch(response: Esearch) -> bytes:
    results = "".join(f" {name} {value}" for name, value in response.results).encode("ascii")
    return b"* ESEARCH (TAG %b)%b%b\r\n" % (string(response.tag), b" UID" if response.by_uid else b"", results)


def _vanished(response: Vanished) -> bytes:
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if response.earlier else b"", str(response.uids).encode("ascii"))


_RENDERERS: dict[type, Callable[[Any], bytes]] = {
    Status: status,
    Continuation: lambda response: b"+ %b\r\n" % response.data,
    Capability: lambda response: b"* CAPABILITY %b\r\n" % _ascii(response.names),
    Enabled: lambda response: b"* ENABLED%b\r\n" % b"".join(b" " + name.encode("ascii") for name in response.names),
    Id: _id,
    Namespace: _namespace,
    Flags: lambda response: b"* FLAGS (%b)\r\n" % _ascii(response.names),
    Exists: lambda response: b"* %d EXISTS\r\n" % response.count,
    Recent: lambda response: b"* %d RECENT\r\n" % response.count,
    Expunge: lambda response: b"* %d EXPUNGE\r\n" % response.seq,
    Vanished: _vanished,
    Listed: _listed,
    MailboxData: _mailbox_data,
    Esearch: _esearch,
}


def render(response: Response) -> bytes:
    """The bytes of one response, with its line end."""
    return _RENDERERS[type(response)](response)


def search(numbers: list[int], modseq: int | None) -> Iterator[bytes]:
    """SEARCH, in pieces; `modseq` as RFC 7162 3.1.5 wants it."""
    yield b"* SEARCH"
    for start in range(0, len(numbers), 4096):
        portion = numbers[start : start + 4096]
        yield (b" %d" * len(portion)) % tuple(portion)
    yield (b" (MODSEQ %d)\r\n" % modseq) if modseq is not None else b"\r\n"
