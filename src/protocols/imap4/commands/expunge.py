"""EXPUNGE (RFC 3501 6.4.3) and UID EXPUNGE (RFC 4315 2.1)."""

from ....model.errors import Kind, MailError
from ...engine import Blocking
from ..command import SELECTED, Command, Run, no_arguments
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session
from ..types import SequenceSet


def parse_uid(reader: Reader) -> SequenceSet:
    """uid-expunge = "UID" SP "EXPUNGE" SP sequence-set"""
    uids = reader.sequence_set("a set of UIDs")
    reader.end()
    return uids


def run(session: Session, numbers: SequenceSet | None) -> Run:
    """The engine tells what is gone, together with what others expunged."""
    view = session.selected
    if view.readonly:
        raise MailError(Kind.READONLY, "The mailbox is read-only")
    uids = None if numbers is None else session.resolve(numbers, by_uid=True)
    expunged = yield Blocking(lambda: view.expunge(uids), session.user.key)
    # RFC 7162 3.2.7
    code = f"HIGHESTMODSEQ {expunged.highestmodseq}" if session.qresync and expunged.uids else ""
    return Status(OK, "Expunged", code)


EXPUNGE = Command("EXPUNGE", SELECTED, no_arguments, run, asks_for_news=True)
UID_EXPUNGE = Command("UID EXPUNGE", SELECTED, parse_uid, run, asks_for_news=True)
