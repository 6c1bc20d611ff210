"""LIST (RFC 3501 6.3.8), with LIST-EXTENDED (RFC 5258), CHILDREN (RFC 3348), SPECIAL-USE (RFC 6154) and LIST-STATUS
(RFC 5819).

Rules that keep it right: a mailbox that cannot be selected is \\Noselect to a basic LIST and \\NonExistent to an
extended one; the parent of a mailbox that was selected by RECURSIVEMATCH is named only when that mailbox itself does
not match the patterns (RFC 5258 3.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ....model.account import MailboxInfo
from ....model.errors import MailError, ProtocolFault
from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..list_match import Pattern
from ..reader import Reader
from ..responses import OK, Listed, Status
from ..session import Session
from .status import data, status_items

_SELECTION = frozenset((b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"))
_RETURN = frozenset((b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"STATUS"))
_MOST_PATTERNS = 100


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The arguments; `patterns` with the reference in front."""

    reference: str
    patterns: tuple[str, ...]
    extended: bool = False
    select: frozenset[bytes] = frozenset()
    give: frozenset[bytes] = frozenset()
    status: tuple[str, ...] = ()


def parse(reader: Reader) -> ListQuery:
    """list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]"""
    extended = False
    select: frozenset[bytes] = frozenset()
    if reader.at(b"("):
        extended = True
        select = frozenset(reader.listed(lambda: _option(reader, _SELECTION), "options"))
        # RFC 5258 3: RECURSIVEMATCH modifies another option, and REMOTE is not one of those
        if b"RECURSIVEMATCH" in select and not select & {b"SUBSCRIBED", b"SPECIAL-USE"}:
            raise ProtocolFault("RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE beside it")
        reader.sp()
    reference = reader.list_mailbox()
    reader.sp()
    if reader.at(b"("):
        extended = True
        patterns = reader.listed(reader.list_mailbox, "patterns", _MOST_PATTERNS)
        if not patterns:
            raise reader.expected("a mailbox pattern")
    else:
        patterns = [reader.list_mailbox()]
    give: list[bytes] = []
    status: tuple[str, ...] = ()
    if reader.take(b" ") and not reader.at_end():
        if not reader.take_word(b"RETURN"):
            raise reader.expected("RETURN")
        reader.sp()
        extended = True

        def returned() -> None:
            nonlocal status
            give.append(_option(reader, _RETURN))
            if give[-1] == b"STATUS":
                reader.sp()
                status = status_items(reader)

        reader.listed(returned, "options")
    reader.end()
    return ListQuery(reference, tuple(patterns), extended, select, frozenset(give), status)


def _option(reader: Reader, known: frozenset[bytes]) -> bytes:
    start = reader.pos
    word = reader.word("an option")
    if word not in known:
        reader.pos = start
        raise reader.expected("one of " + ", ".join(sorted(option.decode("ascii") for option in known)))
    return word


def run(session: Session, query: ListQuery) -> Run:
    """One LIST response for each mailbox, its STATUS behind it."""
    account = session.user
    if not query.extended and query.patterns == ("",):
        # RFC 3501 6.3.8: the separator and the root
        yield Listed("", account.separator, ("\\Noselect",))
        return Status(OK, "Listed")
    mailboxes: list[MailboxInfo] = yield Blocking(account.mailboxes, account.key)
    subscribed: frozenset[str] = frozenset()
    if b"SUBSCRIBED" in query.select | query.give:
        subscribed = frozenset((yield Blocking(account.subscriptions, account.key)))
    if query.status and "HIGHESTMODSEQ" in query.status:
        yield from session.enable_condstore()
    known = {info.name: info for info in mailboxes}
    for listed in matching(query, account.separator, known, subscribed):
        yield listed
        info = known.get(listed.name)
        if query.status and info is not None and info.selectable:
            # RFC 5819 2: a mailbox whose status cannot be told has none
            try:
                counters = yield from data(session, listed.name, query.status)
            except MailError:
                continue
            yield counters
    return Status(OK, "Listed")


def matching(
    query: ListQuery, separator: str, known: dict[str, MailboxInfo], subscribed: frozenset[str]
) -> Iterator[Listed]:
    """The LIST responses, in the account's order; names without a mailbox come last."""
    patterns = [Pattern(query.reference + pattern, separator) for pattern in query.patterns]

    def matches(name: str) -> bool:
        return any(pattern.matches(name) for pattern in patterns)

    def chosen(name: str) -> bool:
        info = known.get(name)
        if b"SUBSCRIBED" in query.select and name not in subscribed:
            return False
        return b"SPECIAL-USE" not in query.select or (info is not None and bool(info.special_use))

    names = dict.fromkeys(known)
    if b"SUBSCRIBED" in query.select:
        names.update(dict.fromkeys(sorted(subscribed)))
    childinfo = {}
    if b"RECURSIVEMATCH" in query.select:
        hidden = [name for name in names if chosen(name) and not matches(name)]
        childinfo = dict.fromkeys(parent for name in hidden for parent in _parents(name, separator) if matches(parent))
        names.update(childinfo)
    criteria = tuple(option.decode("ascii") for option in sorted(query.select & {b"SUBSCRIBED", b"SPECIAL-USE"}))
    for name in names:
        if name in childinfo or (chosen(name) and matches(name)):
            attributes = _attributes(query, known.get(name), name in subscribed)
            yield Listed(name, separator, attributes, criteria if name in childinfo else ())


def _parents(name: str, separator: str) -> Iterator[str]:
    place = name.find(separator) if separator else -1
    while place > 0:
        yield name[:place]
        place = name.find(separator, place + 1)


def _attributes(query: ListQuery, info: MailboxInfo | None, subscribed: bool) -> tuple[str, ...]:
    attributes = ["\\Subscribed"] if subscribed else []
    if info is None or not info.selectable:
        attributes.append("\\NonExistent" if query.extended else "\\Noselect")
    if info is not None:
        attributes.append("\\HasChildren" if info.has_children else "\\HasNoChildren")
        attributes.extend(info.special_use)
    return tuple(attributes)


COMMAND = Command("LIST", LOGGED_IN, parse, run, abandonable=True)
