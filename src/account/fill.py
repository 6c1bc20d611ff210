"""What a FillFacts job does: read each message once and put into the index what it does not have yet.

Rules that keep it right: one message is in memory at a time; the rows of all go into the index in one write; what the
index cannot take (messages that are expunged but still in view, or everything while it cannot be written) goes back to
the caller as loose facts, so that a client is always answered. A size that a name tells wrongly is put right.
"""

import contextlib
from typing import TYPE_CHECKING

from ..index.errors import IndexUnavailable, NotIndexed
from ..message.facts import facts
from ..message.headers import cut_block
from ..message.lines import CrlfCounter, normalise
from ..model.errors import Kind, MailError
from ..model.facts import Fact
from ..model.store import OpenMessage, Report
from .reading import HEADER_FACTS, read_header, read_whole
from .results import Filled

if TYPE_CHECKING:
    from .account import Account
    from .jobs import FillFacts
    from .mailbox import Mailbox

_BLOCK = 256 * 1024


def fill(account: "Account", job: "FillFacts") -> Filled:
    """See FillFacts."""
    try:
        mailbox = account.borrow(job.mailbox, job.mailbox_id)
    except MailError as error:
        if error.kind is Kind.NONEXISTENT:
            return Filled(0, gone=job.uids)
        raise
    return _Filling(mailbox, job).run()


class _Filling:
    """One job under way."""

    def __init__(self, mailbox: "Mailbox", job: "FillFacts") -> None:
        self.mailbox = mailbox
        self.job = job
        self.fields, self.version = job.header_fields, 0
        self.found: dict[int, dict[Fact, bytes]] = {}
        self.sizes: dict[int, tuple[int, int]] = {}
        self.dates: dict[int, int] = {}
        self.gone: list[int] = []
        self.unreadable: list[int] = []

    def run(self) -> Filled:
        """Read, write, and say what could not be done."""
        if Fact.HEADERS in self.job.facts:
            self._want_headers()
        for uid in self.job.uids:
            self._read(uid)
        written = self._write()
        there = self.mailbox.index.locators_of(self.job.uids) if written is not None else {}
        return Filled(
            written or 0,
            tuple(self.unreadable),
            tuple(self.gone),
            {uid: self._loose(found) for uid, found in self.found.items() if uid not in there or self._unkept(found)},
            {
                uid: (self.sizes[uid][1] if uid in self.sizes else 0, date)
                for uid, date in self.dates.items()
                if uid not in there
            },
        )

    def _want_headers(self) -> None:
        """The fields that will be kept together with those asked for."""
        index = self.mailbox.index
        with contextlib.suppress(IndexUnavailable, NotIndexed):
            self.version = index.want_headers(self.job.header_fields)
        head = self.mailbox.head()
        if self.version and head is not None and self.version <= len(head.header_sets):
            self.fields = head.header_sets[self.version - 1]
        else:
            self.version = 0

    def _unkept(self, found: dict[Fact, bytes]) -> bool:
        return Fact.HEADERS in found and not self.version

    def _loose(self, found: dict[Fact, bytes]) -> dict[Fact, bytes]:
        """As the job's caller asked for them."""
        if Fact.HEADERS in found and self.fields != self.job.header_fields:
            return {**found, Fact.HEADERS: cut_block(found[Fact.HEADERS], self.job.header_fields)}
        return found

    def _read(self, uid: int) -> None:
        try:
            message = self.mailbox.open(uid, self.job.pid)
        except MailError as error:
            if error.kind is Kind.UNREADABLE:
                self.unreadable.append(uid)
            elif error.kind in (Kind.EXPUNGED, Kind.NONEXISTENT):
                self.gone.append(uid)
            else:
                raise
            return
        try:
            self._take(uid, message)
        except OSError as error:
            self.unreadable.append(uid)
            place = f"{self.mailbox.folder.path}: UID {uid}"
            self.mailbox.account.report(Report("message-unreadable", place, str(error)))
        finally:
            message.close()

    def _take(self, uid: int, message: OpenMessage) -> None:
        job = self.job
        if job.facts - HEADER_FACTS:
            data = normalise(read_whole(message))
            self.sizes[uid] = message.size, len(data)
            self.found[uid] = facts(data, job.facts, self.fields)
        else:
            if job.facts:
                self.found[uid] = facts(read_header(message), job.facts, self.fields)
            if job.sizes:
                message.file.seek(0)
                counter = CrlfCounter()
                size = 0
                while block := message.file.read(_BLOCK):
                    size += len(block)
                    counter.feed(block)
                self.sizes[uid] = size, counter.size
        self.dates[uid] = message.internaldate

    def _write(self) -> int | None:
        """Everything into the index; None when it cannot be written."""
        mailbox, index = self.mailbox, self.mailbox.index
        rows = [(uid, fact, value) for uid, found in self.found.items() for fact, value in found.items()]
        if not self.version:
            rows = [row for row in rows if row[1] is not Fact.HEADERS]
        try:
            written = index.put_facts(rows, self.version) if rows else 0
            if self.dates and self.job.dates:
                index.set_dates(self.dates)
            self._write_sizes()
        except (IndexUnavailable, NotIndexed):
            return None
        except MailError as error:
            mailbox.account.report(Report("size-not-corrected", mailbox.folder.path, str(error)))
        return written

    def _write_sizes(self) -> None:
        """Unknown sizes go into the index; where a name tells another size, it is put right as well."""
        if not self.sizes:
            return
        mailbox, index = self.mailbox, self.mailbox.index
        uids = list(self.sizes)
        known = dict(zip(uids, mailbox.sizes(uids), strict=True))
        wrong: dict[int, tuple[int, int]] = {}
        for uid, locator in index.locators_of(uids).items():
            parsed = mailbox.folder.parse(locator)
            size, vsize = self.sizes[uid]
            if parsed.size not in (None, size) or parsed.vsize not in (None, vsize):
                wrong[uid] = size, vsize
        fresh = {
            uid: sizes for uid, sizes in self.sizes.items() if uid not in wrong and known[uid] != sizes[1]
        }
        if fresh:
            index.set_sizes(fresh)
        if wrong:
            mailbox.correct(wrong)
