"""What FETCH can ask for: the grammar of its items, and how each is named in the answer.

Rules that keep it right: an item's `name` is what goes out before its value, in upper case, with the field names of a
HEADER.FIELDS section as the client wrote them and the partial's start only (RFC 3501 7.4.2); two items that would
answer the same under the same name are one.
"""

import enum
import re
from dataclasses import dataclass

from ...message.section import Section
from ...message.wire import string
from ...model.errors import Kind, MailError
from ...model.facts import Fact
from ...model.uids import MAX_UID
from .reader import Reader
from .types import Partial

MOST_ITEMS = 200
MOST_FIELDS = 1000
_DEEPEST_PATH = 200

_ATOM = re.compile(rb"[!#$&'+-\[^-z|}~]++").fullmatch
_SECTION_KINDS = ("HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME")


class Column(enum.Enum):
    """Items that the index keeps in columns; the value is the item's name."""

    UID = b"UID"
    FLAGS = b"FLAGS"
    MODSEQ = b"MODSEQ"
    INTERNALDATE = b"INTERNALDATE"
    SIZE = b"RFC822.SIZE"


class Form(enum.Enum):
    """How the octets of a section are given."""

    BODY = "body"
    BINARY = "binary"
    BINARY_SIZE = "binary.size"


@dataclass(frozen=True, slots=True)
class BodyItem:
    """Octets of a message: BODY[…], BINARY[…] and the old RFC822 items."""

    name: bytes
    section: Section
    form: Form = Form.BODY
    partial: Partial | None = None
    peek: bool = False


FetchItem = Column | Fact | BodyItem

FACT_NAMES = {Fact.ENVELOPE: b"ENVELOPE", Fact.BODY: b"BODY", Fact.BODYSTRUCTURE: b"BODYSTRUCTURE"}

_FAST: tuple[FetchItem, ...] = (Column.FLAGS, Column.INTERNALDATE, Column.SIZE)
_MACROS: dict[bytes, tuple[FetchItem, ...]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, Fact.ENVELOPE),
    b"FULL": (*_FAST, Fact.ENVELOPE, Fact.BODY),
}
_PLAIN: dict[bytes, FetchItem] = {
    **{column.value: column for column in Column},
    **{name: fact for fact, name in FACT_NAMES.items()},
    b"RFC822": BodyItem(b"RFC822", Section()),
    b"RFC822.HEADER": BodyItem(b"RFC822.HEADER", Section(kind="HEADER"), peek=True),
    b"RFC822.TEXT": BodyItem(b"RFC822.TEXT", Section(kind="TEXT")),
}
_SECTIONED = {
    b"BODY": (Form.BODY, False),
    b"BODY.PEEK": (Form.BODY, True),
    b"BINARY": (Form.BINARY, False),
    b"BINARY.PEEK": (Form.BINARY, True),
    b"BINARY.SIZE": (Form.BINARY_SIZE, True),
}


def fetch_items(reader: Reader) -> tuple[FetchItem, ...]:
    """("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")"""
    if not reader.at(b"("):
        for name, items in _MACROS.items():
            if reader.take_word(name):
                return items
        return (_item(reader),)
    listed = reader.listed(lambda: _item(reader), "items", MOST_ITEMS)
    if not listed:
        raise reader.expected("a FETCH item")
    return tuple(dict.fromkeys(listed))


def _item(reader: Reader) -> FetchItem:
    """fetch-att"""
    start = reader.pos
    name = reader.word("a FETCH item")
    if reader.at(b"[") and name in _SECTIONED:
        return _sectioned(reader, *_SECTIONED[name])
    item = _PLAIN.get(name)
    if item is None:
        reader.pos = start
        raise reader.expected("a FETCH item")
    return item


def _sectioned(reader: Reader, form: Form, peek: bool) -> BodyItem:
    """section = "[" [section-spec] "]", then ["<" number "." nz-number ">"]"""
    reader.want(b"[", "a section")
    path = _path(reader)
    kind = ""
    written: tuple[bytes, ...] = ()
    # RFC 3516 5: section-binary = "[" [section-part] "]"
    if form is Form.BODY and not reader.at(b"]") and (not path or reader.take(b".")):
        kind, written = _kind(reader, bool(path))
    reader.want(b"]", "a closing bracket")
    partial = None
    if form is not Form.BINARY_SIZE and reader.take(b"<"):
        begin = reader.number("the first octet")
        reader.want(b".", "a dot")
        partial = Partial(begin, reader.number("a length", 1, MAX_UID))
        reader.want(b">", "`>`")
    spec = ".".join(part for part in (".".join(map(str, path)), kind) if part).encode("ascii")
    if kind.startswith("HEADER.FIELDS"):
        spec += b" (%b)" % b" ".join(field if _ATOM(field) else string(field) for field in written)
    label = {Form.BODY: b"BODY", Form.BINARY: b"BINARY", Form.BINARY_SIZE: b"BINARY.SIZE"}[form]
    name = b"%b[%b]" % (label, spec) + (b"<%d>" % partial.start if partial else b"")
    return BodyItem(name, Section(path, kind, tuple(field.lower() for field in written)), form, partial, peek)


def _path(reader: Reader) -> tuple[int, ...]:
    """section-part = nz-number *("." nz-number)"""
    path: list[int] = []
    while reader.text[reader.pos : reader.pos + 1].isdigit():
        path.append(reader.number("a part number", 1))
        if len(path) > _DEEPEST_PATH:
            raise MailError(Kind.LIMIT, f"A section is more than {_DEEPEST_PATH} parts deep")
        if not (reader.at(b".") and reader.text[reader.pos + 1 : reader.pos + 2].isdigit()):
            break
        reader.take(b".")
    return tuple(path)


def _kind(reader: Reader, within: bool) -> tuple[str, tuple[bytes, ...]]:
    """section-text = section-msgtext / "MIME"; MIME needs a part number"""
    start = reader.pos
    kind = reader.word("a section").decode("ascii")
    if kind not in _SECTION_KINDS or (kind == "MIME" and not within):
        reader.pos = start
        raise reader.expected("HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or, after a part number, MIME")
    if not kind.startswith("HEADER.FIELDS"):
        return kind, ()
    reader.sp()
    # header-list = "(" header-fld-name *(SP header-fld-name) ")"
    fields = reader.listed(lambda: reader.astring("a header field name"), "header fields", MOST_FIELDS)
    if not fields:
        raise reader.expected("a header field name")
    return kind, tuple(fields)
