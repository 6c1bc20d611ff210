"""NAMESPACE (RFC 2342): one personal namespace."""

from ..command import LOGGED_IN, Command, Run, no_arguments
from ..responses import OK, Namespace, Status
from ..session import Session


def run(session: Session, arguments: None) -> Run:
    """The account's prefix and separator."""
    yield Namespace(session.user.prefix, session.user.separator)
    return Status(OK, "Done")


COMMAND = Command("NAMESPACE", LOGGED_IN, no_arguments, run, capabilities=("NAMESPACE",))
