"""FETCH and UID FETCH (RFC 3501 6.4.5), with CHANGEDSINCE and VANISHED (RFC 7162 3.1.4.1, 3.2.6) and BINARY (RFC 3516).

Rules that keep it right:

1. What the index knows comes from it, portion by portion (rows.py); message files are read by hops of bounded size in
   pool threads (bodies.py). Nothing grows with the number of messages.
2. A message that cannot be told does not stop the others: the tagged answer is NO then and names it.
3. \\Seen is set for all messages of a hop at once, and told in the very row that made it so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ....account.jobs import PORTION
from ....account.view import View
from ....model.errors import Kind, MailError, ProtocolFault
from ....model.flags import SEEN
from ....model.uids import UidSet
from ...engine import Blocking
from .. import codes
from ..bodies import BodyReader, Hop
from ..command import SELECTED, Command, Part, Run
from ..fetch_items import BodyItem, Column, FetchItem, fetch_items
from ..reader import Reader
from ..responses import NO, OK, Status, Vanished
from ..rows import Table, cacheable
from ..session import Session
from ..types import SequenceSet


@dataclass(frozen=True, slots=True)
class Fetch:
    """The arguments."""

    numbers: SequenceSet
    by_uid: bool
    items: tuple[FetchItem, ...]
    changed_since: int | None = None
    vanished: bool = False


def _parse(reader: Reader, by_uid: bool) -> Fetch:
    """fetch = "FETCH" SP sequence-set SP items [SP "(" fetch-modifier *(SP fetch-modifier) ")"]"""
    numbers = reader.sequence_set("a set of UIDs" if by_uid else "a sequence set")
    reader.sp()
    items = fetch_items(reader)
    changed_since: int | None = None
    vanished = False

    def modifier() -> None:
        nonlocal changed_since, vanished
        if reader.take_word(b"CHANGEDSINCE"):
            reader.sp()
            changed_since = reader.modseq()
        elif reader.take_word(b"VANISHED"):
            vanished = True
        else:
            raise reader.expected("CHANGEDSINCE or VANISHED")

    if reader.take(b" ") and not reader.at_end():
        reader.listed(modifier, "modifiers")
    reader.end()
    if vanished and (changed_since is None or not by_uid):
        raise ProtocolFault("VANISHED goes with UID FETCH and CHANGEDSINCE only")
    return Fetch(numbers, by_uid, items, changed_since, vanished)


def parse(reader: Reader) -> Fetch:
    """By sequence number."""
    return _parse(reader, by_uid=False)


def parse_uid(reader: Reader) -> Fetch:
    """By UID."""
    return _parse(reader, by_uid=True)


def run(session: Session, fetch: Fetch) -> Run:
    """The rows, in the mailbox's order."""
    view = session.selected
    if fetch.vanished and not session.qresync:
        raise MailError(Kind.CANNOT, "QRESYNC was not enabled")
    if fetch.changed_since is not None or Column.MODSEQ in fetch.items:
        yield from session.enable_condstore()
    if Column.FLAGS in fetch.items or Column.MODSEQ in fetch.items:
        yield from session.news(expunges=False)
    uids = session.resolve(fetch.numbers, fetch.by_uid)
    if fetch.changed_since is not None:
        if fetch.vanished:
            vanished = view.vanished_since(fetch.changed_since, _among(view, fetch.numbers))
            if vanished:
                yield Vanished(vanished, earlier=True)
        asked = frozenset(uids)
        uids = [uid for _, uid, _, _ in view.changed_since(fetch.changed_since) if uid in asked]
    marks = not view.readonly
    items = _with_implied(fetch)
    stored = [item for item in items if cacheable(item, marks)]
    read = [item for item in items if isinstance(item, BodyItem) and not cacheable(item, marks)]
    answer = _Answer(session, view, Table(stored, session.flags, session.user.spec))
    if read:
        yield from answer.with_bodies(uids, read, marks and any(not item.peek for item in read))
    else:
        yield from answer.from_index(uids)
    return answer.status()


def _with_implied(fetch: Fetch) -> list[FetchItem]:
    """RFC 3501 6.4.8: a UID command tells the UID; RFC 7162 3.1.4.1: CHANGEDSINCE asks for MODSEQ."""
    items = list(fetch.items)
    if fetch.by_uid and Column.UID not in items:
        items.insert(0, Column.UID)
    if fetch.changed_since is not None and Column.MODSEQ not in items:
        items.append(Column.MODSEQ)
    return items


def _among(view: View, numbers: SequenceSet) -> UidSet:
    """The UIDs that a set of the client's names, there or not."""
    last = max(view.uids[-1] if view.exists else 0, 1)
    runs = [tuple(sorted(last if number is None else number for number in run)) for run in numbers.runs]
    return UidSet((low, high) for low, high in runs)


class _Answer:
    """The rows of one FETCH under way."""

    def __init__(self, session: Session, view: View, table: Table) -> None:
        self.session = session
        self.view = view
        self.table = table
        self.failed: list[tuple[int, MailError]] = []
        self.dropped = 0
        """UID of the message under way if its row could not be begun."""

    def from_index(self, uids: Sequence[int]) -> Part:
        """No message has to be read for its octets."""
        table, view = self.table, self.view
        for start in range(0, len(uids), table.portion):
            portion = uids[start : start + table.portion]
            if table.plain:
                yield table.plain_rows(view, portion)
            else:
                rows = yield from table.rows(view, portion, uids[start : start + PORTION])
                yield b")\r\n".join([row for _, row in rows] + [b""])

    def with_bodies(self, uids: Sequence[int], items: Sequence[BodyItem], marks: bool) -> Part:
        """Messages are read, some of them or a part of one at a time."""
        session, view = self.session, self.view
        reader = BodyReader(view, items, marks, session.remembered)
        session.remembered = None
        position = 0
        try:
            while position < len(uids) or not reader.idle:
                while position < len(uids) and reader.wants:
                    uid = uids[position]
                    position += 1
                    flags = view.flags_of(uid)
                    if flags is not None:
                        reader.offer(uid, unseen=marks and not flags & SEEN)
                hop: Hop = yield Blocking(reader.hop, session.user.key if reader.writes else None)
                yield from self._told(hop)
                yield from self._corrected(hop)
        finally:
            reader.close()
            session.remembered = reader.remembered

    def _told(self, hop: Hop) -> Part:
        """Send what a hop brought."""
        view = self.view
        self.failed += hop.failed
        marked = {uid: (flags, modseq) for uid, flags, modseq in hop.marked}
        for uid, (flags, modseq) in marked.items():
            view.told(uid, flags, modseq)
        begun = [share.uid for share in hop.shares if share.begins]
        beginnings = dict((yield from self.table.rows(view, begun))) if begun else {}
        for share in hop.shares:
            if share.begins:
                beginning = beginnings.get(share.uid)
                if beginning is None:
                    self.dropped = share.uid
                    continue
                self.dropped = 0
                mark = self._mark(share.uid, *marked[share.uid]) if share.uid in marked else b""
                yield b"%b%b%b" % (beginning, b" " if self.table.items else b"", mark)
            elif share.uid == self.dropped:
                continue
            yield from share.octets
            if share.ends:
                yield b")\r\n"

    def _mark(self, uid: int, flags: int, modseq: int) -> bytes:
        """The flags that reading has changed, where the row does not tell them anyway."""
        session, items = self.session, self.table.items
        told = b""
        if Column.FLAGS not in items:
            told = b"FLAGS (%b) " % session.flags[session.mask(uid, flags)]
        if session.condstore and Column.MODSEQ not in items:
            told += b"MODSEQ (%d) " % modseq
        return told

    def _corrected(self, hop: Hop) -> Part:
        """Sizes that the store or the index had wrong are put right: RFC822.SIZE is what was sent."""
        view = self.view
        known = zip(hop.sizes.items(), view.sizes(list(hop.sizes)), strict=True)
        for uid, counted in [item for item, size in known if size is not None and size != item[1][1]]:
            try:
                yield Blocking(
                    lambda uid=uid, counted=counted: view.mailbox.corrected(uid, *counted),  # type: ignore[misc]
                    self.session.user.key,
                )
            except MailError:
                return  # another time; what was sent is right

    def status(self) -> Status:
        """The tagged answer."""
        unreadable = [(uid, MailError(Kind.UNREADABLE, "")) for uid, there in self.table.lost if there]
        failed = [item for item in self.failed + unreadable if item[1].kind is not Kind.EXPUNGED]
        if failed:
            uid, error = failed[0]
            others = f" and {len(failed) - 1} others" if len(failed) > 1 else ""
            reason = f": {error.text}" if error.text else ""
            return Status(NO, f"The message with UID {uid}{others} could not be read{reason}", codes.CODES[error.kind])
        if self.failed or self.table.lost:
            return Status(NO, "Some of the messages no longer exist", codes.CODES[Kind.EXPUNGED])
        return Status(OK, "Fetched")


FETCH = Command("FETCH", SELECTED, parse, run, uses_sequence_numbers=True, abandonable=True)
UID_FETCH = Command("UID FETCH", SELECTED, parse_uid, run, abandonable=True)
