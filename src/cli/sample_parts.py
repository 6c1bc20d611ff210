"""MIME parts for the sample mail: texts, attachments and multiparts as octets with LF line ends."""

import base64
import quopri
from dataclasses import dataclass
from email.header import Header

from .sample_texts import Person


@dataclass(frozen=True, slots=True)
class Body:
    """A MIME part: its own header fields and its content, encoded."""

    fields: tuple[str, ...]
    content: bytes


def word(value: str, charset: str = "utf-8") -> str:
    """A header value, with encoded words where it needs them (RFC 2047)."""
    return value if value.isascii() else Header(value, charset, maxlinelen=72).encode(linesep="\n")


def mailbox(person: Person) -> str:
    """`Name <address>`."""
    return f"{word(person.name)} <{person.address}>"


def encoded(data: bytes, encoding: str) -> bytes:
    """A content transfer encoding (RFC 2045 6)."""
    if encoding == "base64":
        return base64.encodebytes(data)
    if encoding == "quoted-printable":
        return quopri.encodestring(data)
    return data


def text(
    content: str, charset: str = "utf-8", encoding: str = "quoted-printable", kind: str = "plain", more: str = ""
) -> Body:
    """A text part."""
    data = content.encode(charset, "replace")
    return Body(
        (f"Content-Type: text/{kind}; charset={charset}{more}", f"Content-Transfer-Encoding: {encoding}"),
        encoded(data, encoding),
    )


def attached(kind: str, data: bytes, name: str, *, inline: str = "") -> Body:
    """An attachment, or an inline picture with the content id `inline`; a name that is not ASCII goes by RFC 2231."""
    if name.isascii():
        names = (f'; name="{name}"', f'; filename="{name}"')
    else:
        quoted = "".join(
            chr(octet) if (chr(octet).isalnum() and octet < 128) or octet in b"._-" else f"%{octet:02X}"
            for octet in name.encode()
        )
        names = (f"; name*=utf-8''{quoted}", f";\n filename*=utf-8''{quoted}")
    fields = [
        f"Content-Type: {kind}{names[0]}",
        "Content-Transfer-Encoding: base64",
        f"Content-Disposition: {'inline' if inline else 'attachment'}{names[1]}",
    ]
    if inline:
        fields.append(f"Content-ID: <{inline}>")
    return Body(tuple(fields), base64.encodebytes(data))


def multipart(kind: str, boundary: str, *parts: Body, more: str = "") -> Body:
    """Parts between boundaries (RFC 2046 5.1)."""
    content = b"This is a message in several parts.\n"
    for part in parts:
        content += f"\n--{boundary}\n".encode() + "\n".join(part.fields).encode() + b"\n\n" + part.content
    return Body(
        (f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}',), content + f"\n--{boundary}--\n".encode()
    )
