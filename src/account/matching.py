"""What a SearchMessages job does: decide a residual search tree message by message, reading no more than it needs.

Header keys are answered from the index's header blocks where it has them, else from the header of the file; body keys
read the file once for all of them. Sent dates, sizes and internal dates that the index did not know are put into it as
the job goes. A message that cannot be read matches nothing, not even a NOT: nothing is known of it.
"""

import datetime
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..index.errors import IndexUnavailable, NotIndexed
from ..message.casemap import casemap
from ..message.facts import facts
from ..message.headers import header_end
from ..message.lines import normalise
from ..message.parts import parse
from ..message.text import field_texts, header_text, texts
from ..model.errors import Kind, MailError
from ..model.facts import Fact
from ..model.search import (
    All,
    And,
    AnyText,
    BodyText,
    DateField,
    DateTest,
    HeaderText,
    InUids,
    Larger,
    Not,
    OnDate,
    Or,
    SearchKey,
    Smaller,
)
from ..model.store import OpenMessage, Report
from .reading import read_header, read_whole

if TYPE_CHECKING:
    from .account import Account
    from .jobs import SearchMessages
    from .mailbox import Mailbox

_SENT = frozenset({Fact.SENT})
EPOCH = datetime.date(1970, 1, 1).toordinal()
DAY = 86400


def matches(account: "Account", job: "SearchMessages") -> list[int]:
    """See SearchMessages."""
    try:
        mailbox = account.borrow(job.mailbox, job.mailbox_id)
    except MailError as error:
        if error.kind is Kind.NONEXISTENT:
            return []
        raise
    return _Matching(mailbox, job).run()


def leaves(key: SearchKey) -> Iterator[SearchKey]:
    """All keys of a tree that are not made of others."""
    pending = [key]
    while pending:
        one = pending.pop()
        if isinstance(one, And | Or):
            pending.extend(one.keys)
        elif isinstance(one, Not):
            pending.append(one.key)
        else:
            yield one


def cost(key: SearchKey) -> int:
    """What a key may have to read, for asking the cheap ones first."""
    if isinstance(key, And | Or):
        return max((cost(one) for one in key.keys), default=0)
    if isinstance(key, Not):
        return cost(key.key)
    if isinstance(key, BodyText | AnyText):
        return 4
    if isinstance(key, HeaderText):
        return 3
    if isinstance(key, OnDate):
        return 2 if key.field is DateField.SENT else 1
    return 1 if isinstance(key, Larger | Smaller) else 0


def ordered(key: SearchKey) -> SearchKey:
    """The same tree with cheap keys first and all texts mapped for comparison."""
    if isinstance(key, And | Or):
        return type(key)(tuple(sorted((ordered(one) for one in key.keys), key=cost)))
    if isinstance(key, Not):
        return Not(ordered(key.key))
    if isinstance(key, HeaderText):
        return HeaderText(key.field, casemap(key.text))
    if isinstance(key, BodyText | AnyText):
        return type(key)(casemap(key.text))
    return key


def days_of(key: OnDate) -> range:
    """BEFORE, ON, SINCE as the calendar days that fit, by ordinal (RFC 3501 6.4.4). Without a date nothing fits: a
    missing day is 0, the first day there is has the ordinal 1."""
    day = key.day.toordinal()
    if key.test is DateTest.BEFORE:
        return range(1, day)
    return range(day, day + 1) if key.test is DateTest.ON else range(day, datetime.date.max.toordinal() + 1)


class _Unreadable(Exception):
    """This message cannot be looked at."""


class _Matching:
    """One job under way."""

    def __init__(self, mailbox: "Mailbox", job: "SearchMessages") -> None:
        self.mailbox = mailbox
        self.job = job
        self.key = ordered(job.key)
        asked = list(leaves(job.key))
        self.fields = frozenset(
            one.field.lower().encode("utf-8", "replace") for one in asked if isinstance(one, HeaderText)
        )
        uids = job.uids
        self.blocks = dict(zip(uids, mailbox.header_blocks(self.fields, uids), strict=True)) if self.fields else {}
        by_sent = any(isinstance(one, OnDate) and one.field is DateField.SENT for one in asked)
        by_date = any(isinstance(one, OnDate) and one.field is DateField.INTERNAL for one in asked)
        by_size = any(isinstance(one, Larger | Smaller) for one in asked)
        self.sent = _known(uids, mailbox.facts(Fact.SENT, uids)) if by_sent else {}
        self.dates = _known(uids, mailbox.dates(uids)) if by_date else {}
        self.sizes = _known(uids, mailbox.sizes(uids)) if by_size else {}
        self.new_sent: list[tuple[int, Fact, bytes]] = []
        self.new_dates: dict[int, int] = {}
        self.new_sizes: dict[int, tuple[int, int]] = {}

    def run(self) -> list[int]:
        """Ask every message, keep what was learned."""
        found = []
        for uid in self.job.uids:
            message = _Message(self, uid)
            try:
                if message.fits(self.key):
                    found.append(uid)
            except _Unreadable:
                pass
            finally:
                message.close()
        self._keep()
        return sorted(found)

    def _keep(self) -> None:
        index = self.mailbox.index
        try:
            if self.new_sent:
                index.put_facts(self.new_sent)
            if self.new_dates:
                index.set_dates(self.new_dates)
            if self.new_sizes:
                index.set_sizes(self.new_sizes)
        except (IndexUnavailable, NotIndexed):
            # What was found is right all the same; the next search reads it again.
            return


T = TypeVar("T")


def _known(uids: Sequence[int], values: Sequence[T | None]) -> dict[int, T]:
    return {uid: value for uid, value in zip(uids, values, strict=True) if value is not None}


class _Message:
    """One message as far as it was read."""

    def __init__(self, job: _Matching, uid: int) -> None:
        self.job = job
        self.uid = uid
        self._open: OpenMessage | None = None
        self._header: bytes | None = None
        self._header_text: str | None = None
        self._data: bytes | None = None
        self._texts: list[str] | None = None

    def fits(self, key: SearchKey) -> bool:
        """The message matches. The depth of a tree is bounded by whoever parsed it."""
        if isinstance(key, And):
            return all(self.fits(one) for one in key.keys)
        if isinstance(key, Or):
            return any(self.fits(one) for one in key.keys)
        if isinstance(key, Not):
            return not self.fits(key.key)
        if isinstance(key, All):
            return True
        if isinstance(key, InUids):
            return self.uid in key.uids
        if isinstance(key, HeaderText):
            return self._in_field(key)
        if isinstance(key, BodyText):
            return any(key.text in text for text in self._body_texts())
        if isinstance(key, AnyText):
            return key.text in self._whole_header() or any(key.text in text for text in self._body_texts())
        if isinstance(key, OnDate):
            return (self._sent() if key.field is DateField.SENT else self._date() // DAY + EPOCH) in days_of(key)
        if isinstance(key, Larger):
            return self._size() > key.octets
        if isinstance(key, Smaller):
            return self._size() < key.octets
        # Flags and modseqs belong to the session's snapshot; search.py turned those keys into InUids.
        raise TypeError(f"a job cannot decide {key!r}")

    def close(self) -> None:
        """Release the file."""
        if self._open is not None:
            self._open.close()

    def _in_field(self, key: HeaderText) -> bool:
        block = self.job.blocks.get(self.uid)
        if block is None:
            block = self._read_header()
        values = field_texts(block, key.field)
        return bool(values) if not key.text else any(key.text in casemap(value) for value in values)

    def _whole_header(self) -> str:
        if self._header_text is None:
            self._header_text = casemap(header_text(self._read_header()))
        return self._header_text

    def _body_texts(self) -> Iterator[str]:
        """Each text is decoded once, when a key gets to it."""
        if self._texts is None:
            data = self._read_data()
            self._texts = [casemap(text) for text in texts(data, parse(data))]
        return iter(self._texts)

    def _sent(self) -> int:
        """Ordinal of the Date field's day, 0 without one."""
        known = self.job.sent.get(self.uid)
        if known is None:
            known = facts(self._read_header(), _SENT, frozenset())[Fact.SENT]
            self.job.sent[self.uid] = known
            self.job.new_sent.append((self.uid, Fact.SENT, known))
        return int.from_bytes(known, "big")

    def _date(self) -> int:
        known = self.job.dates.get(self.uid)
        if known is None:
            known = self.job.dates[self.uid] = self.job.new_dates[self.uid] = self._message().internaldate
        return known

    def _size(self) -> int:
        known = self.job.sizes.get(self.uid)
        if known is None:
            known = self.job.sizes[self.uid] = len(self._read_data())
            self.job.new_sizes[self.uid] = self._message().size, known
        return known

    def _read_header(self) -> bytes:
        if self._header is None:
            if self._data is not None:
                self._header = self._data[: header_end(self._data)]
            else:
                try:
                    self._header = read_header(self._message())
                except OSError as error:
                    raise self._unreadable(error) from error
        return self._header

    def _read_data(self) -> bytes:
        if self._data is None:
            try:
                self._data = normalise(read_whole(self._message()))
            except OSError as error:
                raise self._unreadable(error) from error
        return self._data

    def _message(self) -> OpenMessage:
        if self._open is None:
            try:
                self._open = self.job.mailbox.open(self.uid, self.job.job.pid)
            except MailError as error:
                if error.kind in (Kind.UNREADABLE, Kind.EXPUNGED, Kind.NONEXISTENT):
                    raise _Unreadable from error
                raise
        return self._open

    def _unreadable(self, error: OSError) -> _Unreadable:
        mailbox = self.job.mailbox
        mailbox.account.report(Report("message-unreadable", f"{mailbox.folder.path}: UID {self.uid}", str(error)))
        return _Unreadable()
