"""The table from the kinds of failure to the response codes of IMAP (RFC 5530 and the extensions' own).

The only place that joins the two vocabularies: rooms below know kinds, clients know codes.
"""

from ...model.errors import Kind, MailError
from ..engine import SaslFailure, SaslReason
from .responses import BAD, NO, Status

CODES: dict[Kind, str] = {
    Kind.NONEXISTENT: "NONEXISTENT",
    Kind.TRYCREATE: "TRYCREATE",
    Kind.ALREADYEXISTS: "ALREADYEXISTS",
    Kind.CANNOT: "CANNOT",
    Kind.NOPERM: "NOPERM",
    Kind.READONLY: "NOPERM",
    Kind.OVERQUOTA: "OVERQUOTA",
    Kind.LIMIT: "LIMIT",
    Kind.TOOBIG: "TOOBIG",
    Kind.INUSE: "INUSE",
    Kind.UNAVAILABLE: "UNAVAILABLE",
    Kind.EXPUNGED: "EXPUNGEISSUED",
    Kind.UNREADABLE: "CORRUPTION",
    Kind.BADCHARSET: "BADCHARSET (UTF-8 US-ASCII ISO-8859-1)",
    Kind.UNKNOWN_CTE: "UNKNOWN-CTE",
    Kind.USEATTR: "USEATTR",
    Kind.HASCHILDREN: "HASCHILDREN",
    Kind.AUTH_FAILED: "AUTHENTICATIONFAILED",
    Kind.AUTH_EXPIRED: "EXPIRED",
    Kind.AUTH_UNAVAILABLE: "UNAVAILABLE",
    Kind.PRIVACY_REQUIRED: "PRIVACYREQUIRED",
}

_REASONS: dict[SaslReason, str] = {
    SaslReason.CREDENTIALS: "AUTHENTICATIONFAILED",
    SaslReason.UNAVAILABLE: "UNAVAILABLE",
    SaslReason.LIMIT: "LIMIT",
    SaslReason.UNSUPPORTED: "CANNOT",
    SaslReason.PRIVACY: "PRIVACYREQUIRED",
    SaslReason.EXPIRED: "EXPIRED",
}


def refusal(error: MailError) -> Status:
    """The tagged answer to a command that failed."""
    return Status(NO, error.text, CODES[error.kind])


def sasl_refusal(failure: SaslFailure) -> Status:
    """The tagged answer to a login that failed. Giving up and malformed data are BAD (RFC 3501 6.2.2)."""
    code = _REASONS.get(failure.reason)
    return Status(BAD, failure.text) if code is None else Status(NO, failure.text, code)
