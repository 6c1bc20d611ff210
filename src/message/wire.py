"""How a string is written in an IMAP4rev1 answer (RFC 3501 4.3).

A quoted string holds 7-bit text without CR, LF and NUL; everything else becomes a literal. A literal holds any octet
but NUL (RFC 3501 9, CHAR8), so a NUL is shown as U+FFFD.
"""

import re

_PLAIN = re.compile(rb'[^\x00\r\n"\\\x80-\xff]*+').fullmatch
_QUOTABLE = re.compile(rb"[^\x00\r\n\x80-\xff]*+").fullmatch
_REPLACEMENT = "\ufffd".encode()


def string(value: bytes) -> bytes:
    """`value` as a quoted string, or as a literal when it must be."""
    if _PLAIN(value):
        return b'"%b"' % value
    if _QUOTABLE(value):
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    if b"\0" in value:
        value = value.replace(b"\0", _REPLACEMENT)
    return b"{%d}\r\n%b" % (len(value), value)


def nstring(value: bytes | None) -> bytes:
    """A string, or NIL when there is none."""
    return b"NIL" if value is None else string(value)
