"""Flags of a message as one integer.

Bits 0 to 4 are the system flags, bit 8+i is the mailbox's keyword number i. \\Recent is no flag here: it
belongs to a session, not to a message (RFC 3501 2.3.2). A mailbox's keyword numbers are only ever appended, so
a mask stays true while the mailbox's keyword table grows.
"""

import enum

SEEN = 1
ANSWERED = 2
FLAGGED = 4
DELETED = 8
DRAFT = 16
SYSTEM = SEEN | ANSWERED | FLAGGED | DELETED | DRAFT

KEYWORD_SHIFT = 8
MAX_KEYWORDS = 56
"""Keywords 0 to 25 live as letters in Maildir names, the others in the mailbox's side file."""
MAX_KEYWORD_LENGTH = 255

SYSTEM_NAMES: dict[int, str] = {
    ANSWERED: "\\Answered",
    FLAGGED: "\\Flagged",
    DELETED: "\\Deleted",
    SEEN: "\\Seen",
    DRAFT: "\\Draft",
}
SYSTEM_BITS: dict[str, int] = {name.lower(): bit for bit, name in SYSTEM_NAMES.items()}


class FlagOp(enum.Enum):
    """What STORE does with the flags it is given (RFC 3501 6.4.6)."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"

    def apply(self, old: int, change: int) -> int:
        """The new mask from the old one and the flags named by the client."""
        if self is FlagOp.ADD:
            return old | change
        if self is FlagOp.REMOVE:
            return old & ~change
        return change


def keyword_bit(number: int) -> int:
    """The mask bit of the mailbox's keyword `number`."""
    if not 0 <= number < MAX_KEYWORDS:
        raise ValueError(f"keyword number {number} is not below {MAX_KEYWORDS}")
    return 1 << (KEYWORD_SHIFT + number)


def flag_names(mask: int, keywords: tuple[str, ...]) -> list[str]:
    """Names of all flags in `mask`, system flags first; a keyword number without a name is left out."""
    names = [name for bit, name in SYSTEM_NAMES.items() if mask & bit]
    rest = mask >> KEYWORD_SHIFT
    number = 0
    while rest:
        if rest & 1 and number < len(keywords):
            names.append(keywords[number])
        rest >>= 1
        number += 1
    return names
