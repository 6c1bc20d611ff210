"""Accounts over a real Maildir and a real index in a temporary directory."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from culverhouse.account.account import Account
from culverhouse.account.results import NewMessage
from culverhouse.index.env import Environments
from culverhouse.model.account import AccountSpec, DefaultMailbox

SENT = DefaultMailbox("Sent", "\\Sent")


class Place:
    """One user's directory, and what tests do in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environments = Environments()
        self.spec = AccountSpec("user", f"maildir:{root}/Maildir", "maildir++", "/", "", f"{root}/index/user", (SENT,))
        self.opened: list[Account] = []
        self.count = 0

    def open(self, worker: int = 0) -> Account:
        """Another worker's account; worker 1 answers for the parent process, which lives as long as this one."""
        account = Account(self.spec, None, None, self.environments)
        if worker:
            account.viewers.pid = os.getppid()
        account.prepare()
        self.opened.append(account)
        return account

    def folder(self, name: str = "INBOX") -> Path:
        """A mailbox's directory."""
        return self.root / "Maildir" / ("" if name == "INBOX" else "." + name.replace("/", "."))

    def deliver(self, name: str = "INBOX", content: bytes = b"Subject: x\n\nx\n", flags: str | None = None) -> Path:
        """What an MTA does; with `flags`, what mbsync does."""
        self.count += 1
        base = f"{1700000000 + self.count}.M{self.count}P1.elsewhere"
        path = self.folder(name) / (f"new/{base}" if flags is None else f"cur/{base}:2,{flags}")
        path.write_bytes(content)
        return path

    def age(self, name: str = "INBOX") -> None:
        """As if nothing had changed in the mailbox for a long time."""
        self.count += 1
        for path in (*self.folder(name).iterdir(), self.folder(name)):
            os.utime(path, (1_600_000_000 + self.count, 1_600_000_000 + self.count))

    def files(self, name: str = "INBOX") -> list[str]:
        """Names in new/ (with that prefix) and cur/."""
        folder = self.folder(name)
        return sorted([*os.listdir(folder / "cur"), *("new/" + one for one in os.listdir(folder / "new"))])


def put(
    account: Account, name: str, *contents: bytes, flags: int = 0, keywords: tuple[str, ...] = (),
    internaldate: int | None = None,
) -> list[int]:  # fmt: skip
    """Append; the UIDs."""
    messages = []
    for content in contents:
        spool = account.spool(name)
        spool.write(content)
        spool.finish()
        messages.append(NewMessage(spool, flags, keywords, internaldate))
    return account.append(name, messages).uids


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for account in made.opened:
        account.release()
    made.environments.close()


@pytest.fixture
def account(place: Place) -> Account:
    return place.open()


Wake = Callable[[], None]


def nobody() -> None:
    """A session that does not listen."""
