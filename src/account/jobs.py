"""Work that computes: it runs in a helper process, on an account opened there from the job's `spec`.

A job is plain data that can be pickled and covers at most `PORTION` messages, so that long work is fair to others
and can be abandoned between two portions: the protocol loops. `pid` is the worker on whose behalf the job runs: it
finds the files of expunged messages that are still in that worker's views.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..model.account import AccountSpec
from ..model.facts import Fact
from ..model.search import SearchKey
from .fill import fill
from .matching import matches
from .results import Filled

if TYPE_CHECKING:
    from .account import Account

PORTION = 500
"""Messages one job may cover."""

T_co = TypeVar("T_co", covariant=True)


class Job(Protocol[T_co]):
    """Something a helper process can do."""

    @property
    def spec(self) -> AccountSpec:
        """Whose account."""

    def run(self, account: "Account") -> T_co:
        """Do it."""


@dataclass(frozen=True, slots=True)
class FillFacts:
    """Reads each message once and puts what is missing into the index."""

    spec: AccountSpec
    mailbox: str
    mailbox_id: str
    uids: tuple[int, ...]
    facts: frozenset[Fact]
    header_fields: frozenset[bytes]
    """Lower case; used when HEADERS is among `facts`."""
    sizes: bool
    dates: bool
    pid: int

    def run(self, account: "Account") -> Filled:
        """See `Filled`."""
        return fill(account, self)


@dataclass(frozen=True, slots=True)
class SearchMessages:
    """Which of these messages match; made by `search.Search.job`."""

    spec: AccountSpec
    mailbox: str
    mailbox_id: str
    uids: tuple[int, ...]
    key: SearchKey
    pid: int

    def run(self, account: "Account") -> list[int]:
        """Matching UIDs, ascending; a message that cannot be read matches nothing."""
        return matches(account, self)
