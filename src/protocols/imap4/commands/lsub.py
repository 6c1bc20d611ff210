"""LSUB (RFC 3501 6.3.9): subscribed names, existing or not. With `%` in the pattern, the parent of a subscribed name
is told in its place, as \\Noselect, when only the parent matches."""

from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..list_match import Pattern
from ..reader import Reader
from ..responses import OK, Listed, Status
from ..session import Session
from .list import ListQuery


def parse(reader: Reader) -> ListQuery:
    """lsub = "LSUB" SP mailbox SP list-mailbox"""
    reference = reader.list_mailbox()
    reader.sp()
    pattern = reader.list_mailbox()
    reader.end()
    return ListQuery(reference, (pattern,))


def run(session: Session, query: ListQuery) -> Run:
    """Names are told as they were subscribed."""
    account = session.user
    separator = account.separator
    subscribed: list[str] = yield Blocking(account.subscriptions, account.key)
    pattern = Pattern(query.reference + query.patterns[0], separator)
    told: dict[str, tuple[str, ...]] = {name: () for name in subscribed if pattern.matches(name)}
    if pattern.has_percent and separator:
        for name in subscribed:
            parent = name
            while name not in told and (parent := parent.rpartition(separator)[0]):
                if pattern.matches(parent):
                    told.setdefault(parent, ("\\Noselect",))
    for name, attributes in told.items():
        yield Listed(name, separator, attributes, command="LSUB")
    return Status(OK, "Listed")


COMMAND = Command("LSUB", LOGGED_IN, parse, run)
