"""All facts of a message that the index keeps, from one look at it: what fills the index calls.

The header is scanned once, for the envelope, the block of fields, the date and the root part alike, and the part
tree is only grown when a structure is asked for.
"""

from ..model.facts import Fact
from .bodystructure import body, bodystructure
from .dates import date_of
from .envelope import render
from .headers import block, header_end, scan, unfold, values
from .part_header import ENVELOPE_FIELDS
from .parts import parse

_STRUCTURE = frozenset({Fact.BODY, Fact.BODYSTRUCTURE})


def facts(data: bytes, wanted: frozenset[Fact], fields: frozenset[bytes]) -> dict[Fact, bytes]:
    """The wanted facts of a message with CRLF line ends; `fields` are the lower-case names for HEADERS."""
    scanned = scan(data[: header_end(data)])
    result: dict[Fact, bytes] = {}
    if wanted & _STRUCTURE:
        root = parse(data, scanned)
        found = root.header.values
        if Fact.BODY in wanted:
            result[Fact.BODY] = body(root, data)
        if Fact.BODYSTRUCTURE in wanted:
            result[Fact.BODYSTRUCTURE] = bodystructure(root, data)
    else:
        found = values(scanned, ENVELOPE_FIELDS)
    if Fact.ENVELOPE in wanted:
        result[Fact.ENVELOPE] = render(found)
    if Fact.HEADERS in wanted:
        result[Fact.HEADERS] = block(scanned, fields)
    if Fact.SENT in wanted:
        field = found.get(b"date")
        day = date_of(unfold(field[0])) if field else None
        result[Fact.SENT] = (0 if day is None else day.toordinal()).to_bytes(4, "big")
    return result
