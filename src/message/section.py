"""BODY[section] and BINARY[section] of a message (RFC 3501 6.4.5, RFC 3516 4).

Rules that keep it right:

1. Part numbers go through multiparts and through embedded messages; part 1 of a message that is no multipart is its
   body (and for message/rfc822 the embedded message, so that a number behind it goes on inside).
2. HEADER, HEADER.FIELDS and TEXT with a number want an embedded message; MIME wants a number. What is not there is
   None, which a protocol shows as NIL.
3. HEADER and MIME are the octets of the message, with its blank line when it has one; a subset of fields always ends
   with a blank line, also when no field was found (RFC 3501 6.4.5).
4. BINARY decodes leaves only. Damaged content gives what can be decoded; an encoding that nobody knows is the one
   failure (RFC 3516 4.3).
"""

from dataclasses import dataclass

from ..model.errors import Kind, MailError
from . import transfer
from .headers import field_block
from .parts import Part


@dataclass(frozen=True, slots=True)
class Section:
    """What a client named between the brackets."""

    path: tuple[int, ...] = ()
    kind: str = ""
    """``, HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME."""
    fields: tuple[bytes, ...] = ()
    """Lower-case field names."""


def find(root: Part, path: tuple[int, ...]) -> Part | None:
    """The part with these numbers; a message's root for ()."""
    part = root
    message = root
    """The message whose parts the next number counts, when `part` is its root."""
    at_root = True
    for number in path:
        if number < 1:
            return None
        if not at_root and part.message is not None:
            message = part = part.message
            at_root = True
        if part.is_multipart:
            if number > len(part.children):
                return None
            part = part.children[number - 1]
            at_root = False
        elif at_root and number == 1 and part is message:
            # The only part of a message that is no multipart: its body.
            at_root = False
        else:
            return None
    return part


def extract(data: bytes, root: Part, section: Section) -> bytes | None:
    """The section's octets, None when the message has no such section."""
    if not section.path:
        return _of_message(data, root, section, 0, root.body_end)
    part = find(root, section.path)
    if part is None:
        return None
    if section.kind == "":
        return data[part.body_start : part.body_end]
    if section.kind == "MIME":
        return data[part.header_start : part.body_start]
    if part.message is None:
        return None
    return _of_message(data, part.message, section, part.body_start, part.body_end)


def _of_message(data: bytes, message: Part, section: Section, start: int, end: int) -> bytes | None:
    kind = section.kind
    if kind == "":
        return data[start:end]
    if kind == "TEXT":
        return data[message.body_start : end]
    header = data[message.header_start : message.body_start]
    if kind == "HEADER":
        return header
    if kind in ("HEADER.FIELDS", "HEADER.FIELDS.NOT"):
        return field_block(header, frozenset(section.fields), exclude=kind == "HEADER.FIELDS.NOT") + b"\r\n"
    return None


def binary(data: bytes, root: Part, path: tuple[int, ...]) -> bytes | None:
    """The decoded content of a part; None when there is none. MailError(UNKNOWN_CTE) when it cannot be decoded."""
    if not path:
        return data
    part = find(root, path)
    if part is None:
        return None
    content = data[part.body_start : part.body_end]
    if part.is_multipart or part.message is not None:
        return content
    encoding = part.encoding
    if not transfer.known(encoding):
        raise MailError(Kind.UNKNOWN_CTE, "the part has a Content-Transfer-Encoding that is not known")
    return transfer.decode(content, encoding)
