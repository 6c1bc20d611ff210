"""SUBSCRIBE and UNSUBSCRIBE (RFC 3501 6.3.6, 6.3.7): a mailbox that does not exist can be subscribed, for clients
restore their subscriptions before their folders."""

from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session


def parse(reader: Reader) -> str:
    """subscribe = "SUBSCRIBE" SP mailbox"""
    name = reader.mailbox()
    reader.end()
    return name


def run_subscribe(session: Session, name: str) -> Run:
    """Durable when it is answered."""
    account = session.user
    yield Blocking(lambda: account.subscribe(name.removesuffix(account.separator) or name, True), account.key)
    return Status(OK, "Subscribed")


def run_unsubscribe(session: Session, name: str) -> Run:
    """The same."""
    account = session.user
    yield Blocking(lambda: account.subscribe(name.removesuffix(account.separator) or name, False), account.key)
    return Status(OK, "Unsubscribed")


SUBSCRIBE = Command("SUBSCRIBE", LOGGED_IN, parse, run_subscribe)
UNSUBSCRIBE = Command("UNSUBSCRIBE", LOGGED_IN, parse, run_unsubscribe)
