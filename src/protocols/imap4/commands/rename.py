"""RENAME (RFC 3501 6.3.5)."""

from dataclasses import dataclass

from ....model.errors import ProtocolFault
from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session
from .create import valid_new_name


@dataclass(frozen=True, slots=True)
class Rename:
    """The arguments."""

    old: str
    new: str


def parse(reader: Reader) -> Rename:
    """rename = "RENAME" SP mailbox SP mailbox"""
    old = reader.mailbox()
    reader.sp()
    new = reader.mailbox()
    reader.end()
    return Rename(old, new)


def run(session: Session, arguments: Rename) -> Run:
    """With all children; of INBOX only the messages move."""
    account = session.user
    if not arguments.new.strip(account.separator):
        raise ProtocolFault("A mailbox needs a name")
    old = arguments.old.removesuffix(account.separator) or arguments.old
    new = valid_new_name(arguments.new, account.separator)
    yield Blocking(lambda: account.rename(old, new), account.key)
    return Status(OK, "Renamed")


COMMAND = Command("RENAME", LOGGED_IN, parse, run, asks_for_news=True)
