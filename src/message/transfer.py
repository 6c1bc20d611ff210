"""Content-Transfer-Encodings, read leniently: what can be decoded is decoded, nothing raises, all in linear time.

Base64 ignores what is not of its alphabet (RFC 2045 6.8), an end in the middle of a quantum gives the octets that are
complete, and padding in the middle is taken as the seam of two encoded pieces unless text follows that cannot be
base64 (a mailing list's footer): then it is the end. Quoted-printable drops white space at line ends and keeps an `=`
that encodes nothing (RFC 2045 6.7).
"""

import binascii
import re

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET) - {ord("=")})
_ONLY_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]*+").fullmatch
_NOT_QUOTED_END = re.compile(rb"[ \t]\r\n|[ \t]\Z")
_UU_BEGIN = re.compile(rb"(?:\A|\n)begin(?:-base64)?[ \t]++[0-7]{3,4}[ \t][^\n]*+\n")

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
    if not rest:
        return _base64_run(body)
    if not _ONLY_BASE64(rest):
        return _base64_run(body)
    return b"".join(_base64_run(run) for run in data.split(b"=") if run)


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
    if _NOT_QUOTED_END.search(data):
        data = b"\r\n".join([line.rstrip(b" \t") for line in data.split(b"\r\n")])
    return binascii.a2b_qp(data)


def uuencode(data: bytes) -> bytes:
    """The octets of the first file of a uuencoded body; all of the body when there is none."""
    begin = _UU_BEGIN.search(data)
    if begin is None:
        return data
    decoded: list[bytes] = []
    for line in data[begin.end() :].split(b"\n"):
        line = line.rstrip(b"\r")
        if not line or line == b"end":
            break
        length = (line[0] - 32) & 63
        if not length:
            break
        # Encoders disagree about the length of the last line: what its first octet says is right.
        line = line[: 1 + (length + 2) // 3 * 4].ljust(1 + (length + 2) // 3 * 4)
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            break
    return b"".join(decoded)


_DECODERS = {
    b"base64": base64,
    b"quoted-printable": quoted_printable,
    b"x-uuencode": uuencode,
    b"x-uue": uuencode,
    b"uuencode": uuencode,
}
