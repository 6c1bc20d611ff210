"""STATUS (RFC 3501 6.3.10), with HIGHESTMODSEQ (RFC 7162 3.1.7), SIZE (RFC 8438) and APPENDLIMIT (RFC 7889)."""

import os
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ....account.jobs import PORTION, FillFacts
from ....model.account import MailboxStatus
from ....model.errors import Kind, MailError
from ...engine import Blocking, Compute
from ..command import LOGGED_IN, Command, Output, Run
from ..reader import Reader
from ..responses import OK, MailboxData, Status
from ..session import Session

ITEMS = frozenset((
    b"MESSAGES", b"RECENT", b"UIDNEXT", b"UIDVALIDITY", b"UNSEEN", b"HIGHESTMODSEQ", b"SIZE", b"APPENDLIMIT",
))


@dataclass(frozen=True, slots=True)
class StatusOf:
    """The arguments."""

    name: str
    items: tuple[str, ...]


def status_items(reader: Reader) -> tuple[str, ...]:
    """"(" status-att *(SP status-att) ")" """

    def item() -> str:
        start = reader.pos
        word = reader.word("a STATUS item")
        if word not in ITEMS:
            reader.pos = start
            raise reader.expected("a STATUS item")
        return word.decode("ascii")

    items = tuple(dict.fromkeys(reader.listed(item, "items")))
    if not items:
        raise reader.expected("a STATUS item")
    return items


def parse(reader: Reader) -> StatusOf:
    """status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")" """
    name = reader.mailbox()
    reader.sp()
    items = status_items(reader)
    reader.end()
    return StatusOf(name, items)


def run(session: Session, arguments: StatusOf) -> Run:
    """Of any mailbox, the selected one included."""
    if "HIGHESTMODSEQ" in arguments.items:
        yield from session.enable_condstore()
    yield (yield from data(session, arguments.name, arguments.items))
    return Status(OK, "Done")


def data(session: Session, name: str, items: tuple[str, ...]) -> Generator[Output, Any, MailboxData]:
    """The STATUS response; sizes that nobody knows yet are measured first."""
    account = session.user
    status: MailboxStatus | None = account.try_status(name)
    if status is None:
        status = yield Blocking(lambda: account.status(name), account.key)
    if status.size is None and "SIZE" in items:
        status = yield from _measured(session, name)
    values = {
        "MESSAGES": status.messages,
        "RECENT": status.recent,
        "UIDNEXT": status.uidnext,
        "UIDVALIDITY": status.uidvalidity,
        "UNSEEN": status.unseen,
        "HIGHESTMODSEQ": status.highestmodseq,
        "SIZE": status.size or 0,
        "APPENDLIMIT": account.spec.max_message_size,
    }
    return MailboxData(name, [(item, values[item]) for item in items])


def _measured(session: Session, name: str) -> Generator[Output, Any, MailboxStatus]:
    """The status once the size of every message is known."""
    account = session.user
    mailbox_id, uids = yield Blocking(lambda: account.unsized(name), account.key)
    for start in range(0, len(uids), PORTION):
        portion = tuple(uids[start : start + PORTION])
        yield Compute(FillFacts(
            account.spec, name, mailbox_id, portion, frozenset(), frozenset(), sizes=True, dates=False, pid=os.getpid(),
        ))
    status: MailboxStatus = yield Blocking(lambda: account.status(name), account.key)
    if status.size is None:
        raise MailError(Kind.UNAVAILABLE, "Some message cannot be measured")
    return status


COMMAND = Command("STATUS", LOGGED_IN, parse, run, abandonable=True)
