"""`culverhouse index status|verify|rebuild`: what the indexes hold, whether they are sound, building them anew.

Works beside a running server: whatever is taken away here is noticed there before its next use. Started as root it
becomes the server's user first, so that it makes no file the server cannot open; the password files are read before
that, since a user's home may be named there.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..account.account import Account
from ..config import Config, UnsafeName, account_spec
from ..index import repair
from ..index.env import Environments
from ..index.errors import IndexUnavailable
from ..index.verify import VerifyResult, verify_environment
from ..message import utf7
from ..model.account import AccountSpec
from ..model.errors import MailError
from ..model.store import Report
from ..server.process import identity
from .output import FAILED, OK, Failed, complain, show
from .users import normal_form, records


def _specs(config: Config, user: str | None) -> list[AccountSpec]:
    """The accounts that were asked for; from here on this process is the server's user."""
    homes = {record.user: record.home for record in records(config)}
    wanted = sorted(homes) if user is None else [normal_form(config, user)]
    found = []
    for name in wanted:
        if name not in homes:
            raise Failed(f"there is no user {name}")
        try:
            found.append(account_spec(config, name, homes[name]))
        except UnsafeName as error:
            if user is not None:
                raise Failed(f"{name}: {error}") from None
            complain(f"{name}: {error}")
    become = identity(config.server.user)
    if become is not None:
        os.setgroups(become.groups)
        os.setresgid(become.gid, become.gid, become.gid)
        os.setresuid(become.uid, become.uid, become.uid)
    return found


@contextmanager
def _opened(config: Config, spec: AccountSpec) -> Iterator[Account]:
    environments = Environments(config.index.open_limit, config.index.map_size)
    account = Account(spec, None, None, environments)
    try:
        yield account
    finally:
        for report in account.drain_reports():
            complain(_told(report))
        account.release()
        environments.close()


def _told(report: Report) -> str:
    return f"{report.event}: {report.path}: {report.detail}"


def _each(config: Config, user: str | None, work: Callable[[AccountSpec], bool]) -> int:
    """Do it for every account; one that fails does not keep the others from it."""
    good = True
    for spec in _specs(config, user):
        try:
            good = work(spec) and good
        except (MailError, IndexUnavailable, OSError) as error:
            complain(f"{spec.user}: {error}")
            good = False
    return OK if good else FAILED


def _names(account: Account, mailbox: str | None) -> list[str]:
    """Selectable mailboxes, or the one that was named (in Unicode, or as on the wire)."""
    names = [info.name for info in account.mailboxes() if info.selectable]
    if mailbox is None:
        return names
    wanted = {mailbox, utf7.encode(mailbox)} | ({"INBOX"} if mailbox.upper() == "INBOX" else set())
    found = [name for name in names if name in wanted]
    if not found:
        raise Failed(f"{account.user} has no mailbox {mailbox}")
    return found


def _readable(name: str) -> str:
    try:
        return utf7.decode(name)
    except ValueError:
        return name


def status(config: Config, user: str | None, mailbox: str | None, as_json: bool) -> int:
    """What the index knows; the mail itself is not read."""
    rows: list[dict[str, Any]] = []

    def work(spec: AccountSpec) -> bool:
        if not os.path.isdir(spec.store.partition(":")[2]):
            rows.append({"user": spec.user, "mailbox": mailbox, "state": "no mail yet"})
            return True
        with _opened(config, spec) as account:
            for name in _names(account, mailbox):
                header = account.store.folder(name).header()
                head = account.index.mailbox(header.guid).head()
                row: dict[str, Any] = {
                    "user": spec.user,
                    "mailbox": _readable(name),
                    "id": header.guid,
                    "index": spec.index,
                }
                if head is None:
                    row |= {"state": "not indexed"}
                else:
                    row |= {
                        "state": "indexed",
                        "messages": head.messages,
                        "unseen": head.unseen,
                        "size": head.size if not head.size_unknown else None,
                        "uidvalidity": head.uidvalidity,
                        "uidnext": head.uidnext,
                        "highestmodseq": head.highestmodseq,
                        "keywords": list(head.keywords),
                    }
                rows.append(row)
        for path in repair.moved_aside(spec.index):
            complain(f"{spec.user}: a damaged index was moved aside to {path}")
        return True

    code = _each(config, user, work)
    show(rows, ("user", "mailbox", "state", "messages", "unseen", "size", "uidnext", "highestmodseq"), as_json)
    return code


def verify(config: Config, user: str | None, mailbox: str | None, as_json: bool) -> int:
    """Look for damage, each index in a child process; nothing is changed."""
    rows: list[dict[str, Any]] = []

    def work(spec: AccountSpec) -> bool:
        found = verify_environment(spec.index)
        guids = None
        if mailbox is not None:
            with _opened(config, spec) as account:
                guids = {account.store.folder(name).header().guid for name in _names(account, mailbox)}
        problems = _problems(found, guids)
        rows.append(
            {
                "user": spec.user,
                "state": "damaged" if problems else "sound" if found.present else "no index",
                "mailboxes": found.checked,
                "messages": found.messages,
                "rows": found.rows,
                "seconds": round(found.seconds, 2),
                "problems": problems,
                "index": spec.index,
            }
        )
        if not as_json:
            for problem in problems:
                complain(f"{spec.user}: {problem}")
        return not problems

    code = _each(config, user, work)
    show(rows, ("user", "state", "mailboxes", "messages", "rows", "seconds"), as_json)
    return code


def _problems(found: VerifyResult, guids: set[str] | None) -> list[str]:
    """Of the whole, or of some mailboxes; what is wrong with the file as a whole concerns them all."""
    return found.structure + [
        f"mailbox {guid or '-'}: {problem}"
        for guid, problems in found.mailboxes.items()
        if guids is None or guid in guids
        for problem in problems
    ]


def rebuild(config: Config, user: str | None, mailbox: str | None, as_json: bool) -> int:
    """Throw the index, or one mailbox's part of it, away and build it from the mail."""
    rows: list[dict[str, Any]] = []

    def work(spec: AccountSpec) -> bool:
        with _opened(config, spec) as account:
            if mailbox is None:
                repair.discard(spec.index)
            names = _names(account, mailbox)
            for name in names:
                if mailbox is not None:
                    account.index.remove(account.store.folder(name).header().guid)
                counted = account.status(name)
                rows.append(
                    {
                        "user": spec.user,
                        "mailbox": _readable(name),
                        "messages": counted.messages,
                        "unseen": counted.unseen,
                        "uidvalidity": counted.uidvalidity,
                        "uidnext": counted.uidnext,
                    }
                )
        return True

    code = _each(config, user, work)
    show(rows, ("user", "mailbox", "messages", "unseen", "uidvalidity", "uidnext"), as_json)
    return code
