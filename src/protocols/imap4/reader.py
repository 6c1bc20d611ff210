"""The tokens of IMAP: one method per ABNF rule that commands share, over the text of one whole command.

Rules that keep it right:

1. A method either consumes its token and returns its value, or raises `ProtocolFault` that says what was expected at
   which octet, and nothing was consumed. Optional things are asked for with `take` and `at`.
2. Every loop over input is a regular expression that cannot backtrack (possessive quantifiers), or is bounded.
3. What comes back is valid: numbers are in range, dates exist, flags are flags. Text is bytes as the client sent them;
   mailbox names are `str` by os.fsdecode, as everywhere inside.

Leniency, where clients need it: 8-bit octets in quoted strings, `]` in atoms where an astring is allowed.
"""

import datetime
import os
import re
from collections.abc import Callable
from typing import TypeVar

from ...model.errors import Kind, MailError, ProtocolFault
from ...model.flags import MAX_KEYWORD_LENGTH, SYSTEM_BITS
from ...model.uids import MAX_MODSEQ, MAX_UID
from .types import FlagList, SequenceSet

T = TypeVar("T")

# RFC 3501 9; atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials
_ATOM = re.compile(rb"[!#$&'+-\[^-z|}~]++")
# ASTRING-CHAR = ATOM-CHAR / resp-specials
_ASTRING_ATOM = re.compile(rb"[!#$&'+-\[\]^-z|}~]++")
# list-char = ATOM-CHAR / list-wildcards / resp-specials
_LIST_ATOM = re.compile(rb"[!#$&'*-\[\]^-z|}~%]++")
# tag = 1*<any ASTRING-CHAR except "+">
TAG = re.compile(rb"[!#$&'\-,./-\[\]^-z|}~]{1,256}+")
_WORD = re.compile(rb"[A-Za-z0-9.\-=+]++")
# quoted = DQUOTE *QUOTED-CHAR DQUOTE
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0]++|\\["\\])*+)"')
_ESCAPE = re.compile(rb'\\(["\\])')
# literal = "{" number "}" CRLF *CHAR8; RFC 7888 "+"; RFC 3516 "~"
_LITERAL = re.compile(rb"~?\{(\d{1,20})\+?\}\r\n")
_DIGITS = re.compile(rb"\d{1,20}+")
# sequence-set = (seq-number / seq-range) *("," sequence-set)
_RANGE = rb"(?:[1-9]\d{0,9}+|\*)(?::(?:[1-9]\d{0,9}+|\*))?"
_SEQUENCE_SET = re.compile(rb"%b(?:,%b)*+" % (_RANGE, _RANGE))
# flag = "\" atom / flag-keyword
_FLAG = re.compile(rb"\\?[!#$&'+-\[^-z|}~]++")
# date-text = date-day "-" date-month "-" date-year
_DATE = re.compile(rb"(\d{1,2})-([A-Za-z]{3})-(\d{4})(?!\d)")
_MONTHS = {name: number for number, name in enumerate(
    (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1)}

_MOST_RANGES = 20_000
"""Ranges in one sequence set."""


class Reader:
    """A cursor over one command's text, literals inline."""

    __slots__ = ("pos", "text")

    def __init__(self, text: bytes, pos: int = 0) -> None:
        self.text = text
        self.pos = pos

    # --- faults and fixed tokens ------------------------------------------------------------------------------------

    def expected(self, what: str) -> ProtocolFault:
        """The fault to raise: something else stands here."""
        here = "the end of the command" if self.pos >= len(self.text) else f"octet {self.pos + 1}"
        return ProtocolFault(f"Expected {what} at {here}")

    def _match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        match = pattern.match(self.text, self.pos)
        if match is None:
            raise self.expected(what)
        self.pos = match.end()
        return match

    def at(self, token: bytes) -> bool:
        """The text goes on with `token`."""
        return self.text.startswith(token, self.pos)

    def at_end(self) -> bool:
        """Nothing is left."""
        return self.pos >= len(self.text)

    def take(self, token: bytes) -> bool:
        """Skip `token` if it is there."""
        if self.text.startswith(token, self.pos):
            self.pos += len(token)
            return True
        return False

    def want(self, token: bytes, what: str) -> None:
        """Skip `token`, which must be there."""
        if not self.take(token):
            raise self.expected(what)

    def sp(self) -> None:
        """SP"""
        self.want(b" ", "a space")

    def end(self) -> None:
        """The command is over; blanks that some clients leave there are forgiven."""
        while self.take(b" "):
            pass
        if self.pos < len(self.text):
            raise self.expected("the end of the command")

    def word(self, what: str) -> bytes:
        """A keyword of the protocol, in upper case."""
        return self._match(_WORD, what)[0].upper()

    def take_word(self, word: bytes) -> bool:
        """Skip this keyword (given in upper case) if it is there, whole."""
        match = _WORD.match(self.text, self.pos)
        if match is None or match[0].upper() != word:
            return False
        self.pos = match.end()
        return True

    def listed(self, item: Callable[[], T], what: str, most: int = 1000) -> list[T]:
        """"(" [item *(SP item)] ")" """
        self.want(b"(", f"a parenthesised list of {what}")
        items: list[T] = []
        if self.take(b")"):
            return items
        while True:
            items.append(item())
            if self.take(b")"):
                return items
            if len(items) >= most:
                raise MailError(Kind.LIMIT, f"More than {most} {what}")
            self.want(b" ", "a space or a closing parenthesis")

    # --- strings ----------------------------------------------------------------------------------------------------

    def atom(self, what: str = "an atom") -> bytes:
        """atom = 1*ATOM-CHAR"""
        return self._match(_ATOM, what)[0]

    def string(self, what: str = "a string") -> bytes:
        """string = quoted / literal"""
        match = _QUOTED.match(self.text, self.pos)
        if match is not None:
            self.pos = match.end()
            value = match[1]
            return _ESCAPE.sub(rb"\1", value) if b"\\" in value else value
        match = _LITERAL.match(self.text, self.pos)
        if match is None:
            raise self.expected(what)
        end = match.end() + int(match[1])
        if end > len(self.text):
            raise self.expected(what)
        value = self.text[match.end() : end]
        if b"\0" in value:
            raise ProtocolFault(f"{what} cannot hold NUL".capitalize())
        self.pos = end
        return value

    def astring(self, what: str = "an astring") -> bytes:
        """astring = 1*ASTRING-CHAR / string"""
        match = _ASTRING_ATOM.match(self.text, self.pos)
        if match is None:
            return self.string(what)
        self.pos = match.end()
        return match[0]

    def nstring(self, what: str = "a string or NIL") -> bytes | None:
        """nstring = string / nil"""
        if self.text[self.pos : self.pos + 3].upper() == b"NIL":
            self.pos += 3
            return None
        return self.string(what)

    def mailbox(self) -> str:
        """mailbox = "INBOX" / astring"""
        name = self.astring("a mailbox name")
        return "INBOX" if name.upper() == b"INBOX" else os.fsdecode(name)

    def list_mailbox(self) -> str:
        """list-mailbox = 1*list-char / string"""
        match = _LIST_ATOM.match(self.text, self.pos)
        if match is None:
            return os.fsdecode(self.string("a mailbox pattern"))
        self.pos = match.end()
        return os.fsdecode(match[0])

    # --- numbers and sets -------------------------------------------------------------------------------------------

    def number(self, what: str = "a number", low: int = 0, high: int = MAX_UID) -> int:
        """number = 1*DIGIT, unsigned 32-bit unless said otherwise"""
        start = self.pos
        value = int(self._match(_DIGITS, what)[0])
        if not low <= value <= high:
            self.pos = start
            raise self.expected(f"{what} from {low} to {high}")
        return value

    def modseq(self, what: str = "a mod-sequence") -> int:
        """mod-sequence-valzer = "0" / mod-sequence-value (RFC 7162 7)"""
        return self.number(what, 0, MAX_MODSEQ)

    def sequence_set(self, what: str = "a sequence set") -> SequenceSet:
        """sequence-set"""
        start = self.pos
        text = self._match(_SEQUENCE_SET, what)[0]
        if text.count(b",") >= _MOST_RANGES:
            raise MailError(Kind.LIMIT, f"More than {_MOST_RANGES} ranges in a set")
        runs: list[tuple[int | None, int | None]] = []
        for part in text.split(b","):
            low, colon, high = part.partition(b":")
            first = None if low == b"*" else int(low)
            last = first if not colon else None if high == b"*" else int(high)
            if (first or 0) > MAX_UID or (last or 0) > MAX_UID:
                self.pos = start
                raise self.expected(f"{what} of numbers up to {MAX_UID}")
            runs.append((first, last))
        return SequenceSet(tuple(runs))

    # --- flags and dates --------------------------------------------------------------------------------------------

    def flag(self) -> bytes:
        """flag"""
        return self._match(_FLAG, "a flag")[0]

    def flags(self, names: list[bytes]) -> FlagList:
        """The meaning of flag names; \\Recent cannot be changed and is left out (RFC 3501 2.3.2)."""
        system = 0
        keywords: dict[str, str] = {}
        for name in names:
            text = name.decode("ascii")
            if name.startswith(b"\\"):
                bit = SYSTEM_BITS.get(text.lower())
                if bit is not None:
                    system |= bit
                elif text.lower() != "\\recent":
                    raise ProtocolFault(f"There is no system flag {text[:40]}")
            else:
                if len(text) > MAX_KEYWORD_LENGTH:
                    raise MailError(Kind.LIMIT, f"A keyword is longer than {MAX_KEYWORD_LENGTH} octets")
                keywords.setdefault(text.lower(), text)
        return FlagList(system, tuple(keywords.values()))

    def flag_list(self) -> FlagList:
        """flag-list = "(" [flag *(SP flag)] ")" """
        return self.flags(self.listed(self.flag, "flags"))

    def date(self) -> datetime.date:
        """date = date-text / DQUOTE date-text DQUOTE"""
        start = self.pos
        quoted = self.take(b'"')
        match = _DATE.match(self.text, self.pos)
        month = _MONTHS.get(match[2].lower()) if match else None
        if match is not None and month is not None:
            try:
                day = datetime.date(int(match[3]), month, int(match[1]))
            except ValueError:
                pass
            else:
                self.pos = match.end()
                if not quoted or self.take(b'"'):
                    return day
        self.pos = start
        raise self.expected("a date like 1-Feb-2003")
