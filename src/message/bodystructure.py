"""BODY and BODYSTRUCTURE in their IMAP4rev1 form (RFC 3501 7.4.2).

Rules that keep it right:

1. Sizes and line counts are those of the transfer-encoded form with CRLF line ends.
2. A text part without charset says us-ascii, a part without encoding 7bit. A multipart always shows at least one part,
   since the grammar wants one (RFC 3501 9, body-type-mpart).
3. The walk keeps its own stack: depth costs no recursion, and every octet is written once.
"""

from . import mime
from .envelope import render
from .part_header import PartHeader
from .parts import Part
from .wire import nstring, string

_EMPTY_BODY = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)'
_EMPTY_BODYSTRUCTURE = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)'


def body(part: Part, data: bytes) -> bytes:
    """The structure without extension data."""
    return _structure(part, extended=False)


def bodystructure(part: Part, data: bytes) -> bytes:
    """The structure with MD5, disposition, language and location."""
    return _structure(part, extended=True)


def _structure(root: Part, extended: bool) -> bytes:
    out: list[bytes] = []
    pending: list[Part | bytes] = [root]
    while pending:
        item = pending.pop()
        if isinstance(item, bytes):
            out.append(item)
            continue
        header = item.header
        if header.is_multipart:
            out.append(b"(")
            pending.append(_multipart_tail(header, extended))
            if item.children:
                pending.extend(reversed(item.children))
            else:
                pending.append(_EMPTY_BODYSTRUCTURE if extended else _EMPTY_BODY)
            continue
        before, behind = header.shown or _show(header)
        if not extended:
            behind = b")"
        size = item.body_end - item.body_start
        if item.message is not None:
            out.append(b"%b%d %b " % (before, size, render(item.message.header.values)))
            pending.append(b" %d%b" % (item.lines, behind))
            pending.append(item.message)
        elif header.content_type[0] == b"text":
            out.append(b"%b%d %d%b" % (before, size, item.lines, behind))
        else:
            out.append(b"%b%d%b" % (before, size, behind))
    return b"".join(out)


def _show(header: PartHeader) -> tuple[bytes, bytes]:
    """What is shown of a part that is no multipart, before its size and (in BODYSTRUCTURE) at its end."""
    parameters = header.params
    if header.content_type[0] == b"text" and header.param(b"charset") is None:
        parameters = (*parameters, (b"charset", b"us-ascii"))
    before = b"(%b %b %b %b %b %b " % (
        string(header.written_type[0]),
        string(header.written_type[1]),
        _parameters(parameters),
        nstring(header.text_of(b"content-id")),
        nstring(header.text_of(b"content-description")),
        string(header.written_encoding),
    )
    header.shown = before, b" %b%b)" % (nstring(header.text_of(b"content-md5")), _placed(header))
    return header.shown


def _parameters(parameters: mime.Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name), string(value)) for name, value in parameters])


def _multipart_tail(header: PartHeader, extended: bool) -> bytes:
    subtype = string(header.written_type[1])
    if not extended:
        return b" %b)" % subtype
    return b" %b %b%b)" % (subtype, _parameters(header.params), _placed(header))


def _placed(header: PartHeader) -> bytes:
    """Disposition, language and location."""
    disposition = header.disposition
    tags = header.language
    return b" %b %b %b" % (
        b"NIL" if disposition is None else b"(%b %b)" % (string(disposition[0]), _parameters(disposition[1])),
        b"(%b)" % b" ".join([string(tag) for tag in tags]) if tags else b"NIL",
        nstring(header.text_of(b"content-location")),
    )
