"""The MIME fields of a part: values with parameters (RFC 2045 5.1, RFC 2183, RFC 2231).

Rules that keep it right:

1. Names and values of types and parameters keep the case in which they were written: that is how they are served.
   Whoever compares them lowers them first.
2. Continuations (`name*0`, `name*1` …) are joined when none is missing, as clients expect that do not know RFC
   2231; the charset and the percent signs of an extended value stay, under the name `name*`. Incomplete ones are
   served raw.
3. A syntactically wrong Content-Type means text/plain (RFC 2045 5.2).
"""

import re

from .headers import unfold
from .lexical import QUOTED, unescape, without_comments

Parameters = tuple[tuple[bytes, bytes], ...]
"""(name, value) as written and in order; a name may come twice."""

_TOKEN = rb'[^\x00-\x20()<>@,;:\\"/\[\]?=\x7f-\xff]++'
_TYPE = re.compile(rb"[ \t]*+(%b)(?:[ \t]*+/[ \t]*+(%b))?" % (_TOKEN, _TOKEN)).match
_VALUE = re.compile(rb'[ \t]*+(?:"([^"\\]*+)"|(%b))' % _TOKEN).match
_PARAMETER = re.compile(rb';[ \t]*+([^\s=;"]++)[ \t]*+=[ \t]*+(?:%b|([^;]*+))' % QUOTED, re.S)
_SEGMENT = re.compile(rb"(.+)\*(0|[1-9][0-9]{0,3})(\*?)", re.S).fullmatch
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_WITH_SPACES = frozenset({b"name", b"filename"})
_DEFAULT_SUBTYPE = {b"text": b"plain", b"multipart": b"mixed"}


def _clean(raw: bytes) -> bytes:
    value = unfold(raw)
    return without_comments(value).strip(b" \t") if b"(" in value else value


def parameters(value: bytes) -> Parameters:
    """The parameters of a clean value."""
    found: list[tuple[bytes, bytes]] = []
    for name, quoted, plain in _PARAMETER.findall(value):
        if quoted:
            plain = unescape(quoted)
        elif plain:
            plain = plain.rstrip(b" \t")
            if b" " in plain and name.lower() not in _WITH_SPACES:
                plain = plain.partition(b" ")[0]
        found.append((name, plain))
    return tuple(_joined(found) if b"*" in value else found)


def _joined(found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Continuations put together (RFC 2231 3, 4.1)."""
    segments: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
    for name, value in found:
        if segment := _SEGMENT(name):
            numbered = segments.setdefault(segment[1].lower(), {})
            numbered.setdefault(int(segment[2]), (value, bool(segment[3])))
    complete = {key for key, numbered in segments.items() if max(numbered) == len(numbered) - 1}
    result: list[tuple[bytes, bytes]] = []
    done: set[bytes] = set()
    for name, value in found:
        segment = _SEGMENT(name)
        if segment is None:
            result.append((name, value))
            continue
        key = segment[1].lower()
        if key not in complete:
            result.append((name, value))
        elif key not in done:
            done.add(key)
            numbered = segments[key]
            result.append(_join(segment[1], [numbered[number] for number in range(len(numbered))]))
    return result


def _join(name: bytes, pieces: list[tuple[bytes, bool]]) -> tuple[bytes, bytes]:
    if not any(extended for _, extended in pieces):
        return name, b"".join(piece for piece, _ in pieces)
    # In an extended value a plain piece's percent sign has to be written as one (RFC 2231 4.1).
    text = b"".join(piece if extended else piece.replace(b"%", b"%25") for piece, extended in pieces)
    return name + b"*", text if pieces[0][1] else b"''" + text


def plain_value(extended: bytes) -> bytes:
    """The octets of an extended value without its charset and language (RFC 2231 4)."""
    text = extended.split(b"'", 2)[-1]
    return _PERCENT.sub(lambda found: bytes.fromhex(found[1].decode("ascii")), text)


def content_type(raw: bytes) -> tuple[bytes, bytes, Parameters] | None:
    """(type, subtype, parameters) as written; None when the field names no type."""
    value = _clean(raw)
    found = _TYPE(value)
    if found is None:
        return None
    main, sub = found.groups()
    if sub is None:
        sub = _DEFAULT_SUBTYPE.get(main.lower())
        if sub is None:
            return None
    return main, sub, parameters(value[found.end() :])


def disposition(raw: bytes) -> tuple[bytes, Parameters] | None:
    """(kind, parameters) of a Content-Disposition."""
    value = _clean(raw)
    found = _VALUE(value)
    if found is None:
        return None
    return found[1] or found[2] or b"", parameters(value[found.end() :])


def token(raw: bytes) -> bytes:
    """The one token of a field such as Content-Transfer-Encoding, `` without one."""
    found = _VALUE(_clean(raw))
    return b"" if found is None else found[1] or found[2] or b""


def languages(raw: bytes) -> list[bytes]:
    """The tags of a Content-Language (RFC 3282)."""
    return [tag for tag in (item.strip(b' \t"') for item in _clean(raw).split(b",")) if tag]
