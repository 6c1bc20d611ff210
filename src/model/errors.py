"""The failures a mail operation can report, without a word of any protocol.

Three families: `MailError` is told to the client with its kind's wire code (one table per protocol),
`ProtocolFault` is the peer's fault and the only exception an engine may let out, everything else is a bug.
"""

import enum


class Kind(enum.Enum):
    """Why an operation was refused. Protocols map each kind to their own code."""

    NONEXISTENT = "nonexistent"
    TRYCREATE = "trycreate"
    ALREADYEXISTS = "alreadyexists"
    CANNOT = "cannot"
    NOPERM = "noperm"
    READONLY = "readonly"
    OVERQUOTA = "overquota"
    LIMIT = "limit"
    TOOBIG = "toobig"
    INUSE = "inuse"
    UNAVAILABLE = "unavailable"
    EXPUNGED = "expunged"
    UNREADABLE = "unreadable"
    BADCHARSET = "badcharset"
    UNKNOWN_CTE = "unknown-cte"
    USEATTR = "useattr"
    HASCHILDREN = "haschildren"
    AUTH_FAILED = "auth-failed"
    AUTH_EXPIRED = "auth-expired"
    AUTH_UNAVAILABLE = "auth-unavailable"
    PRIVACY_REQUIRED = "privacy-required"


class MailError(Exception):
    """An operation that failed in a way the client is told of; `text` is public and never holds a path."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.text}"


class ProtocolFault(Exception):
    """The peer broke the protocol; `text` says what was expected where. `fatal` closes the connection."""

    def __init__(self, text: str, *, fatal: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.fatal = fatal
