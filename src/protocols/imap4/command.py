"""What a command is: its record, and the vocabulary in which its run function speaks with the engine.

A run function is a generator. It yields `bytes` and responses for the client, steps of ../engine.py that the host
answers (their answer is the value of the yield), and the requests below; it returns the tagged status without its
tag. `MailError` becomes NO, `ProtocolFault` BAD; whatever it opened, its `finally` blocks release.
"""

import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..engine import Step
from .reader import Reader
from .responses import Response, Status

if TYPE_CHECKING:
    from .session import Session


class State(enum.Flag):
    """RFC 3501 3"""

    NOT_AUTHENTICATED = 1
    AUTHENTICATED = 2
    SELECTED = 4


BEFORE_LOGIN = State.NOT_AUTHENTICATED
LOGGED_IN = State.AUTHENTICATED | State.SELECTED
ANY = BEFORE_LOGIN | LOGGED_IN
SELECTED = State.SELECTED


@dataclass(frozen=True, slots=True)
class NextFrame:
    """The next frame of this command (framing.py): the rest of an APPEND, the answer to a challenge."""


@dataclass(frozen=True, slots=True)
class Listen:
    """The next frame, or that something happened, or that `seconds` passed (IDLE)."""

    seconds: float


class Heard(enum.Enum):
    """What `Listen` heard other than a frame."""

    WOKEN = enum.auto()
    SILENCE = enum.auto()


FRAME = NextFrame()

Output = bytes | Response | Step | NextFrame | Listen
Run = Generator[Output, Any, Status | None]
"""Returns the tagged status, None when it was given already."""
Part = Generator[Output, Any, None]
"""What a run function delegates to."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one of its UID forms."""

    name: str
    """In upper case; `UID FETCH` for a UID form."""
    states: State
    parse: Callable[[Reader], Any]
    """The arguments, from behind the name (and the space after it, if any) to the end of the command."""
    run: Callable[["Session", Any], Run]
    capabilities: tuple[str, ...] = ()
    """What this command's presence lets the server announce."""
    early: bool = False
    """Its capabilities are announced before login as well."""
    uses_sequence_numbers: bool = False
    """No EXPUNGE may be sent while it runs (RFC 3501 7.4.1)."""
    asks_for_news: bool = False
    """Its answer has what other programs did to the mailbox up to now."""
    abandonable: bool = False
    """It may be cut off between any two of its steps when the server stops."""
    streams: bool = False
    """Its message literals are handed to it in pieces: it starts before it is complete."""


def no_arguments(reader: Reader) -> None:
    """A command without arguments."""
    reader.end()
