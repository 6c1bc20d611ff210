"""COPY (RFC 3501 6.4.7) and MOVE (RFC 6851), and their UID forms, with COPYUID (RFC 4315 3)."""

from dataclasses import dataclass
from itertools import pairwise

from ....account.results import Copied
from ....model.errors import Kind, MailError
from ....model.uids import UidSet
from ...engine import Blocking
from ..command import SELECTED, Command, Run
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session
from ..types import SequenceSet


@dataclass(frozen=True, slots=True)
class Transfer:
    """The arguments."""

    numbers: SequenceSet
    by_uid: bool
    target: str


def _parse(reader: Reader, by_uid: bool) -> Transfer:
    """copy = "COPY" SP sequence-set SP mailbox"""
    numbers = reader.sequence_set("a set of UIDs" if by_uid else "a sequence set")
    reader.sp()
    target = reader.mailbox()
    reader.end()
    return Transfer(numbers, by_uid, target)


def parse(reader: Reader) -> Transfer:
    """By sequence number."""
    return _parse(reader, by_uid=False)


def parse_uid(reader: Reader) -> Transfer:
    """By UID."""
    return _parse(reader, by_uid=True)


def _copyuid(copied: Copied) -> str:
    """RFC 4315 3: the UIDs of both sides in ascending order, one for one."""
    if not copied.pairs:
        return ""
    sources, targets = zip(*copied.pairs, strict=True)
    return f"COPYUID {copied.uidvalidity} {_in_order(sources)} {_in_order(targets)}"


def _in_order(uids: tuple[int, ...]) -> str:
    """A set in just this order, neighbours as ranges."""
    if all(left < right for left, right in pairwise(uids)):
        return str(UidSet.of(uids))
    return ",".join(map(str, uids))


def run_copy(session: Session, transfer: Transfer) -> Run:
    """All of the messages or none."""
    view, account = session.selected, session.user
    uids = session.resolve(transfer.numbers, transfer.by_uid)
    if not uids:
        return Status(OK, "No messages to copy")
    copied = yield Blocking(lambda: view.copy(uids, transfer.target), account.key)
    return Status(OK, "Copied", _copyuid(copied))


def run_move(session: Session, transfer: Transfer) -> Run:
    """COPYUID comes before the EXPUNGEs, so that a client knows where they went (RFC 6851 4.3)."""
    view, account = session.selected, session.user
    if view.readonly:
        raise MailError(Kind.READONLY, "The mailbox is read-only")
    uids = session.resolve(transfer.numbers, transfer.by_uid)
    if not uids:
        return Status(OK, "No messages to move")
    moved = yield Blocking(lambda: view.move(uids, transfer.target), account.key)
    code = _copyuid(moved)
    if code:
        yield Status(OK, "Moved", code)
    return Status(OK, "Done")


COPY = Command("COPY", SELECTED, parse, run_copy, asks_for_news=True)
UID_COPY = Command("UID COPY", SELECTED, parse_uid, run_copy, asks_for_news=True)
MOVE = Command("MOVE", SELECTED, parse, run_move, capabilities=("MOVE",), asks_for_news=True)
UID_MOVE = Command("UID MOVE", SELECTED, parse_uid, run_move, asks_for_news=True)
