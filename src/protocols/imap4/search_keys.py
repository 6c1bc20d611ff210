"""The grammar of SEARCH keys (RFC 3501 6.4.4, RFC 7162 3.1.5), giving the account's search tree.

Rules that keep it right:

1. What depends on the session is left open while parsing: a sequence set and \\Recent become `InView` nodes, and
   `bind` puts UIDs in their place once the view is known.
2. Depth and number of keys are bounded here, so that whatever walks the tree may recurse.
3. Text is decoded with the command's charset before it enters the tree; without one it is UTF-8 where it is valid.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from ...message import charset as charsets
from ...model import flags
from ...model.errors import Kind, MailError, ProtocolFault
from ...model.search import (
    All,
    And,
    AnyText,
    BodyText,
    DateField,
    DateTest,
    HasFlags,
    HasKeyword,
    HeaderText,
    InUids,
    Larger,
    ModseqFrom,
    Not,
    OnDate,
    Or,
    SearchKey,
    Smaller,
)
from ...model.uids import MAX_MODSEQ, UidSet
from .reader import Reader
from .types import SequenceSet

MOST_KEYS = 1000
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class InView:
    """Messages that only the session can name: by sequence numbers, by UIDs with `*`, or (no set) with \\Recent."""

    numbers: SequenceSet | None
    by_uid: bool = False


Leaf = SearchKey | InView


@dataclass(frozen=True, slots=True)
class OpenNot:
    """Not, of a key that may hold InView."""

    key: "OpenKey"


@dataclass(frozen=True, slots=True)
class OpenAnd:
    """And, the same."""

    keys: tuple["OpenKey", ...]


@dataclass(frozen=True, slots=True)
class OpenOr:
    """Or, the same."""

    keys: tuple["OpenKey", ...]


OpenKey = Leaf | OpenNot | OpenAnd | OpenOr

RECENT = InView(None)
UNSEEN = Not(HasFlags(flags.SEEN))

_FLAG_KEYS: dict[bytes, OpenKey] = {
    b"ALL": All(),
    b"RECENT": RECENT,
    b"NEW": OpenAnd((RECENT, UNSEEN)),
    b"OLD": OpenNot(RECENT),
}
for _bit, _name in flags.SYSTEM_NAMES.items():
    _word = _name[1:].upper().encode("ascii")
    _FLAG_KEYS[_word] = HasFlags(_bit)
    _FLAG_KEYS[b"UN" + _word] = Not(HasFlags(_bit))

_HEADER_KEYS = frozenset((b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO"))
_DATE_KEYS = {
    prefix + test.name.encode("ascii"): (field, test)
    for prefix, field in ((b"", DateField.INTERNAL), (b"SENT", DateField.SENT))
    for test in DateTest
}


@dataclass(frozen=True, slots=True)
class SearchProgram:
    """A parsed search-program."""

    key: OpenKey
    modseq: bool
    """A MODSEQ key occurs: the answer tells the highest mod-sequence (RFC 7162 3.1.5)."""


def search_program(reader: Reader) -> SearchProgram:
    """["CHARSET" SP astring SP] search-key *(SP search-key)"""
    charset = None
    if reader.take_word(b"CHARSET"):
        reader.sp()
        charset = _charset(reader.astring("a charset name"))
        reader.sp()
    grammar = _Grammar(reader, charset)
    key = grammar.all_of(reader.at_end, 1)
    return SearchProgram(key, grammar.modseq)


def _charset(name: bytes) -> str:
    text = name.decode("ascii", "replace")
    if not charsets.is_known(text):
        raise MailError(Kind.BADCHARSET, "That charset is not known here")
    return text


class _Grammar:
    """One parse."""

    def __init__(self, reader: Reader, charset: str | None) -> None:
        self.reader = reader
        self.charset = charset
        self.count = 0
        self.modseq = False

    def all_of(self, over: Callable[[], bool], depth: int) -> OpenKey:
        """search-key *(SP search-key)"""
        keys = [self.key(depth)]
        while not over():
            self.reader.sp()
            if self.reader.at_end():  # a blank at the end, as some clients send
                break
            keys.append(self.key(depth))
        return keys[0] if len(keys) == 1 else OpenAnd(tuple(keys))

    def key(self, depth: int) -> OpenKey:
        """search-key"""
        reader = self.reader
        self.count += 1
        if self.count > MOST_KEYS or depth > DEEPEST:
            raise MailError(Kind.LIMIT, f"More than {MOST_KEYS} search keys, or nested deeper than {DEEPEST}")
        if reader.take(b"("):
            inner = self.all_of(lambda: reader.at(b")"), depth + 1)
            reader.want(b")", "a closing parenthesis")
            return inner
        if reader.text[reader.pos : reader.pos + 1].isdigit() or reader.at(b"*"):
            return InView(reader.sequence_set())
        start = reader.pos
        name = reader.word("a search key")
        fixed = _FLAG_KEYS.get(name)
        if fixed is not None:
            return fixed
        if name == b"NOT":
            reader.sp()
            return OpenNot(self.key(depth + 1))
        if name == b"OR":
            reader.sp()
            left = self.key(depth + 1)
            reader.sp()
            return OpenOr((left, self.key(depth + 1)))
        with_argument = self.with_argument(name)
        if with_argument is None:
            reader.pos = start
            raise reader.expected("a search key")
        return with_argument

    def with_argument(self, name: bytes) -> OpenKey | None:
        """The keys that take a value; None: there is no such key."""
        reader = self.reader
        if name in _HEADER_KEYS:
            return HeaderText(name.decode("ascii").lower(), self.text())
        if name in _DATE_KEYS:
            return OnDate(*_DATE_KEYS[name], self.date())
        match name:
            case b"BODY":
                return BodyText(self.text())
            case b"TEXT":
                return AnyText(self.text())
            case b"HEADER":
                reader.sp()
                field = reader.astring("a header field name").decode("ascii", "replace").lower()
                return HeaderText(field, self.text())
            case b"KEYWORD" | b"UNKEYWORD":
                reader.sp()
                key = HasKeyword(reader.atom("a keyword").decode("ascii"))
                return key if name == b"KEYWORD" else Not(key)
            case b"LARGER" | b"SMALLER":
                reader.sp()
                # 64 bits, as RFC 9051 has it: a mailbox may hold what 32 cannot count
                size = reader.number("a number", 0, MAX_MODSEQ)
                return Larger(size) if name == b"LARGER" else Smaller(size)
            case b"UID":
                reader.sp()
                return InView(reader.sequence_set("a set of UIDs"), by_uid=True)
            case b"MODSEQ":
                return self.modseq_from()
        return None

    def text(self) -> str:
        """SP astring, decoded"""
        self.reader.sp()
        value = self.reader.astring("the text to search for")
        if self.charset is None:
            return charsets.guess(value)
        text = charsets.decode(value, self.charset)
        if "\ufffd" in text:
            raise ProtocolFault("The text to search for is not valid in its charset")
        return text

    def date(self) -> datetime.date:
        """SP date"""
        self.reader.sp()
        return self.reader.date()

    def modseq_from(self) -> OpenKey:
        """MODSEQ [SP entry-name SP entry-type-req] SP mod-sequence-valzer; all flags share one mod-sequence here"""
        reader = self.reader
        reader.sp()
        if reader.at(b'"'):
            reader.string("an entry name")
            reader.sp()
            kind = reader.word("all, priv or shared")
            if kind not in (b"ALL", b"PRIV", b"SHARED"):
                raise ProtocolFault("Expected all, priv or shared as an entry type")
            reader.sp()
        self.modseq = True
        return ModseqFrom(reader.modseq())


def bind(key: OpenKey, numbered: Callable[[SequenceSet, bool], UidSet], recent: Callable[[], UidSet]) -> SearchKey:
    """The account's tree, with the session's UIDs in it. Depth is bounded by the grammar."""
    match key:
        case InView(numbers=None):
            return InUids(recent())
        case InView(numbers=SequenceSet() as numbers, by_uid=by_uid):
            return InUids(numbered(numbers, by_uid))
        case OpenNot(inner):
            return Not(bind(inner, numbered, recent))
        case OpenAnd(keys):
            return And(tuple(bind(part, numbered, recent) for part in keys))
        case OpenOr(keys):
            return Or(tuple(bind(part, numbered, recent) for part in keys))
    return key  # type: ignore[return-value]  # every other node is a SearchKey already
