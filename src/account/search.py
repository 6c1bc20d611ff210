"""Evaluates a search tree over the messages of a view.

What the index knows (flags, UIDs, modseqs, sizes and dates where known) is answered on the reactor, from the one
snapshot that the view has told its client. What needs the text of messages is left as a residual tree, for
`SearchMessages` jobs over those candidates only that the index could not decide.

    found = search.begin(view, key)              # R
    while job := found.job(pid):                 # R; None: all candidates are decided
        found.add(<result of Compute(job)>)      # R
    uids = found.uids()                          # ascending
"""

from typing import TYPE_CHECKING

from ..model.search import SearchKey
from .jobs import SearchMessages

if TYPE_CHECKING:
    from .view import View


class Search:
    """One SEARCH under way."""

    def job(self) -> SearchMessages | None:
        """The next portion of undecided messages; None when there is none left."""
        raise NotImplementedError

    def add(self, matching: list[int]) -> None:
        """The answer to the last job."""
        raise NotImplementedError

    def uids(self) -> list[int]:
        """What was found so far, ascending, without messages that the view no longer has."""
        raise NotImplementedError


def begin(view: "View", key: SearchKey) -> Search:
    """Decide what can be decided without opening a message."""
    raise NotImplementedError


def try_search(view: "View", key: SearchKey) -> list[int] | None:
    """The matching UIDs when the index alone can tell, else None."""
    raise NotImplementedError
