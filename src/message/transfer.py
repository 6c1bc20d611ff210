"""Content-Transfer-Encodings, read leniently: what can be decoded is decoded, nothing raises, all in linear time.

Base64 ignores what is not of its alphabet (RFC 2045 6.8), an end in the middle of a quantum gives the octets that are
complete, and padding in the middle is taken as the seam of two encoded pieces unless text follows that cannot be
base64 (a mailing list's footer): then it is the end. Quoted-printable drops white space at line ends and keeps an `=`
that encodes nothing (RFC 2045 6.7).
"""

import binascii
import re
from collections.abc import Iterator

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET) - {ord("=")})
_ONLY_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]*+").fullmatch
_NOT_QUOTED_END = re.compile(rb"[ \t]\r\n|[ \t]\Z")
_UU_BEGIN = re.compile(rb"(?:\A|\n)begin[ \t]++[0-7]{3,4}[ \t][^\n]*+\n")

_RUN = re.compile(rb"[^=]++")
_MAX_SEAMS = 10_000
_LINE = re.compile(rb"[^\n]*+\n?+")

IDENTITY = frozenset({b"", b"7bit", b"8bit", b"binary"})


def known(encoding: bytes) -> bool:
    """Whether this (lower-case) encoding can be decoded."""
    return encoding in _DECODERS or encoding in IDENTITY


def decode(data: bytes, encoding: bytes) -> bytes:
    """The content; data under an encoding that nobody knows stays as it is."""
    decoder = _DECODERS.get(encoding)
    return data if decoder is None else decoder(data)


def base64(data: bytes) -> bytes:
    """The octets of a base64 body."""
    body, _, rest = data.partition(b"=")
    rest = rest.lstrip(b"=\r\n\t ")
    if not rest or not _ONLY_BASE64(rest):
        return _base64_run(body)
    decoded = bytearray()
    for seam, run in enumerate(_RUN.finditer(data)):
        if seam == _MAX_SEAMS:
            decoded += _base64_run(data[run.start() :].replace(b"=", b""))
            break
        decoded += _base64_run(run[0])
    return bytes(decoded)


def _base64_run(run: bytes) -> bytes:
    """Decode text without padding, dropping what is left over at its end."""
    run = run.translate(None, _NOT_BASE64)
    excess = len(run) % 4
    if excess == 1:
        run = run[:-1]
    elif excess:
        run += b"=" * (4 - excess)
    return binascii.a2b_base64(run)


def quoted_printable(data: bytes) -> bytes:
    """The octets of a quoted-printable body."""
    return b"".join([_quoted_lines(piece) for piece in _pieces(data)])


def _quoted_lines(data: bytes) -> bytes:
    if _NOT_QUOTED_END.search(data):
        data = b"\r\n".join([line.rstrip(b" \t") for line in data.split(b"\r\n")])
    return binascii.a2b_qp(data)


def _pieces(data: bytes) -> Iterator[bytes]:
    """The data cut at line ends into pieces of some 64 kB, so that millions of short lines take no memory at once."""
    position = 0
    while position < len(data):
        end = data.find(b"\n", position + 65536) + 1 or len(data)
        yield data[position:end]
        position = end


def uuencode(data: bytes) -> bytes:
    """The octets of the first file of a uuencoded body; all of the body when there is none."""
    begin = _UU_BEGIN.search(data)
    if begin is None:
        return data
    decoded = bytearray()
    for found in _LINE.finditer(data, begin.end()):
        line = found[0].rstrip(b"\r\n")
        length = (line[0] - 32) & 63 if line else 0
        if not length or line == b"end":
            break
        # Encoders disagree about the padding of a line: what its first octet says is right.
        quanta = 1 + (length + 2) // 3 * 4
        try:
            decoded += binascii.a2b_uu(line[:quanta].ljust(quanta))
        except binascii.Error:
            break
    return bytes(decoded)


_DECODERS = {
    b"base64": base64,
    b"quoted-printable": quoted_printable,
    b"x-uuencode": uuencode,
    b"x-uue": uuencode,
    b"uuencode": uuencode,
}
