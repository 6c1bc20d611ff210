"""Makes a message that came as a literal8 fit for plain literals (RFC 3516 4.4): leaf parts that say they are binary
become base64, and what contains them 8bit. BINARY gives the very octets back.

Everything else stays as the client sent it, byte for byte.
"""

import binascii
import re

from ...message.parts import Part, parse

_ENCODING = re.compile(rb"^Content-Transfer-Encoding[ \t]*+:[^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+", re.I | re.M)
_LINE = 57
"""Octets in a line of 76 characters (RFC 2045 6.8)."""


def encoded(data: bytes) -> bytes:
    """The message without binary parts."""
    edits: list[tuple[int, int, bytes]] = []
    for part in parse(data).walk():
        if part.encoding != b"binary":
            continue
        if part.is_multipart or part.message is not None:
            edits.append(_header(data, part, b"8bit"))
        else:
            edits.append(_header(data, part, b"base64"))
            ending = b"\r\n" if part.body_end == len(data) else b""
            edits.append((part.body_start, part.body_end, _base64(data[part.body_start : part.body_end]) + ending))
    pieces: list[bytes] = []
    position = 0
    for start, end, replacement in sorted(edits):
        pieces += (data[position:start], replacement)
        position = end
    return b"".join((*pieces, data[position:]))


def _header(data: bytes, part: Part, encoding: bytes) -> tuple[int, int, bytes]:
    header = data[part.header_start : part.body_start]
    return part.header_start, part.body_start, _ENCODING.sub(b"Content-Transfer-Encoding: " + encoding, header)


def _base64(content: bytes) -> bytes:
    lines = range(0, len(content), _LINE)
    return b"\r\n".join([binascii.b2a_base64(content[start : start + _LINE], newline=False) for start in lines])
