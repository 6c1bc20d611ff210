"""RFC 2047 encoded words in header fields, decoded in linear time.

White space between two encoded words goes; neighbours of one charset are joined before they are decoded, since
senders split characters between words. A word that is none stays as it is. Octets outside ASCII are taken as UTF-8,
else as windows-1252.
"""

import binascii
import re

from . import charset, transfer
from .headers import unfold

_WORD = re.compile(rb"=\?([^?\s]{1,80})\?([bBqQ])\?([^?\r\n]*+)\?=")


def decode_header(value: bytes) -> str:
    """The text of a field's value; unfolds it first."""
    # People search for the words of a subject, not for the tab that a fold left between them.
    value = unfold(value.replace(b"\r\n\t", b" "))
    if b"=?" not in value:
        return charset.guess(value)
    pieces: list[str] = []
    pending: list[bytes] = []
    pending_charset = b""
    position = 0
    for word in _WORD.finditer(value):
        name, encoding, text = word.groups()
        name = name.lower()
        between = value[position : word.start()]
        # RFC 2047 6.2: white space between neighbours is not shown.
        neighbours = bool(pieces or pending) and position > 0 and not between.strip(b" \t")
        if not neighbours or name != pending_charset:
            if pending:
                pieces.append(charset.decode(b"".join(pending), pending_charset.decode("latin-1")))
                pending = []
            if not neighbours and between:
                pieces.append(charset.guess(between))
            pending_charset = name
        if encoding in b"bB":
            pending.append(transfer.base64(text))
        else:
            pending.append(binascii.a2b_qp(text, header=True))
        position = word.end()
    if pending:
        pieces.append(charset.decode(b"".join(pending), pending_charset.decode("latin-1")))
    if position < len(value):
        pieces.append(charset.guess(value[position:]))
    return "".join(pieces)
