"""An index in a temporary folder, with a clock that a test moves."""

import dataclasses
from collections.abc import Iterator

import pytest

from culverhouse.index.account import AccountIndex
from culverhouse.index.env import Environments
from culverhouse.index.mailbox import MailboxIndex
from culverhouse.index.records import Added, Changed, Merge, Merged
from culverhouse.model.store import FolderHeader

GUID = "0123456789abcdef0123456789abcdef"
HIGH = 1 << 62
"""A ceiling that no test reaches."""


@dataclasses.dataclass
class Clock:
    """Microseconds since 1970."""

    now: int = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


class Bench:
    """One account's index and one mailbox in it."""

    guid = GUID
    high = HIGH

    def __init__(self, path: str) -> None:
        self.path = path
        self.clock = Clock()
        self.environments = Environments(map_size=1 << 28)
        self.account = AccountIndex(path, self.environments, self.clock)
        self.box = self.account.mailbox(GUID)

    def create(self, ceiling: int = 0, box: MailboxIndex | None = None) -> None:
        box = box or self.box
        box.create(FolderHeader(uidvalidity=7, uidnext=1, guid=box.guid), ceiling)

    def add(self, *uids: int, flags: int = 0, recent: bool = False, size: int | None = 100) -> Merged:
        return self.box.merge(Merge(ceiling=HIGH, added=[
            Added(uid, locator(uid), flags, recent, size, size, None if size is None else 1000 + uid) for uid in uids
        ]))  # fmt: skip

    @staticmethod
    def locator(uid: int, suffix: bytes = b"") -> bytes:
        return locator(uid, suffix)

    def flag(self, uid: int, flags: int, **more: bytes) -> Merged:
        return self.box.merge(Merge(changed=[Changed(uid, locator(uid), flags, **more)]))

    def vanish(self, *uids: int) -> Merged:
        return self.box.merge(Merge(vanished=uids))

    def forget(self) -> MailboxIndex:
        """The same mailbox as another process would see it: nothing remembered."""
        return self.account.mailbox(GUID)


def locator(uid: int, suffix: bytes = b"") -> bytes:
    return b"%d.M1P1.host:2," % (1_700_000_000 + uid) + suffix


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(str(tmp_path_factory.mktemp("index") / "user"))
    yield made
    made.environments.close()
