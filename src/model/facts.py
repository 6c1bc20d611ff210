"""Facts of one message that are kept as the bytes that go out on the wire."""

import enum


class Fact(enum.IntEnum):
    """A cached fact; the number is part of the index's keys and never changes its meaning.

    ENVELOPE, BODY and BODYSTRUCTURE are the parenthesised IMAP4rev1 forms. HEADERS is a block of raw header
    fields in message order with CRLF line ends and no blank line at its end, for a set of field names that the
    mailbox's row versions name. SENT is the Date header's calendar day as 4 bytes, big-endian ordinal
    (`datetime.date.toordinal`), 0 when there is none.
    """

    ENVELOPE = 1
    BODY = 2
    BODYSTRUCTURE = 3
    HEADERS = 4
    SENT = 5
