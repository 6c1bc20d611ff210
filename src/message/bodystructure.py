"""BODY and BODYSTRUCTURE in their IMAP4rev1 form (RFC 3501 7.4.2).

Rules that keep it right:

1. Sizes and line counts are those of the transfer-encoded form with CRLF line ends.
2. A text part without charset says us-ascii, a part without encoding 7bit. A multipart always shows at least one part,
   since the grammar wants one (RFC 3501 9, body-type-mpart).
3. The walk keeps its own stack: depth costs no recursion, and every octet is written once.
"""

from . import mime
from .envelope import render
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
        elif item.is_multipart:
            out.append(b"(")
            pending.append(_multipart_tail(item, extended))
            if item.children:
                pending.extend(reversed(item.children))
            else:
                pending.append(_EMPTY_BODYSTRUCTURE if extended else _EMPTY_BODY)
        elif item.message is not None:
            out.append(b"(%b %b " % (_basic(item), render(item.message.values)))
            pending.append(b" %d%b)" % (item.lines, _extension(item) if extended else b""))
            pending.append(item.message)
        else:
            lines = b" %d" % item.lines if item.content_type[0] == b"text" else b""
            out.append(b"(%b%b%b)" % (_basic(item), lines, _extension(item) if extended else b""))
    return b"".join(out)


def _basic(part: Part) -> bytes:
    """Type, parameters, id, description, encoding and size: what every part that is no multipart begins with."""
    parameters = part.params
    if part.content_type[0] == b"text" and part.param(b"charset") is None:
        parameters = [*parameters, (b"charset", b"us-ascii")]
    found = part.values
    return b"%b %b %b %b %b %b %d" % (
        string(part.written_type[0]),
        string(part.written_type[1]),
        _parameters(parameters),
        nstring(part.id) if b"content-id" in found else b"NIL",
        nstring(part.description) if b"content-description" in found else b"NIL",
        string(part.written_encoding) if b"content-transfer-encoding" in found else b'"7bit"',
        part.body_end - part.body_start,
    )


def _parameters(parameters: mime.Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(%b)" % b" ".join([b"%b %b" % (string(name), string(value)) for name, value in parameters])


def _multipart_tail(part: Part, extended: bool) -> bytes:
    subtype = string(part.written_type[1])
    if not extended:
        return b" %b)" % subtype
    return b" %b %b%b)" % (subtype, _parameters(part.params), _placed(part))


def _extension(part: Part) -> bytes:
    return b" %b%b" % (nstring(part.md5) if b"content-md5" in part.values else b"NIL", _placed(part))


def _placed(part: Part) -> bytes:
    """Disposition, language and location."""
    found = part.values
    shown = part.disposition if b"content-disposition" in found else None
    tags = part.language if b"content-language" in found else None
    return b" %b %b %b" % (
        b"NIL" if shown is None else b"(%b %b)" % (string(shown[0]), _parameters(shown[1])),
        b"(%b)" % b" ".join([string(tag) for tag in tags]) if tags else b"NIL",
        nstring(part.location) if b"content-location" in found else b"NIL",
    )
