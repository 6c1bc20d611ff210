"""The one table that turns a failure into POP3's words (RFC 2449 8, RFC 3206).

Rules that keep it right: a code says what the client should do next. `[AUTH]` alone makes it ask for the password
again, so nothing but wrong credentials may carry it; `[SYS/TEMP]` and `[IN-USE]` make it try again later with what it
has; `[SYS/PERM]` sends the user to the administrator. A refusal that concerns one message carries none.
"""

from ...model.errors import Kind, MailError
from ..engine import SaslFailure, SaslReason

AUTH = b"[AUTH] "
IN_USE = b"[IN-USE] "
TEMPORARY = b"[SYS/TEMP] "
PERMANENT = b"[SYS/PERM] "

_KINDS = {
    Kind.INUSE: IN_USE,
    Kind.UNAVAILABLE: TEMPORARY,
    Kind.OVERQUOTA: TEMPORARY,
    Kind.LIMIT: TEMPORARY,
    Kind.NOPERM: PERMANENT,
    Kind.READONLY: PERMANENT,
    Kind.NONEXISTENT: PERMANENT,
    Kind.AUTH_FAILED: AUTH,
    Kind.AUTH_EXPIRED: AUTH,
    Kind.AUTH_UNAVAILABLE: TEMPORARY,
}
_REASONS = {
    SaslReason.CREDENTIALS: AUTH,
    SaslReason.EXPIRED: AUTH,
    SaslReason.UNAVAILABLE: TEMPORARY,
    SaslReason.LIMIT: TEMPORARY,
}


def line(text: str) -> bytes:
    """A public text as the rest of a response line: one line, bounded (RFC 1939 3: 512 octets with its CRLF)."""
    return " ".join(text.split()).encode("utf-8", "replace")[:480]


def ok(text: str = "") -> bytes:
    """A positive response line."""
    return b"+OK %b\r\n" % line(text) if text else b"+OK\r\n"


def err(text: str, code: bytes = b"") -> bytes:
    """A negative response line."""
    return b"-ERR %b%b\r\n" % (code, line(text))


def refusal(error: MailError) -> bytes:
    """What the client is told of a failed mail operation."""
    return err(error.text, _KINDS.get(error.kind, b""))


def sasl_refusal(failure: SaslFailure) -> bytes:
    """What the client is told of a failed login."""
    return err(failure.text, _REASONS.get(failure.reason, b""))
