"""LOGOUT (RFC 3501 6.1.3)."""

from ..command import ANY, Command, Run, no_arguments
from ..responses import BYE, OK, Status
from ..session import Session


def run(session: Session, arguments: None) -> Run:
    """Say goodbye; the engine closes after the tagged answer."""
    yield Status(BYE, "Logging out")
    session.leaving = True
    return Status(OK, "Logged out")


COMMAND = Command("LOGOUT", ANY, no_arguments, run)
