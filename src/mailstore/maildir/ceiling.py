"""`culverhouse-modseq`: how far mod-sequences were reserved, and a second record of the folder's identity.

    <ceiling> V<uidvalidity> N<next uid> G<32 hex>

What follows the ceiling is written in passing; it lets a damaged uidlist keep its UIDVALIDITY, and tells when a
uidlist has lost its end.
"""

import os

from ...model.store import FolderHeader
from .. import durable
from .uidlist_text import Header, parse_header

NAME = b"culverhouse-modseq"


def read(directory: bytes) -> tuple[int, Header | None]:
    """(ceiling, what the file remembers of the uidlist); (0, None) when there is no such file or it is damaged."""
    try:
        with open(os.path.join(directory, NAME), "rb") as file:
            text = file.read(4096)
    except FileNotFoundError:
        return 0, None
    number, _, rest = text.strip().partition(b" ")
    if not text.endswith(b"\n") or not number.isdigit() or len(number) > 19:
        return 0, None
    header = parse_header(b"3 " + rest)
    return int(number), header if header.whole else None


def write(directory: bytes, mode: int, ceiling: int, header: FolderHeader) -> None:
    """Durably, under the uidlist's lock."""
    line = b"%d V%d N%d G%s\n" % (ceiling, header.uidvalidity, header.uidnext, header.guid.encode())
    durable.replace(os.path.join(directory, NAME), line, mode, "modseq")
