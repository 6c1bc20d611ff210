"""CAPABILITY (RFC 3501 6.1.1)."""

from ..command import ANY, Command, Run, no_arguments
from ..responses import OK, Capability, Status
from ..session import Session


def run(session: Session, arguments: None) -> Run:
    """What the session may use now."""
    yield Capability(session.capabilities.of(session))
    return Status(OK, "Listed")


COMMAND = Command("CAPABILITY", ANY, no_arguments, run)
