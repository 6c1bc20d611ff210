"""Address lists as real mail has them (RFC 5322 3.4 with its obsolete forms, and what clients get wrong).

Rules that keep it right:

1. What RFC 5322 allows is read as it says. What it does not allow still gives the addresses that a reader would see:
   semicolons between addresses, names with `@`, `.`, `[` or a comma in an encoded word, missing quotes and brackets,
   spaces in a local part, several `@` (the last one counts).
2. An entry without domain or without local part says so with `MISSING_DOMAIN` and `MISSING_MAILBOX`, the words that
   clients know from other servers: a NIL there would mean a group (RFC 3501 7.4.2). Empty entries are left out.
3. Linear on any input: every token is looked at once; a quote or a parenthesis that never closes is found out once and
   then is plain text. At most `MAX_ADDRESSES` entries are given.
"""

import re
from typing import NamedTuple

from .headers import unfold
from .lexical import comment_end, unescape

MAX_ADDRESSES = 10_000
MISSING_DOMAIN = b"MISSING_DOMAIN"
MISSING_MAILBOX = b"MISSING_MAILBOX"

# The usual forms, whole: `Name <local@domain>`, `"Name" <local@domain>`, `local@domain`.
_WORDS = rb"[0-9A-Za-z!#$%&'*+/=?^_`{|}~.-]++"
_USUAL = re.compile(
    rb'[ \t]*+(?:(?:"([^"\\\x00-\x1f\x7f-\xff]*+)"|(%b(?:[ ]%b)*+))?[ \t]?<(%b)@(%b)>|(%b)@(%b))[ \t]*+(?:,|\Z)'
    % ((_WORDS,) * 6)
).match

_OTHER_TOKENS = (
    rb"(?P<word>=\?[^?\s]++\?[BbQq]\?[^?\s<>]*+\?=|[^\x00-\x20()<>@,;:\"\\\[\]\x7f]++)"
    rb"|(?P<literal>\[[^\[\]\\]*+\])"
    rb"|(?P<special>[<>@,;:(])"
    rb"|(?P<space>[ \t\r\n]++)"
    rb"|(?P<junk>.)"
)
_TOKEN = re.compile(rb'(?P<quoted>"(?:[^"\\]++|\\.)*+")|' + _OTHER_TOKENS, re.S).match
_TOKEN_WITHOUT_QUOTES = re.compile(_OTHER_TOKENS, re.S).match


class Address(NamedTuple):
    """One entry of an ENVELOPE's address structure; a group begins with only `mailbox` and ends with nothing."""

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    domain: bytes | None


GROUP_END = Address(None, None, None, None)


def usual(value: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """(name or ``, mailbox, domain) of each entry when the list has only the usual forms, else None: the quick way
    for nearly all mail."""
    found: list[tuple[bytes, bytes, bytes]] = []
    position = 0
    end = len(value)
    while position < end:
        entry = _USUAL(value, position)
        if entry is None or len(found) == MAX_ADDRESSES:
            return None
        quoted, phrase, mailbox, domain, bare_mailbox, bare_domain = entry.groups()
        if bare_mailbox is not None:
            found.append((b"", bare_mailbox, bare_domain))
        else:
            found.append((b" ".join(quoted.split()) if quoted else phrase or b"", mailbox, domain))
        position = entry.end()
    return found


def parse(value: bytes) -> list[Address]:
    """All entries of a raw or unfolded address field."""
    value = unfold(value)
    easy = usual(value)
    if easy is not None:
        return [Address(name or None, None, mailbox, domain) for name, mailbox, domain in easy]
    return _Reader(value).read()


_WORD, _QUOTED_WORD, _AT = range(3)
_Piece = tuple[bool, bytes, int]
"""(white space before it, text, kind) of one word, quoted string or `@`."""


def _joined(pieces: list[_Piece]) -> bytes:
    """The words of a name: white space is one space, and none is needed beside a quoted string."""
    text: list[bytes] = []
    after_quoted = False
    for gap, piece, kind in pieces:
        if text and (gap or after_quoted or kind == _QUOTED_WORD):
            text.append(b" ")
        text.append(piece)
        after_quoted = kind == _QUOTED_WORD
    return b" ".join(b"".join(text).split())


def _split(pieces: list[_Piece]) -> tuple[bytes, bytes]:
    """(local part, domain) at the last `@`."""
    at = max((place for place, piece in enumerate(pieces) if piece[2] == _AT), default=-1)
    if at < 0:
        return _local_part(pieces) or MISSING_MAILBOX, MISSING_DOMAIN
    domain = b"".join(text for _, text, _ in pieces[at + 1 :])
    return _local_part(pieces[:at]) or MISSING_MAILBOX, domain or MISSING_DOMAIN


def _local_part(pieces: list[_Piece]) -> bytes:
    text: list[bytes] = []
    before = b"."
    for gap, piece, kind in pieces:
        # RFC 5322 4.4: white space beside a dot means nothing.
        if gap and not before.endswith((b".", b"@")) and not (kind == _WORD and piece.startswith(b".")) and kind != _AT:
            text.append(b" ")
        text.append(piece)
        before = piece
    return b"".join(text)


def _chunks(pieces: list[_Piece]) -> list[list[_Piece]]:
    """The pieces cut at white space, except beside a dot or an `@`."""
    chunks: list[list[_Piece]] = []
    before: _Piece = (False, b"", _WORD)
    for piece in pieces:
        glued = (
            not piece[0]
            or _AT in (before[2], piece[2])
            or (before[2] == _WORD and before[1].endswith(b"."))
            or (piece[2] == _WORD and piece[1].startswith(b"."))
        )
        if chunks and glued:
            chunks[-1].append(piece)
        else:
            chunks.append([piece])
        before = piece
    return chunks


class _Reader:
    """Reads a list token by token; the entry that is being read is `outside`, `inside` and `comment`."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.found: list[Address] = []
        self.in_group = False
        self._begin()

    def _begin(self, outside: list[_Piece] | None = None) -> None:
        self.outside: list[_Piece] = outside or []
        """What stands before `<`, or the whole entry when there is none."""
        self.inside: list[_Piece] | None = None
        """What stands between `<` and `>`."""
        self.behind: list[_Piece] = []
        """What stands behind `>`."""
        self.route: bytes | None = None
        self.angle_open = False
        self.at_seen = False
        self.comment: bytes | None = None

    def read(self) -> list[Address]:
        value, end = self.value, len(self.value)
        position = 0
        gap = False
        token_at = _TOKEN
        comments_close = True
        while position < end and len(self.found) < MAX_ADDRESSES:
            token = token_at(value, position)
            if token is None:
                break
            kind, text = token.lastgroup, token[0]
            start, position = position, token.end()
            if kind == "space":
                gap = True
                continue
            if kind == "word" or kind == "literal":
                self._add(gap, text, _WORD)
            elif kind == "quoted":
                self._add(gap, unescape(text[1:-1]), _QUOTED_WORD)
            elif text == b"(" and comments_close:
                closed = comment_end(value, start)
                comments_close = closed > 0
                if comments_close:
                    self.comment = unescape(value[start + 1 : closed - 1])
                    position = closed
                    gap = True
                    continue
            elif kind == "special":
                self._special(gap, text)
            elif text == b'"':
                # No quote closes from here on (an escaped one would not open another string).
                token_at = _TOKEN_WITHOUT_QUOTES
            elif text in b"[])":
                self._add(gap, text, _WORD)
            gap = False
        self._finish()
        if self.in_group:
            self.found.append(GROUP_END)
        return self.found[:MAX_ADDRESSES]

    def _add(self, gap: bool, text: bytes, kind: int) -> None:
        if self.angle_open and self.inside is not None:
            self.inside.append((gap, text, kind))
        elif self.inside is not None:
            self.behind.append((gap, text, kind))
        else:
            self.outside.append((gap, text, kind))

    def _special(self, gap: bool, text: bytes) -> None:
        if text == b"@":
            self.at_seen = True
            self._add(gap, text, _AT)
        elif text == b"<":
            if self.inside is not None and not self.angle_open:
                behind = self.behind
                self._finish()
                self._begin(behind)
            self.angle_open = True
            self.inside = self.inside or []
        elif text == b">":
            self.angle_open = False
        elif text == b":":
            self._colon(gap)
        elif text == b"," and self.angle_open and self.inside and self.inside[0][2] == _AT:
            self._add(gap, text, _WORD)  # RFC 5322 4.4: a route, <@one,@two:local@domain>
        elif text in b",;":
            self._finish()
            self._begin()
            if text == b";" and self.in_group:
                self.found.append(GROUP_END)
                self.in_group = False

    def _colon(self, gap: bool) -> None:
        if self.angle_open and self.inside and self.inside[0][2] == _AT and self.route is None:
            self.route = b"".join(text for _, text, _ in self.inside)
            self.inside = []
        elif self.inside is None and not self.in_group and not self.at_seen:
            self.found.append(Address(None, None, _joined(self.outside), None))
            self.in_group = True
            self._begin()
        else:
            self._add(gap, b":", _WORD)

    def _finish(self) -> None:
        """Give the entry that ends here."""
        if self.inside is not None:
            self.found.append(Address(_joined(self.outside) or None, self.route, *_split(self.inside)))
            return
        if not self.outside:
            return
        name = b" ".join((self.comment or b"").split()) or None
        chunks = _chunks(self.outside)
        words: list[_Piece] = []
        given = False
        for chunk in chunks:
            if any(kind == _AT for _, _, kind in chunk):
                self.found.append(Address(_joined(words) or name, None, *_split(chunk)))
                words = []
                given = True
            else:
                words += chunk
        if given:
            return
        if len(chunks) == 1 and not any(gap for gap, _, _ in words[1:]) and words[0][2] == _WORD:
            self.found.append(Address(name, None, *_split(words)))
        else:
            self.found.append(Address(_joined(words), None, MISSING_MAILBOX, MISSING_DOMAIN))
