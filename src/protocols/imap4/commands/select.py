"""SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2), with CONDSTORE and QRESYNC (RFC 7162 3.1.8, 3.2.5).

Rules that keep it right: the mailbox that was selected before is closed first, whatever happens then; everything that
is told comes from the one snapshot of the new view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ....account.view import View
from ....model.errors import ProtocolFault
from ....model.uids import MAX_UID, UidSet
from ...engine import Blocking, Log
from ..command import LOGGED_IN, Command, Part, Run
from ..reader import Reader
from ..responses import OK, Exists, Recent, Status, Vanished
from ..rows import RECENT
from ..session import Session
from ..types import SequenceSet

_PORTION = 512
_MOST_PAIRS = 10_000
"""Pairs of known sequence numbers and UIDs that are looked at."""


@dataclass(frozen=True, slots=True)
class Qresync:
    """What a client remembers of the mailbox."""

    uidvalidity: int
    modseq: int
    known: UidSet | None
    pairs: tuple[UidSet, UidSet] | None
    """Sequence numbers and, one for one, their UIDs (RFC 7162 3.2.5.2)."""


@dataclass(frozen=True, slots=True)
class Select:
    """The arguments."""

    name: str
    condstore: bool
    qresync: Qresync | None


def parse(reader: Reader) -> Select:
    """select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]"""
    name = reader.mailbox()
    condstore = False
    qresync: list[Qresync] = []

    def parameter() -> None:
        nonlocal condstore
        word = reader.word("CONDSTORE or QRESYNC")
        if word == b"CONDSTORE":
            condstore = True
        elif word == b"QRESYNC" and not qresync:
            reader.sp()
            qresync.append(_qresync(reader))
        else:
            raise ProtocolFault("Expected CONDSTORE or QRESYNC as a parameter")

    if reader.take(b" ") and not reader.at_end():
        reader.listed(parameter, "parameters")
    reader.end()
    return Select(name, condstore, qresync[0] if qresync else None)


def _qresync(reader: Reader) -> Qresync:
    """"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" """
    reader.want(b"(", "a parenthesised list")
    uidvalidity = reader.number("a UIDVALIDITY", 1)
    reader.sp()
    # 0 is not allowed, and sent all the same by clients that know nothing yet
    modseq = reader.modseq()
    known = pairs = None
    if reader.take(b" ") and not reader.at(b"("):
        known = _numbers(reader.sequence_set("a set of UIDs"))
        reader.take(b" ")
    if reader.take(b"("):
        sequence = _numbers(reader.sequence_set())
        reader.sp()
        pairs = (sequence, _numbers(reader.sequence_set("a set of UIDs")))
        reader.want(b")", "a closing parenthesis")
    reader.want(b")", "a closing parenthesis")
    return Qresync(uidvalidity, modseq, known, pairs)


def _numbers(numbers: SequenceSet) -> UidSet:
    """A set without `*`, which has no meaning among what is known already."""
    runs = []
    for low, high in numbers.runs:
        if low is None or high is None:
            raise ProtocolFault("A known set cannot hold *")
        runs.append((min(low, high), max(low, high)))
    return UidSet(runs)


def run_select(session: Session, arguments: Select) -> Run:
    """Read and write."""
    return (yield from _open(session, arguments, readonly=False))


def run_examine(session: Session, arguments: Select) -> Run:
    """Read only; takes no \\Recent away."""
    return (yield from _open(session, arguments, readonly=True))


def _open(session: Session, arguments: Select, readonly: bool) -> Run:
    # RFC 7162 3.2.5
    if arguments.qresync is not None and not session.qresync:
        raise ProtocolFault("QRESYNC was not enabled")
    account, name = session.user, arguments.name
    if session.view is not None:
        session.leave()
        # RFC 7162 3.2.11
        yield Status(OK, "The previous mailbox is closed", "CLOSED")
    view: View | None = account.try_select(name, readonly, session.wake)
    if view is None:
        view = yield Blocking(lambda: account.select(name, readonly, session.wake), account.key)
    session.enter(view)
    session.condstore = session.condstore or arguments.condstore
    yield from session.flag_names()
    yield Exists(view.exists)
    yield Recent(view.recent)
    unseen = view.first_unseen()
    if unseen is not None:
        yield Status(OK, "First unseen", f"UNSEEN {unseen}")
    yield Status(OK, "UIDs valid", f"UIDVALIDITY {view.uidvalidity}")
    yield Status(OK, "Predicted next UID", f"UIDNEXT {view.uidnext}")
    yield Status(OK, "Highest", f"HIGHESTMODSEQ {view.highestmodseq}")
    if arguments.qresync is not None and arguments.qresync.uidvalidity == view.uidvalidity:
        yield from _resynchronise(session, view, arguments.qresync)
    yield Log("select", {"mailbox": name, "messages": view.exists})
    return Status(OK, "Opened", "READ-ONLY" if view.readonly else "READ-WRITE")


def _resynchronise(session: Session, view: View, known: Qresync) -> Part:
    """What happened since the client was last here: what vanished, then what changed (RFC 7162 3.2.5.1)."""
    vanished = view.vanished_since(known.modseq, known.known)
    if known.pairs is not None:
        vanished -= UidSet(((1, _agreed(view, *known.pairs)),))
    if vanished:
        yield Vanished(vanished, earlier=True)
    changed = view.changed_since(known.modseq)
    for start in range(0, len(changed), _PORTION):
        yield changed_rows(session, view, changed[start : start + _PORTION], known.known)


def _agreed(view: View, numbers: UidSet, uids: UidSet) -> int:
    """The highest UID that still has the sequence number that the client knows: up to it nothing has vanished."""
    if len(numbers) != len(uids) or len(uids) > _MOST_PAIRS:
        return 0
    pairs = zip(reversed(list(numbers)), reversed(list(uids)), strict=True)
    return next((uid for seq, uid in pairs if seq <= MAX_UID and view.uid_of(seq) == uid), 0)


def changed_rows(
    session: Session, view: View, rows: Sequence[tuple[int, int, int, int]], among: UidSet | None
) -> bytes:
    """FETCH responses with UID, FLAGS and MODSEQ."""
    names = session.flags
    return b"".join([
        b"* %d FETCH (UID %d FLAGS (%b) MODSEQ (%d))\r\n"
        % (seq, uid, names[flags | RECENT if view.is_recent(uid) else flags], modseq)
        for seq, uid, flags, modseq in rows
        if among is None or uid in among
    ])


SELECT = Command("SELECT", LOGGED_IN, parse, run_select)
EXAMINE = Command("EXAMINE", LOGGED_IN, parse, run_examine)
