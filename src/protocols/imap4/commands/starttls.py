"""STARTTLS (RFC 3501 6.2.1). What the client sent ahead of the handshake is never executed."""

from ...engine import Close, StartTls
from ..command import BEFORE_LOGIN, Command, Run, no_arguments
from ..render import render
from ..responses import BAD, BYE, OK, Status
from ..session import Session


def run(session: Session, arguments: None) -> Run:
    """The tagged answer leaves in the clear; whatever was known before is forgotten behind it."""
    if not session.starttls:
        return Status(BAD, "TLS is active already" if session.secure else "TLS is not offered")
    if session.framer.buffered:
        yield Status(BYE, "Nothing may follow STARTTLS before the handshake")
        yield Close("injected before TLS")
    yield render(Status(OK, "Begin TLS negotiation", tag=session.tag))
    yield StartTls()
    session.secure = True
    return None


COMMAND = Command("STARTTLS", BEFORE_LOGIN, no_arguments, run)
