"""Messages on their way out of a maildrop: piece by piece, and a little ahead of a client that takes them in order.

Rules that keep it right:

1. No more than `AHEAD` octets are kept for later, and only of answers that are whole with their first piece; what is
   longer is read as the client takes it.
2. What was read ahead is only used for the very question it answers (message and number of lines), once.
3. A failure while reading ahead is nobody's: whoever asks for that message later meets it again.
"""

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from ...model.errors import Kind, MailError
from ...model.store import OpenMessage
from .stuffing import DotStuffer, Head

if TYPE_CHECKING:
    from ...account.view import View

PIECE = 128 * 1024
"""Octets read at once; at most doubled on their way out."""
HEAD_PIECE = 32 * 1024
"""The same for TOP: nearly every header fits."""
AHEAD = 128 * 1024
"""Octets of answers that are kept for later,"""
AHEAD_MESSAGES = 64
"""and the messages they are for at most."""


class Reading:
    """One message; `advance` waits for the disk."""

    def __init__(self, message: OpenMessage, lines: int | None, recorded: int | None) -> None:
        self.message = message
        self.lines = lines
        self.recorded = recorded
        """The size with CRLF line ends that the index says."""
        self.ended = False
        """Nothing follows the piece that is there now."""
        self.piece = b""
        """What is to be sent next, dots doubled; with the closing dot when `ended`."""
        self._left = message.size
        self._head = None if lines is None else Head(lines)
        self._stuffer = DotStuffer()

    @property
    def octets(self) -> int:
        """Octets of the message so far, with CRLF line ends."""
        return self._stuffer.sent

    @property
    def wrong(self) -> bool:
        """The message was read to its end, and has another size than the index says."""
        return self.ended and self.lines is None and self.recorded is not None and self.recorded != self.octets

    def advance(self) -> None:
        """Make the next piece."""
        size = PIECE if self.lines is None else HEAD_PIECE
        data = self.message.file.read(min(size, self._left))
        if not data and self._left:
            raise OSError("the file is shorter than it was when it was opened")
        self._left -= len(data)
        self.ended = not self._left
        if self._head is not None:
            data = self._head.feed(data)
            self.ended = self.ended or self._head.done
        self.piece = self._stuffer.feed(data)
        if self.ended:
            self.piece += self._stuffer.finish()


class Reader:
    """Opens the messages of one maildrop, one at a time."""

    def __init__(self, view: "View", uids: Sequence[int]) -> None:
        self._view = view
        self._uids = uids
        self._open: Reading | None = None
        self._ahead: dict[tuple[int, int | None], Reading] = {}
        self._last: tuple[int, int | None] = (0, None)

    def ready(self, number: int, lines: int | None) -> Reading | None:
        """The answer, if it was read ahead; does not wait."""
        reading = self._ahead.pop((number, lines), None)
        if reading is not None:
            self._last = (number, lines)
        return reading

    def read(self, number: int, lines: int | None, skip: Container[int]) -> Reading:
        """Begin to send a message, whole or (TOP) its header and some lines of its body; `skip` are the messages that
        will not be asked for. EXPUNGED, UNREADABLE."""
        self._ahead.clear()
        in_order = self._last == (number - 1, lines)
        self._last = (number, lines)
        batch = range(number, min(number + (AHEAD_MESSAGES if in_order else 1), len(self._uids) + 1))
        recorded = dict(zip(batch, self._view.sizes(self._uids[batch.start - 1 : batch.stop - 1]), strict=True))
        reading = self._begin(number, lines, recorded[number])
        self.advance(reading)
        if reading.ended:
            self._read_ahead([other for other in batch[1:] if other not in skip], lines, recorded)
        return reading

    def advance(self, reading: Reading) -> None:
        """The next piece; after the last one the message is closed."""
        try:
            reading.advance()
        except OSError as error:
            self.close()
            raise MailError(Kind.UNREADABLE, "The message cannot be read") from error
        if reading.ended:
            self.close()

    def close(self) -> None:
        """Close the message that is open."""
        reading, self._open = self._open, None
        if reading is not None:
            reading.message.close()

    def _begin(self, number: int, lines: int | None, recorded: int | None) -> Reading:
        self._open = reading = Reading(self._view.open(self._uids[number - 1]), lines, recorded)
        return reading

    def _read_ahead(self, numbers: Sequence[int], lines: int | None, recorded: dict[int, int | None]) -> None:
        room = AHEAD
        try:
            for number in numbers:
                if lines is None and (recorded[number] or 0) > room:
                    break
                reading = self._begin(number, lines, recorded[number])
                self.advance(reading)
                room -= len(reading.piece)
                if not reading.ended or room < 0:
                    break
                self._ahead[number, lines] = reading
        except MailError:
            pass
        finally:
            self.close()
