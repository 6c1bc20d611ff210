"""The texts of a message that a search looks into, decoded.

`texts` gives the body: each text part through its transfer encoding and charset, embedded messages' headers, the
machine-readable parts of reports, which are text too, and the names of attachments. `part_headers` gives what else
lies in the body, the MIME headers of the parts, which only TEXT looks into: in nearly every message they say `text`.
`header_text` gives a whole header, `field_texts` one field.
Addresses are found as they were written and also in their plain form: `<user (comment) @ example.org>` is found by
user@example.org.
"""

from collections.abc import Iterator

from . import addresses, charset, mime, transfer
from .encoded_words import decode_header
from .headers import scan, unfold
from .parts import Part

ADDRESS_FIELDS = frozenset({
    b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc",
    b"resent-from", b"resent-sender", b"resent-to", b"resent-cc", b"resent-bcc", b"resent-reply-to",
})  # fmt: skip


def texts(data: bytes, root: Part) -> Iterator[str]:
    """The decoded texts of the body, in message order."""
    for part in root.walk():
        if part is not root and (name := part_name(part)):
            yield name
        if part.message is not None:
            message = part.message
            yield header_text(data[message.header_start : message.body_start])
        elif part.content_type[0] in (b"text", b"message") and not part.is_multipart:
            yield part_text(data, part)


def part_headers(data: bytes, root: Part) -> Iterator[str]:
    """The MIME headers of the parts; embedded messages' own headers are among `texts`."""
    embedded = {part.message for part in root.walk()}
    for part in root.walk():
        if part is not root and part not in embedded:
            yield header_text(data[part.header_start : part.body_start])


def part_name(part: Part) -> str:
    """The file name that a part has, decoded; `` without one."""
    disposition = part.header.disposition
    for parameters, wanted in ((disposition[1] if disposition else (), b"filename"), (part.header.params, b"name")):
        named = {name.lower(): value for name, value in parameters}
        if wanted + b"*" in named:
            value = named[wanted + b"*"]
            return charset.decode(mime.plain_value(value), value.partition(b"'")[0].decode("latin-1"))
        if wanted in named:
            return decode_header(named[wanted])
    return ""


def part_text(data: bytes, part: Part) -> str:
    """One part's content as text."""
    content = transfer.decode(data[part.body_start : part.body_end], part.encoding)
    name = part.header.param(b"charset")
    return charset.guess(content) if name is None else charset.decode(content, name.decode("latin-1"))


def header_text(header: bytes) -> str:
    """All fields of a header, decoded, one a line."""
    lines: list[str] = []
    for raw, name in scan(header):
        value = raw.partition(b":")[2]
        lines += [f"{name.decode('latin-1')}: {text}" for text in _texts(name.lower(), value)]
    return "\n".join(lines)


def field_texts(header: bytes, name: str) -> list[str]:
    """The decoded values of the fields of that name, each in every form in which it is found."""
    wanted = name.lower().encode("utf-8", "replace")
    found: list[str] = []
    for raw, written in scan(header):
        if written.lower() == wanted:
            found += _texts(wanted, raw.partition(b":")[2])
    return found


def _texts(name: bytes, raw: bytes) -> list[str]:
    text = decode_header(raw)
    if name not in ADDRESS_FIELDS:
        return [text]
    value = unfold(raw)
    if addresses.usual(value) is not None:
        return [text]
    # What the usual forms do not show as it is meant: comments inside, quoted words, white space around dots.
    plain = ", ".join(_plain(address) for address in addresses.parse(value) if address is not addresses.GROUP_END)
    return [text] if plain == text else [text, plain]


def _plain(address: addresses.Address) -> str:
    if address.domain is None:
        return decode_header(address.mailbox or b"") + ":"
    mailbox = decode_header((address.mailbox or b"") + b"@" + address.domain)
    return mailbox if address.name is None else f"{decode_header(address.name)} <{mailbox}>"
