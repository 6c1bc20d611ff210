"""One user's mailboxes as the protocols see them. R: on the reactor thread; B: inside `Blocking` with `key`.

Rules that keep it right:

1. All changes of an account's store and index run under the index's account write lock, in whatever process; inside it
   the folder locks of the store are taken, never the other way round.
2. There is at most one Mailbox object per (mailbox id, UIDVALIDITY) in an account, so that all sessions of this process
   share one watch, one snapshot and one set of views. Mailboxes without views are kept for a while, oldest out first.
3. Names are canonical in here: `INBOX` in any case is `INBOX` (RFC 3501 5.1).
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from ..index.account import AccountIndex
from ..index.env import Environments
from ..index.errors import IndexUnavailable, NotIndexed
from ..mailstore.formats import open_store
from ..model.account import AccountSpec, MailboxInfo, MailboxStatus
from ..model.errors import Kind, MailError
from ..model.events import Doorbell, Watcher
from ..model.store import Folder, FolderHeader, Report, Spool
from . import transfer
from .mailbox import Mailbox
from .recording import unavailable
from .resting import Wakeful
from .results import Appended, NewMessage
from .view import View
from .viewers import Viewers

UNVIEWED = 256
"""Mailbox objects without views that are kept, for STATUS and the next SELECT."""
LINGER = 2
"""Calls of `upkeep` after which the watch on a mailbox without views ends."""
FLUSH = 10
"""Every so many calls of `upkeep` a changed index is flushed to disk."""

_WAKEFUL = Wakeful()
"""Of this process: what is open in one account makes that of others rest."""


class Account:
    """See the module."""

    def __init__(
        self, spec: AccountSpec, watcher: Watcher | None, bell: Doorbell | None, environments: Environments
    ) -> None:
        self.spec = spec
        self.user = spec.user
        self.key = spec.user
        """For `Blocking`."""
        self.separator = spec.separator
        self.prefix = spec.prefix
        self.watcher = watcher
        self.wakeful = _WAKEFUL
        self.viewers = Viewers(spec.index)
        self.store = open_store(spec, spec.index + ".private")
        self.index = AccountIndex(spec.index, environments)
        self._bell = bell
        self._registry = threading.Lock()
        self._by_id: OrderedDict[str, Mailbox] = OrderedDict()
        self._by_name: dict[str, Mailbox] = {}
        self._departed: dict[str, list[Mailbox]] = {}
        """Mailboxes that are gone, until their views have been woken."""
        self._reports: list[Report] = []
        self._changed = False
        self._rounds = 0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the account's write lock (B; re-entrant). What the index cannot do becomes MailError(UNAVAILABLE)."""
        try:
            with self.index.lock():
                yield
        except (IndexUnavailable, NotIndexed) as error:
            raise unavailable(error) from error

    # ── the list of mailboxes (B) ──

    def prepare(self) -> None:
        """Once after login: make what is missing, finish what a crash left, default mailboxes for a new account."""
        with self.locked():
            self.viewers.clean()
            self.store.prepare()
            if self.spec.defaults and self.store.is_new():
                for default in self.spec.defaults:
                    try:
                        self.store.create(default.name, (default.special_use,) if default.special_use else ())
                    except MailError as error:
                        if error.kind is not Kind.ALREADYEXISTS:
                            self.report(Report("default-mailbox-failed", default.name, str(error)))
                            continue
                    if default.subscribe:
                        self.store.subscribe(default.name, True)

    def mailboxes(self) -> list[MailboxInfo]:
        """All mailboxes, INBOX first, parents before children."""
        return self.store.mailboxes()

    def subscriptions(self) -> list[str]:
        """Subscribed names, existing or not."""
        return self.store.subscriptions()

    def create(self, name: str, special_use: Sequence[str] = ()) -> str:
        """Make a mailbox with its parents; its mailbox id."""
        with self.locked():
            return self.store.create(_canonical(name), special_use).header().guid

    def delete(self, name: str) -> None:
        """Remove a mailbox; views on it become `gone`."""
        name = _canonical(name)
        with self.locked():
            guid = self._guid(name)
            self.store.delete(name)
            mailbox = self._by_id.get(guid)
            if mailbox is not None:
                self.forget(mailbox)
            with contextlib.suppress(IndexUnavailable, NotIndexed):
                self.index.remove(guid)
        self.ring(guid)

    def rename(self, old: str, new: str) -> None:
        """With children; views follow. Of INBOX only the messages move (RFC 3501 6.3.5)."""
        old, new = _canonical(old), _canonical(new)
        with self.locked():
            inbox = self._load(old) if old == "INBOX" else None
            if inbox is not None:
                self._keep_all(inbox)
            self.store.rename(old, new)
            changed = [] if inbox is None else [inbox]
            below = old + self.separator
            for mailbox in self._all():
                if inbox is None and (mailbox.name == old or mailbox.name.startswith(below)):
                    name = new + mailbox.name[len(old) :]
                    with contextlib.suppress(MailError):
                        self.moved(mailbox, name, self.store.folder(name))
                    changed.append(mailbox)
            if inbox is not None:
                inbox.watch.lose()
                with contextlib.suppress(MailError):
                    inbox.sync()
        for mailbox in changed:
            self.ring(mailbox.id)

    def _keep_all(self, inbox: Mailbox) -> None:
        """Before INBOX is emptied by a rename: what others have in view stays readable for them."""
        with inbox.changing() as snapshot:
            keep_for = inbox.kept.others(None)
            if keep_for:
                for uid, locator in inbox.index.locators_of(snapshot.uids).items():
                    inbox.folder.keep_expunged(uid, locator, keep_for)

    def subscribe(self, name: str, on: bool) -> None:
        """Change the subscriptions."""
        with self.locked():
            self.store.subscribe(_canonical(name), on)

    # ── one mailbox ──

    def try_status(self, name: str) -> MailboxStatus | None:
        """The counters when they are known to be right, else None: ask `status` (R)."""
        mailbox = self.try_mailbox(name)
        return None if mailbox is None else _status(mailbox)

    def status(self, name: str) -> MailboxStatus:
        """The counters (B). `size` is None when sizes are missing: see `unsized`."""
        status = _status(self.mailbox(name))
        if status is None:
            raise MailError(Kind.UNAVAILABLE, "The mailbox cannot be read at the moment")
        return status

    def unsized(self, name: str) -> tuple[str, list[int]]:
        """(mailbox id, UIDs without a known size), for FillFacts jobs before `status` is asked again (B)."""
        mailbox = self.mailbox(name)
        snapshot = mailbox.refresh()
        if snapshot is None or not snapshot.head.size_unknown:
            return mailbox.id, []
        uids = snapshot.uids
        return mailbox.id, [uid for uid, size in zip(uids, mailbox.sizes(uids), strict=True) if size is None]

    def try_mailbox(self, name: str) -> Mailbox | None:
        """The mailbox when it is open in this process and in step with the store, else None (R)."""
        mailbox = self._by_name.get(_canonical(name))
        return None if mailbox is None or mailbox.gone or mailbox.stale else mailbox

    def mailbox(self, name: str) -> Mailbox:
        """The mailbox, in step with the store (B). NONEXISTENT."""
        mailbox = self._load(name)
        if mailbox.stale:
            mailbox.sync()
            if mailbox.gone:
                mailbox = self._load(name)
                mailbox.sync()
        return mailbox

    def try_select(self, name: str, readonly: bool, on_change: Callable[[], None]) -> View | None:
        """A view when that needs no waiting, else None: ask `select` (R)."""
        mailbox = self._by_name.get(_canonical(name))
        return None if mailbox is None or mailbox.gone else mailbox.try_view(readonly, on_change)

    def select(self, name: str, readonly: bool, on_change: Callable[[], None]) -> View:
        """Open a view; claims \\Recent unless `readonly` (B). NONEXISTENT."""
        return self.mailbox(name).view(readonly, on_change)

    def borrow(self, name: str, mailbox_id: str) -> Mailbox:
        """The mailbox with that id, as the index has it, without a look at the store: for jobs, which run beside
        sessions that keep it in step. NONEXISTENT."""
        mailbox = self._by_id.get(mailbox_id)
        if mailbox is None or mailbox.gone or not mailbox.present:
            mailbox = self._load(name)
            if mailbox.id != mailbox_id:
                raise MailError(Kind.NONEXISTENT, "The mailbox was deleted")
        return mailbox

    # ── delivery (B) ──

    def spool(self, name: str) -> Spool:
        """A sink for a message that will be appended there. TRYCREATE."""
        return self.target(name).folder.spool()

    def append(self, name: str, messages: Sequence[NewMessage]) -> Appended:
        """All or none; durable when it returns. The spools are used up whatever happens."""
        try:
            return transfer.append(self.target(name), messages)
        finally:
            for message in messages:
                message.spool.discard()

    def target(self, name: str) -> Mailbox:
        """The mailbox that messages are to go to. TRYCREATE when there is none (RFC 3501 6.3.11)."""
        try:
            return self._load(name)
        except MailError as error:
            if error.kind is Kind.NONEXISTENT:
                raise MailError(Kind.TRYCREATE, "There is no such mailbox") from error
            raise

    # ── the registry ──

    def _load(self, name: str) -> Mailbox:
        """The mailbox of that name as it is in the store now, in step or not (B)."""
        name = _canonical(name)
        known = self._by_name.get(name)
        if known is not None and known.present:
            folder, header = known.folder, known.folder.header()
        else:
            folder = self.store.folder(name)
            header = folder.header()
        with self._registry:
            mailbox = self._by_id.get(header.guid)
            if mailbox is not None and not mailbox.gone and mailbox.uidvalidity == header.uidvalidity:
                if mailbox.name != name or not mailbox.present:
                    self._bind(mailbox, name, folder)
                self._by_id.move_to_end(header.guid)
                return mailbox
            if mailbox is not None:
                # The same folder with another UIDVALIDITY: nothing that its views know is right any more.
                self._depart(mailbox)
            replaced = mailbox is not None
            mailbox = Mailbox(self, name, folder, header)
            self._by_id[header.guid] = self._by_name[name] = mailbox
            self._trim()
        if replaced:
            self.ring(header.guid)
        return mailbox

    def moved(self, mailbox: Mailbox, name: str, folder: Folder) -> None:
        """The mailbox lies there now; its views go on."""
        with self._registry:
            self._bind(mailbox, name, folder)

    def _bind(self, mailbox: Mailbox, name: str, folder: Folder) -> None:
        if self._by_name.get(mailbox.name) is mailbox:
            del self._by_name[mailbox.name]
        mailbox.rebind(name, folder)
        self._by_name[name] = mailbox

    def forget(self, mailbox: Mailbox) -> None:
        """The mailbox is gone: its views are woken to see it."""
        with self._registry:
            self._depart(mailbox)
        self.ring(mailbox.id)

    def _depart(self, mailbox: Mailbox) -> None:
        mailbox.gone = True
        self._drop(mailbox)
        if mailbox.views():
            self._departed.setdefault(mailbox.id, []).append(mailbox)

    def _drop(self, mailbox: Mailbox) -> None:
        if self._by_id.get(mailbox.id) is mailbox:
            del self._by_id[mailbox.id]
        if self._by_name.get(mailbox.name) is mailbox:
            del self._by_name[mailbox.name]
        mailbox.watch.stop()
        self.wakeful.forget(mailbox)

    def _trim(self) -> None:
        """Let go of mailboxes that nobody views, the longest unused first."""
        unviewed = [mailbox for mailbox in self._by_id.values() if not mailbox.views()]
        for mailbox in unviewed[: max(0, len(unviewed) - UNVIEWED)]:
            self._drop(mailbox)

    def _all(self) -> list[Mailbox]:
        with self._registry:
            return list(self._by_id.values())

    def _guid(self, name: str) -> str:
        header: FolderHeader = self.store.folder(name).header()
        return header.guid

    # ── the server's side (R) ──

    def ring(self, mailbox_id: str) -> None:
        """A mailbox changed: wake whoever has it in view, in all processes (any thread)."""
        self._changed = True
        if self._bell is not None:
            self._bell.ring(self.user, mailbox_id)
        else:
            self.doorbell(mailbox_id)

    def doorbell(self, mailbox_id: str) -> None:
        """This or another worker changed that mailbox."""
        mailbox = self._by_id.get(mailbox_id)
        for one in (*self._departed.pop(mailbox_id, ()), *((mailbox,) if mailbox is not None else ())):
            one.wake()

    def views(self) -> int:
        """Open views in this process."""
        return sum(mailbox.views() for mailbox in self._all())

    def upkeep(self) -> Callable[[], None] | None:
        """Called every 10 to 30 s: drops caches of idle mailboxes; gives what has to run off the reactor (B)."""
        due: list[Mailbox] = []
        for mailbox in self._all():
            mailbox.unused = 0 if mailbox.views() else mailbox.unused + 1
            mailbox.kept.look()
            mailbox.quiet += 1
            if mailbox.quiet == LINGER and mailbox.small:
                mailbox.rest()
                self.wakeful.forget(mailbox)
            if mailbox.untidy or (mailbox.unused >= LINGER and mailbox.watch.live):
                due.append(mailbox)
        self._rounds += 1
        flush = self._changed and self._rounds % FLUSH == 0
        if not due and not flush:
            return None

        def run() -> None:
            for mailbox in due:
                mailbox.tidy()
                if mailbox.unused >= LINGER and not mailbox.views():
                    mailbox.watch.stop()
            if flush:
                self._changed = False
                self.index.sync()

        return run

    def report(self, report: Report) -> None:
        """Note something for the server's log."""
        self._reports.append(report)

    def drain_reports(self) -> list[Report]:
        """What the store, the index or a job mended or could not read since the last call."""
        reports, self._reports = self._reports, []
        reports += self.index.drain_reports()
        for mailbox in self._all():
            reports += mailbox.folder.drain_reports()
        return reports

    def release(self) -> None:
        """The last session left: end watches and close the index."""
        for mailbox in self._all():
            mailbox.watch.stop()
            self.wakeful.forget(mailbox)
        self.index.close()


def _canonical(name: str) -> str:
    return "INBOX" if name.upper() == "INBOX" else name


def _status(mailbox: Mailbox) -> MailboxStatus | None:
    head = mailbox.head()
    if head is None:
        return None
    return MailboxStatus(
        messages=head.messages,
        recent=head.recent,
        unseen=head.unseen,
        deleted=head.deleted,
        uidnext=head.uidnext,
        uidvalidity=head.uidvalidity,
        highestmodseq=head.highestmodseq,
        size=None if head.size_unknown else head.size,
        mailbox_id=mailbox.id,
    )
