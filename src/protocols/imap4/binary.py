"""Makes a message that came as a literal8 fit for plain literals (RFC 3516 4.4): leaf parts that are binary, by their
word or because they hold NUL, become base64, and what contains them 8bit. BINARY gives the very octets back.

Everything else stays as the client sent it, byte for byte.
"""

import binascii
import re

from ...message.parts import Part, parse

_ENCODING = re.compile(rb"^Content-Transfer-Encoding[ \t]*+:[^\r\n]*+(?:\r?\n[ \t][^\r\n]*+)*+", re.I | re.M)
_PLAIN = frozenset((b"7bit", b"8bit"))
_LINE = 57
"""Octets in a line of 76 characters (RFC 2045 6.8)."""


def encoded(data: bytes) -> bytes:
    """The message without binary parts."""
    edits: list[tuple[int, int, bytes]] = []
    for part in parse(data).walk():
        encoding = part.encoding
        if part.is_multipart or part.message is not None:
            if encoding == b"binary":
                edits.append(_header(data, part, b"8bit"))
        elif encoding == b"binary" or (encoding in _PLAIN and data.find(b"\0", part.body_start, part.body_end) >= 0):
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
    written, found = _ENCODING.subn(b"Content-Transfer-Encoding: " + encoding, header)
    if not found:
        written = b"Content-Transfer-Encoding: %b\r\n%b" % (encoding, header or b"\r\n")
    return part.header_start, part.body_start, written


def _base64(content: bytes) -> bytes:
    lines = range(0, len(content), _LINE)
    return b"\r\n".join([binascii.b2a_base64(content[start : start + _LINE], newline=False) for start in lines])
