"""Messages with binary content (RFC 3516), in the form in which they are stored.

BODY answers are literals, and a literal cannot hold NUL; so a message that comes in as literal8 is stored with its
binary parts in base64, which BINARY undoes octet by octet. Other octets stay as they are.
"""

import base64
import re

from .parts import Part, parse

_ENCODING = re.compile(rb"(?<=\n)content-transfer-encoding[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+\n", re.I)
_BASE64 = b"Content-Transfer-Encoding: base64\r\n"
_EIGHT_BIT = b"Content-Transfer-Encoding: 8bit\r\n"


def storable(data: bytes) -> bytes:
    """The message with each part that is binary, or that holds a NUL, in base64."""
    pieces: list[bytes] = []
    position = 0
    for part in parse(data).walk():
        container = part.is_multipart or part.message is not None
        binary = part.encoding == b"binary" or (not container and _holds_nul(data, part))
        if not binary:
            continue
        header = _with_encoding(data[part.header_start : part.body_start], _EIGHT_BIT if container else _BASE64)
        pieces += [data[position : part.header_start], header]
        position = part.body_start
        if not container:
            encoded = base64.encodebytes(data[part.body_start : part.body_end])
            pieces.append(encoded.replace(b"\n", b"\r\n"))
            position = part.body_end
    pieces.append(data[position:])
    return b"".join(pieces)


def _holds_nul(data: bytes, part: Part) -> bool:
    # What is already encoded cannot be encoded again.
    return part.encoding in (b"7bit", b"8bit") and data.find(b"\0", part.body_start, part.body_end) >= 0


def _with_encoding(header: bytes, field: bytes) -> bytes:
    """The header with this one Content-Transfer-Encoding."""
    kept = _ENCODING.sub(b"", b"\n" + header)[1:]
    return field + (kept or b"\r\n")
