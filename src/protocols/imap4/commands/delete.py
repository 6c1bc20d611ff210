"""DELETE (RFC 3501 6.3.4)."""

from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session


def parse(reader: Reader) -> str:
    """delete = "DELETE" SP mailbox"""
    name = reader.mailbox()
    reader.end()
    return name


def run(session: Session, name: str) -> Run:
    """When it is the selected one, this session leaves it; other sessions that have it selected are told BYE."""
    account = session.user
    yield Blocking(lambda: account.delete(name), account.key)
    if session.view is not None and session.view.gone:
        session.leave()
        return Status(OK, "Deleted; no mailbox is selected now")
    return Status(OK, "Deleted")


COMMAND = Command("DELETE", LOGGED_IN, parse, run)
