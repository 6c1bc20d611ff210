"""CLOSE and UNSELECT (RFC 3501 6.4.2, RFC 3691): back to the authenticated state, with or without an expunge."""

from ....model.errors import MailError
from ...engine import Blocking
from ..command import SELECTED, Command, Run, no_arguments
from ..responses import OK, Status
from ..session import Session


def run_close(session: Session, arguments: None) -> Run:
    """Expunges silently, but not when the mailbox is read-only. If that fails, the messages stay as they are, and the
    mailbox is closed all the same: a NO would leave it selected (RFC 3501 6.4.2)."""
    view = session.selected
    text, code = "Closed", ""
    try:
        if not view.readonly:
            expunged = yield Blocking(view.expunge, session.user.key)
            if session.qresync and expunged.uids:
                code = f"HIGHESTMODSEQ {expunged.highestmodseq}"  # RFC 7162 3.2.8
    except MailError:
        text = "Closed, but deleted messages could not be removed now"
    session.leave()
    return Status(OK, text, code)


def run_unselect(session: Session, arguments: None) -> Run:
    """Leave everything as it is."""
    session.leave()
    return Status(OK, "Closed")
    yield


CLOSE = Command("CLOSE", SELECTED, no_arguments, run_close)
UNSELECT = Command("UNSELECT", SELECTED, no_arguments, run_unselect, capabilities=("UNSELECT",))
