"""IDLE (RFC 2177): news as they come, with or without a selected mailbox.

A word is said now and then so that NAT gateways and clients know that the connection lives. Phones pay for each with
battery, so the pauses grow, up to what still keeps the usual 30 minutes of a gateway.
"""

import contextlib

from ....model.errors import MailError, ProtocolFault
from ...framing import Announced, Line
from ..command import LOGGED_IN, Command, Heard, Listen, Run, no_arguments
from ..responses import OK, Continuation, Status
from ..session import Session

FIRST_PAUSE = 120.0
LONGEST_PAUSE = 870.0
"""Half of the 29 minutes after which clients renew an IDLE."""


def run(session: Session, arguments: None) -> Run:
    """Until the client says DONE."""
    session.forget()
    yield Continuation(b"idling")
    session.woken = True
    pause = FIRST_PAUSE
    while True:
        if session.woken:
            # A folder that cannot be looked at now is looked at again when something happens.
            with contextlib.suppress(MailError):
                yield from session.catch_up()
            yield from session.news(expunges=True)
        if session.view is not None and session.view.gone:
            # The engine says BYE.
            return Status(OK, "The selected mailbox was deleted")
        heard = yield Listen(pause)
        if heard is Heard.SILENCE:
            yield Status(OK, "Still here")
            pause = min(pause * 2, LONGEST_PAUSE)
            session.woken = session.view is not None and session.view.stale
        elif heard is not Heard.WOKEN:
            break
    if isinstance(heard, Announced):
        session.framer.refuse()
    if not isinstance(heard, Line) or heard.text.strip().upper() != b"DONE":
        raise ProtocolFault("Expected DONE")
    return Status(OK, "Done")


COMMAND = Command("IDLE", LOGGED_IN, no_arguments, run, capabilities=("IDLE",), asks_for_news=True, abandonable=True)
