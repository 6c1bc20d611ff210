"""A message's header as raw fields: where it ends, which fields it has, and blocks of some of them.

Rules that keep it right:

1. A field begins at a line start with a name of printable ASCII and a colon (white space before the colon is
   tolerated) and goes on while lines begin with space or tab (RFC 5322 2.2, 4.5). Other lines are no fields: no
   name asks for them, and only a block of "all but" has them.
2. A block holds the raw fields byte for byte, in message order, each with its CRLF, and no blank line.
3. The scan is one compiled regular expression with possessive repeats: linear on any input.
"""

import re
from collections.abc import Iterable

_FIELD = re.compile(rb"\n(([^\x00-\x20:\x7f-\xff]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+)")

MAX_SCANNED = 1 << 20
"""Fields further into a header than this are not seen, so that a scan's memory is bounded whatever comes in."""

Scanned = list[tuple[bytes, bytes]]
"""(raw field without its last LF, name as written), in message order."""


def header_end(data: bytes, start: int = 0) -> int:
    """Offset just behind the blank line that ends the header which begins at `start`; len(data) without one."""
    if data.startswith(b"\r\n", start):
        return start + 2
    end = data.find(b"\r\n\r\n", start)
    return len(data) if end < 0 else end + 4


def scan(header: bytes) -> Scanned:
    """All fields, cheaply; the form that the other rooms of this package pass around."""
    return _FIELD.findall(b"\n" + header[:MAX_SCANNED])


def values(scanned: Scanned, wanted: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    """Raw (still folded) values of the wanted fields by lower-case name, each in message order."""
    found: dict[bytes, list[bytes]] = {}
    for raw, name in scanned:
        key = name.lower()
        if key in wanted:
            value = raw.partition(b":")[2]
            if key in found:
                found[key].append(value)
            else:
                found[key] = [value]
    return found


def block(scanned: Scanned, names: frozenset[bytes]) -> bytes:
    """The raw fields whose lower-case name is in `names`."""
    raws = [raw for raw, name in scanned if name.lower() in names]
    if not raws:
        return b""
    raws.append(b"")
    # Only the very last line of a message can lack its CRLF; a block never does.
    if not raws[-2].endswith(b"\r"):
        raws[-2] += b"\r"
    return b"\n".join(raws)


def fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """(lower-case name, raw field with its CRLF) in message order."""
    return [(name.lower(), raw + (b"\n" if raw.endswith(b"\r") else b"\r\n")) for raw, name in scan(header)]


def field_block(header: bytes, names: frozenset[bytes], exclude: bool = False) -> bytes:
    """Raw fields named in `names` (lower case), or the header without them, and no blank line behind."""
    return _without(header, names) if exclude else block(scan(header), names)


def _without(header: bytes, names: frozenset[bytes]) -> bytes:
    """All of the header but these fields; what is no field stays where it is."""
    header = b"\n" + header
    pieces: list[bytes] = []
    position = 1
    for found in _FIELD.finditer(header):
        if found[2].lower() in names:
            pieces.append(header[position : found.start() + 1])
            position = found.end() + 1
    pieces.append(header[position:])
    left = b"".join(pieces)
    if left.endswith(b"\r\n\r\n") or left == b"\r\n":
        return left[:-2]
    return left if not left or left.endswith(b"\n") else left + b"\r\n"


def cut_block(stored: bytes, names: frozenset[bytes]) -> bytes:
    """The same from a block that was cut before, for a subset of its names."""
    return block(scan(stored), names)


def unfold(value: bytes) -> bytes:
    """One line: the line breaks of folds go (RFC 5322 2.2.3), and white space at both ends."""
    if b"\n" in value:
        value = value.replace(b"\r\n", b"")
    return value.strip(b" \t\r\n")


def first(header: bytes, name: bytes) -> bytes | None:
    """Unfolded value of the first field of that (lower-case) name."""
    for raw, written in scan(header):
        if len(written) == len(name) and written.lower() == name:
            return unfold(raw.partition(b":")[2])
    return None


def every(header: bytes, names: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """(lower-case name, unfolded value) of all fields with one of these names, in message order."""
    wanted = frozenset(names)
    found = []
    for raw, written in scan(header):
        name = written.lower()
        if name in wanted:
            found.append((name, unfold(raw.partition(b":")[2])))
    return found
