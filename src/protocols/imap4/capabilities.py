"""The CAPABILITY line, derived from the command records and from the features that are not a command of their own."""

from typing import TYPE_CHECKING

from .command import Command

if TYPE_CHECKING:
    from .session import Session

# What changes commands that are there anyway. (name, announced before login)
FEATURES: tuple[tuple[str, bool], ...] = (
    ("LITERAL+", True),  # RFC 7888
    ("SASL-IR", True),  # RFC 4959
    ("CHILDREN", False),  # RFC 3348
    ("UIDPLUS", False),  # RFC 4315
    ("MULTIAPPEND", False),  # RFC 3502
    ("BINARY", False),  # RFC 3516
    ("ESEARCH", False),  # RFC 4731
    ("LIST-EXTENDED", False),  # RFC 5258
    ("LIST-STATUS", False),  # RFC 5819
    ("SPECIAL-USE", False),  # RFC 6154
    ("CREATE-SPECIAL-USE", False),  # RFC 6154
    ("CONDSTORE", False),  # RFC 7162
    ("QRESYNC", False),  # RFC 7162
    ("STATUS=SIZE", False),  # RFC 8438
)


class Capabilities:
    """What a session may be told, by its state; made once from the table of commands."""

    def __init__(self, commands: tuple[Command, ...]) -> None:
        named = [(name, command.early) for command in commands for name in command.capabilities]
        self._late = tuple(dict.fromkeys(name for name, _ in (*FEATURES, *named)))
        self._early = tuple(dict.fromkeys(name for name, early in (*FEATURES, *named) if early))

    def of(self, session: "Session") -> tuple[str, ...]:
        """The names to announce now (RFC 3501 6.1.1, 6.2.1)."""
        if session.account is not None:
            # RFC 7889 2
            return ("IMAP4rev1", *self._late, f"APPENDLIMIT={session.account.spec.max_message_size}")
        names = ["IMAP4rev1", *self._early]
        if session.starttls:
            names.append("STARTTLS")
        if not session.cleartext:
            names.append("LOGINDISABLED")
        names.extend(f"AUTH={mechanism}" for mechanism in session.mechanisms)
        return tuple(names)

