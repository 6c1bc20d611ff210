"""Mailbox names in modified UTF-7 (RFC 3501 5.1.3), the form on the wire and on disk.

`&` begins a run of modified base64 over UTF-16BE and `-` ends it; `&-` is `&`; printable ASCII stands for itself and
must not be encoded. Each text has exactly one valid form, so `is_valid` is: decodes, and encodes back to itself.
"""

import binascii
import re

_PRINTABLE_BUT_AMP = re.compile(r"[\x20-\x25\x27-\x7e]*+").fullmatch
_ENCODE_RUN = re.compile(r"&|[^\x20-\x7e]++")
_SHIFT = re.compile(r"&([A-Za-z0-9+,]*+)(-?)")


def _encode_run(match: re.Match[str]) -> str:
    run = match.group()
    if run == "&":
        return "&-"
    octets = binascii.b2a_base64(run.encode("utf-16-be"), newline=False)
    return "&" + octets.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def _decode_run(match: re.Match[str]) -> str:
    run, end = match.groups()
    if not end:
        raise ValueError("a run of modified base64 has no end")
    if not run:
        return "&"
    padded = run.replace(",", "/") + "=" * (-len(run) % 4)
    # binascii.Error and UnicodeDecodeError are ValueErrors.
    return binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")


def encode(text: str) -> str:
    """The modified UTF-7 form. ValueError for a lone surrogate."""
    if _PRINTABLE_BUT_AMP(text):
        return text
    return _ENCODE_RUN.sub(_encode_run, text)


def decode(name: str) -> str:
    """The Unicode text of a name. ValueError for what no text encodes to."""
    if _PRINTABLE_BUT_AMP(name):
        return name
    text = _SHIFT.sub(_decode_run, name)
    if encode(text) != name:
        raise ValueError("the name is not in the one valid form of modified UTF-7")
    return text


def is_valid(name: str) -> bool:
    """Whether this is the modified UTF-7 form of some text."""
    try:
        decode(name)
    except ValueError:
        return False
    return True
