"""SUBSCRIBE and UNSUBSCRIBE (RFC 3501 6.3.6, 6.3.7): a mailbox that does not exist can be subscribed, for clients
restore their subscriptions before their folders."""

from ....model.errors import Kind, MailError
from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session


def parse(reader: Reader) -> str:
    """subscribe = "SUBSCRIBE" SP mailbox"""
    name = reader.mailbox()
    reader.end()
    if any(character < " " for character in name):
        # The list of subscriptions is a file of lines, shared with other programs.
        raise MailError(Kind.CANNOT, "A name with control characters cannot be subscribed")
    return name


def _run(session: Session, name: str, on: bool) -> Run:
    account = session.user
    name = name.removesuffix(account.separator) or name
    yield Blocking(lambda: account.subscribe(name, on), account.key)
    return Status(OK, "Subscribed" if on else "Unsubscribed")


def run_subscribe(session: Session, name: str) -> Run:
    """Durable when it is answered."""
    return _run(session, name, on=True)


def run_unsubscribe(session: Session, name: str) -> Run:
    """The same."""
    return _run(session, name, on=False)


SUBSCRIBE = Command("SUBSCRIBE", LOGGED_IN, parse, run_subscribe)
UNSUBSCRIBE = Command("UNSUBSCRIBE", LOGGED_IN, parse, run_unsubscribe)
