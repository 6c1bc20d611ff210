"""The accounts that are open in this worker: one object per user, shared by all of the user's sessions here.

Rules that keep it right:

1. An account is prepared once, in a thread, before the first session gets it; sessions that come meanwhile wait.
2. It is kept for a while after its last session, so that a client which comes back finds it warm, and the table is
   bounded: the longest unused goes first.
3. What the store and the index report is logged here, for nothing below the server writes logs.
"""

from collections.abc import Callable
from typing import Any

from ..account.account import Account
from ..index.env import Environments
from ..index.folder import move_aside
from ..model.account import AccountSpec
from ..model.errors import Kind, MailError
from ..model.events import Doorbell, Watcher
from . import events
from .events import EventLog
from .offload import Offload

Ready = Callable[[Account | None, BaseException | None], None]

LINGER = 90.0
UPKEEP = 15.0
UNUSED = 200
"""Accounts without sessions that are kept at most."""


class _Entry:
    __slots__ = ("account", "prepared", "reports", "unused_since", "users", "waiting")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.users = 0
        self.prepared = False
        self.waiting: list[Ready] = []
        self.unused_since = 0.0


class Accounts:
    """Everything here is for the reactor thread."""

    def __init__(
        self, reactor: Any, offload: Offload, watcher: Watcher, environments: Environments, log: EventLog,
        reported: Callable[[str], None] = lambda event: None,
    ) -> None:
        """`reported` counts reports."""
        self.bell: Doorbell | None = None
        """Set by the worker: the bell itself calls `rung`."""
        self._reactor = reactor
        self._offload = offload
        self._watcher = watcher
        self._environments = environments
        self._log = log
        self._reported = reported
        self._entries: dict[AccountSpec, _Entry] = {}
        self._by_user: dict[str, list[_Entry]] = {}
        self._keeping: Any = None

    def __len__(self) -> int:
        return len(self._entries)

    def acquire(self, spec: AccountSpec, ready: Ready) -> None:
        """`ready(account, error)` follows, never at once; `leave` when the session has ended."""
        entry = self._entries.get(spec)
        if entry is None:
            try:
                account = Account(spec, self._watcher, self.bell, self._environments)
            except Exception as error:
                if not isinstance(error, MailError):
                    self._log.bug(error, user=spec.user)
                self._reactor.callLater(0, ready, None, error)
                return
            entry = self._entries[spec] = _Entry(account)
            self._by_user.setdefault(spec.user, []).append(entry)
        entry.users += 1
        if entry.prepared:
            self._reactor.callLater(0, ready, entry.account, None)
            return
        entry.waiting.append(ready)
        if len(entry.waiting) == 1:
            found = entry
            self._offload.run(
                entry.account.prepare, entry.account.key, lambda value, error: self._prepared(found, error)
            )
        if self._keeping is None:
            self._keeping = self._reactor.callLater(UPKEEP, self._keep)

    def leave(self, account: Account) -> None:
        """One session less."""
        entry = self._entries.get(account.spec)
        if entry is not None:
            entry.users -= 1
            entry.unused_since = self._reactor.seconds()
            self.report(account.drain_reports(), account.user)

    def rung(self, user: str, mailbox_id: str) -> None:
        """A mailbox changed, in this worker or another."""
        for entry in self._by_user.get(user, ()):
            entry.account.doorbell(mailbox_id)

    def suspect(self, path: str) -> None:
        """A process died while it read that index: put it aside. Whoever has it open finds out before the next read,
        and the index is built anew from the store."""
        self._offload.run(lambda: move_aside(path, timeout=10.0), None, lambda aside, error: self._aside(path, aside))

    def _aside(self, path: str, aside: str | None) -> None:
        self._log.emit(events.INDEX_SUSPECT, path=path, detail=f"moved to {aside}" if aside else "it is gone already")

    def close(self) -> None:
        """The worker ends: let go of everything."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        for spec in list(self._entries):
            self._release(spec)

    def report(self, reports: list[Any], user: str | None = None) -> None:
        """Log what was mended or could not be read."""
        for report in reports:
            self._log.emit(events.STORE, user=user, what=report.event, path=report.path, detail=report.detail)
            self._reported(report.event)

    def _prepared(self, entry: _Entry, error: BaseException | None) -> None:
        waiting, entry.waiting = entry.waiting, []
        self.report(entry.account.drain_reports(), entry.account.user)
        entry.prepared = error is None
        if error is not None:
            if not isinstance(error, MailError):
                self._log.bug(error, user=entry.account.user)
                error = MailError(Kind.UNAVAILABLE, "The mailbox cannot be opened just now")
            entry.users -= len(waiting)
            entry.unused_since = self._reactor.seconds()
        for ready in waiting:
            ready(None if error is not None else entry.account, error)

    def _keep(self) -> None:
        self._keeping = self._reactor.callLater(UPKEEP, self._keep) if self._entries else None
        now = self._reactor.seconds()
        unused = sorted(
            (entry for entry in self._entries.values() if not entry.users and not entry.waiting),
            key=lambda entry: entry.unused_since,
        )
        for number, entry in enumerate(unused):
            if now - entry.unused_since > LINGER or number < len(unused) - UNUSED:
                self._release(entry.account.spec)
        for entry in self._entries.values():
            if entry.prepared:
                call = entry.account.upkeep()
                if call is not None:
                    self._offload.run(call, entry.account.key, self._kept)
                self.report(entry.account.drain_reports(), entry.account.user)
        self._offload.run(self._environments.maintain, None, self._kept)

    def _kept(self, value: Any, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, MailError):
            self._log.bug(error)

    def _release(self, spec: AccountSpec) -> None:
        entry = self._entries.pop(spec)
        same = self._by_user[spec.user]
        same.remove(entry)
        if not same:
            del self._by_user[spec.user]
        try:
            self.report(entry.account.drain_reports(), spec.user)
            entry.account.release()
        except Exception as error:
            self._log.bug(error, user=spec.user)
