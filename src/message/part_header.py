"""What the header of one part says: its type and the other MIME fields, and the fields of an ENVELOPE.

Short headers come again in every other message (`text/plain; charset=utf-8` …): `read` keeps what it made of them. So a
PartHeader is shared between messages and never changes, but for the renderings that are remembered with it.
"""

import functools

from . import mime
from .headers import scan, unfold, values

MIME_FIELDS = frozenset(
    b"content-" + name
    for name in (b"type", b"transfer-encoding", b"id", b"description", b"disposition", b"language", b"location", b"md5")
)
ENVELOPE_FIELDS = frozenset({
    b"date", b"subject", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id",
})  # fmt: skip
ALL_FIELDS = MIME_FIELDS | ENVELOPE_FIELDS

TEXT = (b"text", b"plain")
MESSAGE = (b"message", b"rfc822")
OPAQUE = (b"application", b"octet-stream")

_US_ASCII: mime.Parameters = ((b"charset", b"us-ascii"),)
_SHORT = 256
"""Longer headers are not kept, so that the kept ones stay within some megabytes."""


class PartHeader:
    """The fields that matter of one part or message."""

    __slots__ = ("content_type", "is_multipart", "params", "shown", "values", "written_type")

    def __init__(self, found: dict[bytes, list[bytes]], default: tuple[bytes, bytes]) -> None:
        self.values = found
        """Raw values by lower-case name."""
        self.shown: tuple[bytes, bytes] | None = None
        """What BODYSTRUCTURE shows before and behind the size; filled in when it is first asked for."""
        field = found.get(b"content-type")
        known = mime.content_type(field[0]) if field else None
        if known is not None:
            main, sub, self.params = known
            self.written_type = (main, sub)
            self.content_type = (main.lower(), sub.lower())
        else:
            # RFC 2045 5.2; RFC 2046 5.1.5 for the parts of a digest.
            self.content_type = self.written_type = TEXT if field else default
            self.params = _US_ASCII if self.content_type == TEXT else ()
        self.is_multipart = self.content_type[0] == b"multipart"

    def opaque(self) -> "PartHeader":
        """The same fields for a part that is not looked into."""
        kept = {name: field for name, field in self.values.items() if name != b"content-type"}
        return PartHeader(kept, OPAQUE)

    def param(self, name: bytes) -> bytes | None:
        """The value of a Content-Type parameter, by its lower-case name."""
        for key, value in self.params:
            if key.lower() == name:
                return value
        extended = name + b"*"
        for key, value in self.params:
            if key.lower() == extended:
                return mime.plain_value(value)
        return None

    @property
    def written_encoding(self) -> bytes:
        """The Content-Transfer-Encoding as it was written, `7bit` without one."""
        field = self.values.get(b"content-transfer-encoding")
        return mime.token(field[0]) or b"7bit" if field else b"7bit"

    @property
    def disposition(self) -> tuple[bytes, mime.Parameters] | None:
        """Content-Disposition: kind and parameters."""
        field = self.values.get(b"content-disposition")
        return mime.disposition(field[0]) if field else None

    @property
    def language(self) -> list[bytes]:
        """The tags of Content-Language."""
        field = self.values.get(b"content-language")
        return mime.languages(field[0]) if field else []

    def text_of(self, name: bytes) -> bytes | None:
        """The unfolded value of a field, None when it is missing or empty."""
        field = self.values.get(name)
        return unfold(field[0]) or None if field else None


def read(header: bytes, default: tuple[bytes, bytes]) -> PartHeader:
    """A part's header from its octets; `default` is its type when it names none."""
    return _kept(header, default) if len(header) <= _SHORT else _read(header, default)


def _read(header: bytes, default: tuple[bytes, bytes]) -> PartHeader:
    return PartHeader(values(scan(header), ALL_FIELDS), default)


_kept = functools.lru_cache(maxsize=4096)(_read)
