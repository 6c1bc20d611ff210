"""ENVELOPE in its IMAP4rev1 form (RFC 3501 7.4.2).

Rules that keep it right:

1. Strings are served as they stand in the header, unfolded and undecoded; in Subject and in names each run of white
   space is one space. A field that is there but empty is "", one that is missing is NIL.
2. Sender and Reply-To that are missing or hold no address are From's.
3. Of a repeated field the last one counts, but addresses of all of them are given (RFC 5322 3.6 forbids repeating).
"""

import functools

from . import addresses
from .headers import scan, unfold, values
from .part_header import ENVELOPE_FIELDS
from .wire import nstring, string


def envelope(header: bytes) -> bytes:
    """The envelope of a message from its header."""
    return render(values(scan(header), ENVELOPE_FIELDS))


def render(found: dict[bytes, list[bytes]]) -> bytes:
    """The envelope from the raw values of the fields by lower-case name."""
    get = found.get
    sender = _addresses(get(b"from"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _text(get(b"date")),
        _words(get(b"subject")),
        sender,
        _or(_addresses(get(b"sender")), sender),
        _or(_addresses(get(b"reply-to")), sender),
        _addresses(get(b"to")),
        _addresses(get(b"cc")),
        _addresses(get(b"bcc")),
        _text(get(b"in-reply-to")),
        _text(get(b"message-id")),
    )


def _or(given: bytes, otherwise: bytes) -> bytes:
    return otherwise if given == b"NIL" else given


def _text(field: list[bytes] | None) -> bytes:
    return b"NIL" if field is None else string(unfold(field[-1]))


def _words(field: list[bytes] | None) -> bytes:
    return b"NIL" if field is None else string(b" ".join(field[-1].split()))


def _addresses(field: list[bytes] | None) -> bytes:
    if field is None:
        return b"NIL"
    rendered = b"".join([_kept_list(raw) if len(raw) <= _SHORT else _list(raw) for raw in field])
    return b"(%b)" % rendered if rendered else b"NIL"


def _list(raw: bytes) -> bytes:
    """The entries of one field, `` for none."""
    value = unfold(raw)
    easy = addresses.usual(value)
    if easy is not None:
        return b"".join(
            [b'("%b" NIL "%b" "%b")' % entry if entry[0] else b'(NIL NIL "%b" "%b")' % entry[1:] for entry in easy]
        )
    return b"".join(
        [
            b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(mailbox), nstring(domain))
            for name, route, mailbox, domain in addresses.parse(value)
        ]
    )


_SHORT = 256
"""The same few lists come again and again in a mailbox; longer ones are not kept, so that this stays small."""
_kept_list = functools.lru_cache(maxsize=4096)(_list)
