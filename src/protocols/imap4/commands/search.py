"""SEARCH and UID SEARCH (RFC 3501 6.4.4), with ESEARCH (RFC 4731) and the MODSEQ key (RFC 7162 3.1.5).

Rules that keep it right: all numbers, and the mod-sequence that is told with them, come from the one state of the view
that the client knows; sequence numbers outside the mailbox match nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, count

from ....account import search as searching
from ....account.view import View
from ....model.errors import ProtocolFault
from ....model.uids import UidSet
from ...engine import Compute
from .. import render
from ..command import SELECTED, Command, Run
from ..reader import Reader
from ..responses import OK, Esearch, Status
from ..search_keys import SearchProgram, bind, search_program
from ..session import Session
from ..types import SequenceSet

_RESULTS = frozenset((b"MIN", b"MAX", b"ALL", b"COUNT"))


@dataclass(frozen=True, slots=True)
class Search:
    """The arguments; `give` None: the plain SEARCH response."""

    program: SearchProgram
    by_uid: bool
    give: tuple[str, ...] | None


def _parse(reader: Reader, by_uid: bool) -> Search:
    """search = "SEARCH" [SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"] SP search-program"""
    give: tuple[str, ...] | None = None
    if reader.take_word(b"RETURN"):
        reader.sp()

        def option() -> str:
            start = reader.pos
            word = reader.word("MIN, MAX, ALL or COUNT")
            if word not in _RESULTS:
                reader.pos = start
                raise reader.expected("MIN, MAX, ALL or COUNT")
            return word.decode("ascii")

        # RFC 4731 3.1: nothing asked is ALL
        give = tuple(dict.fromkeys(reader.listed(option, "results"))) or ("ALL",)
        reader.sp()
    return Search(search_program(reader), by_uid, give)


def parse(reader: Reader) -> Search:
    """Numbers in the answer are sequence numbers."""
    return _parse(reader, by_uid=False)


def parse_uid(reader: Reader) -> Search:
    """Numbers in the answer are UIDs."""
    return _parse(reader, by_uid=True)


def run(session: Session, search: Search) -> Run:
    """Index first, then portions of the undecided rest in a helper process."""
    view = session.selected
    if search.program.modseq:
        yield from session.enable_condstore()
    yield from session.news(expunges=False)
    key = bind(
        search.program.key,
        numbered=lambda numbers, by_uid: _named(view, numbers, by_uid),
        recent=lambda: _recent(view),
    )
    found = searching.begin(view, key)
    while (job := found.job()) is not None:
        found.add((yield Compute(job)))
    uids = found.uids()
    numbers = uids if search.by_uid else _sequence_numbers(view, uids)
    if search.give is None:
        modseq = _highest(view, uids) if search.program.modseq and uids else None
        yield from render.search(numbers, modseq)
    else:
        yield _esearch(session, view, search, uids, numbers)
    return Status(OK, "Searched")


def _named(view: View, numbers: SequenceSet, by_uid: bool) -> UidSet:
    """The UIDs that a set names; what is not there names nothing, and `*` is the last message (RFC 3501 9)."""
    if not view.exists:
        return UidSet()
    if by_uid:
        return UidSet.of(view.resolve(numbers.runs, by_uid=True))
    runs = []
    for low, high in numbers.runs:
        first, last = sorted(view.exists if number is None else number for number in (low, high))
        if first <= view.exists:
            runs.append((first, min(last, view.exists)))
    try:
        return UidSet.of(view.resolve(runs, by_uid=False))
    except ValueError:
        raise ProtocolFault(f"Sequence numbers go up to {view.exists} here") from None


def _recent(view: View) -> UidSet:
    return UidSet.of(uid for uid in view.uids if view.is_recent(uid)) if view.recent else UidSet()


def _sequence_numbers(view: View, uids: list[int]) -> list[int]:
    """Of UIDs that are in the view, in one walk when they are many."""
    if len(uids) * 16 < view.exists:
        return [seq for seq in map(view.seq_of, uids) if seq is not None]
    return list(compress(count(1), map(frozenset(uids).__contains__, view.uids)))


def _highest(view: View, uids: Sequence[int]) -> int:
    return max((row[3] for row in view.rows(uids)), default=0)


def _esearch(session: Session, view: View, search: Search, uids: list[int], numbers: list[int]) -> Esearch:
    """RFC 4731 3.1; without a match MIN, MAX and ALL are left out."""
    results: list[tuple[str, str]] = []
    give = search.give or ()
    for name in give:
        if name == "COUNT":
            results.append((name, str(len(numbers))))
        elif numbers:
            results.append((name, str({"MIN": numbers[0], "MAX": numbers[-1]}.get(name) or UidSet.of(numbers))))
    if search.program.modseq and uids:
        # RFC 4731 3.2: of the messages that are named, of all when more than MIN and MAX is asked
        named = uids
        if set(give) <= {"MIN", "MAX"}:
            named = [uids[0]] * ("MIN" in give) + [uids[-1]] * ("MAX" in give and (len(uids) > 1 or "MIN" not in give))
        results.append(("MODSEQ", str(_highest(view, named))))
    return Esearch(session.tag, search.by_uid, results)


SEARCH = Command("SEARCH", SELECTED, parse, run, uses_sequence_numbers=True, abandonable=True)
UID_SEARCH = Command("UID SEARCH", SELECTED, parse_uid, run, abandonable=True)
