"""NOOP and CHECK (RFC 3501 6.1.2, 6.4.1): a chance for news; nothing needs a checkpoint here."""

from ..command import ANY, SELECTED, Command, Run, no_arguments
from ..responses import OK, Status
from ..session import Session


def run(session: Session, arguments: None) -> Run:
    """The engine tells the news."""
    return Status(OK, "Done")
    yield


NOOP = Command("NOOP", ANY, no_arguments, run, asks_for_news=True)
CHECK = Command("CHECK", SELECTED, no_arguments, run, asks_for_news=True)
