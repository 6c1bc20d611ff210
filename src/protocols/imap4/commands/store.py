"""STORE and UID STORE (RFC 3501 6.4.6), with UNCHANGEDSINCE (RFC 7162 3.1.3).

Rules that keep it right: long sets are changed in portions, each answered before the next, so that other sessions of
the account get their turn; what is told here is not told again as news; .SILENT tells what the client cannot know (a
mod-sequence, and flags that another session changed meanwhile come as news).
"""

from dataclasses import dataclass

from ....account.results import StoreResult
from ....model.errors import Kind, MailError
from ....model.flags import FlagOp
from ....model.uids import UidSet
from ...engine import Blocking
from ..command import SELECTED, Command, Run
from ..reader import Reader
from ..responses import NO, OK, Status
from ..session import Session
from ..types import FlagList, SequenceSet

_PORTION = 500
_OPERATIONS = {b"FLAGS": FlagOp.REPLACE, b"+FLAGS": FlagOp.ADD, b"-FLAGS": FlagOp.REMOVE}


@dataclass(frozen=True, slots=True)
class Store:
    """The arguments."""

    numbers: SequenceSet
    by_uid: bool
    operation: FlagOp
    flags: FlagList
    silent: bool
    unchanged_since: int | None


def _parse(reader: Reader, by_uid: bool) -> Store:
    """store = "STORE" SP sequence-set [SP "(" store-modifiers ")"] SP store-att-flags"""
    numbers = reader.sequence_set("a set of UIDs" if by_uid else "a sequence set")
    reader.sp()
    unchanged_since = None
    if reader.take(b"("):
        if not reader.take_word(b"UNCHANGEDSINCE"):
            raise reader.expected("UNCHANGEDSINCE")
        reader.sp()
        unchanged_since = reader.modseq()
        reader.want(b")", "a closing parenthesis")
        reader.sp()
    start = reader.pos
    name = reader.word("FLAGS, +FLAGS or -FLAGS")
    silent = name.endswith(b".SILENT")
    operation = _OPERATIONS.get(name.removesuffix(b".SILENT"))
    if operation is None:
        reader.pos = start
        raise reader.expected("FLAGS, +FLAGS or -FLAGS")
    reader.sp()
    if reader.at(b"("):
        flags = reader.flag_list()
    else:
        # flag *(SP flag), without parentheses
        names = [reader.flag()]
        while reader.take(b" ") and not reader.at_end():
            names.append(reader.flag())
        flags = reader.flags(names)
    reader.end()
    return Store(numbers, by_uid, operation, flags, silent, unchanged_since)


def parse(reader: Reader) -> Store:
    """By sequence number."""
    return _parse(reader, by_uid=False)


def parse_uid(reader: Reader) -> Store:
    """By UID."""
    return _parse(reader, by_uid=True)


def run(session: Session, store: Store) -> Run:
    """Change flags and tell them."""
    view, account = session.selected, session.user
    if view.readonly:
        raise MailError(Kind.READONLY, "The mailbox is read-only")
    if store.unchanged_since is not None:
        yield from session.enable_condstore()
    uids = session.resolve(store.numbers, store.by_uid)
    modified: list[int] = []
    gone = no_room = False
    for start in range(0, len(uids), _PORTION):
        portion = uids[start : start + _PORTION]
        result: StoreResult = yield Blocking(
            lambda portion=portion: view.store(  # type: ignore[misc]  # mypy has no type for a lambda's default
                portion, store.operation, store.flags.system, store.flags.keywords, store.unchanged_since
            ),
            account.key,
        )
        modified += result.modified
        gone = gone or bool(result.gone)
        no_room = no_room or result.no_room
        for uid, flags, modseq in result.changed:
            view.told(uid, flags, modseq)
        if view.keywords != view.mailbox.keywords:
            # New keywords are named before any flags that use them.
            yield from session.news(expunges=False)
        yield answer(session, store, result)
    return _conclusion(session, store, modified, gone, no_room)


def answer(session: Session, store: Store, result: StoreResult) -> bytes:
    """The FETCH responses of a portion; with .SILENT only under CONDSTORE, and then without flags."""
    view = session.selected
    rows: list[bytes] = []
    for uid, flags, modseq in result.changed:
        seq = view.seq_of(uid)
        if seq is None:
            continue
        if not store.silent:
            rows.append(session.changed_row(seq, uid, flags, modseq, view.is_recent(uid), with_uid=store.by_uid))
        elif session.condstore:
            item = b"UID %d " % uid if store.by_uid or session.qresync else b""
            rows.append(b"* %d FETCH (%bMODSEQ (%d))\r\n" % (seq, item, modseq))
    return b"".join(rows)


def _conclusion(session: Session, store: Store, modified: list[int], gone: bool, no_room: bool) -> Status:
    if modified:
        # RFC 7162 3.1.3: numbers of the kind that the command used
        view = session.selected
        numbers = modified if store.by_uid else [seq for seq in map(view.seq_of, modified) if seq is not None]
        return Status(OK, "Some messages were changed by others", f"MODIFIED {UidSet.of(numbers)}")
    if no_room:
        return Status(NO, "The mailbox has no room for another keyword", "LIMIT")
    if gone and not store.by_uid:
        return Status(NO, "Some of the messages no longer exist", "EXPUNGEISSUED")
    return Status(OK, "Stored")


STORE = Command("STORE", SELECTED, parse, run, uses_sequence_numbers=True)
UID_STORE = Command("UID STORE", SELECTED, parse_uid, run)
