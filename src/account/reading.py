"""Reading a message's file as far as a question needs it."""

from ..message.headers import header_end
from ..message.lines import normalise
from ..model.facts import Fact
from ..model.store import OpenMessage

HEADER_FACTS = frozenset({Fact.ENVELOPE, Fact.HEADERS, Fact.SENT})
"""Facts that the header alone tells."""

FIRST = 16 * 1024
"""Nearly every header ends within so many octets."""


def read_whole(message: OpenMessage) -> bytes:
    """The file's bytes."""
    message.file.seek(0)
    return message.file.read()


def read_header(message: OpenMessage) -> bytes:
    """The header with CRLF line ends, its blank line included; of a message without one, everything."""
    message.file.seek(0)
    data = message.file.read(FIRST)
    while True:
        # A CR at the very end may belong to a CRLF that was cut in two.
        text = normalise(data[:-1] if data.endswith(b"\r") else data)
        end = header_end(text)
        if end < len(text) or text.endswith(b"\r\n\r\n") or text == b"\r\n":
            return text[:end]
        more = message.file.read(len(data))
        if not more:
            return normalise(data)
        data += more
