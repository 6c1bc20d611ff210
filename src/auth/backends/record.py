"""What every password backend answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class BackendUnavailable(Exception):
    """The backend cannot answer now; the text is for the log. Never means that a user is unknown."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user as a backend knows it. `home` None: the configuration's [mail] home holds."""

    user: str
    password: str = field(repr=False)
    """As stored, `{SCHEME}data`; always with its scheme."""
    uid: int | None = None
    gid: int | None = None
    home: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


class PasswordBackend(Protocol):
    """Looks users up. Quick and without waiting: it is called in the auth process's loop."""

    name: str
    """For logs."""

    def lookup(self, user: str) -> UserRecord | None:
        """The user, by exactly this name; raises BackendUnavailable when the answer is not known."""

    def mimic(self, number: int) -> UserRecord | None:
        """Some user, always the same for the same number as long as nothing changes: its stored password is what
        an unknown user's answer is computed from, so that an answer takes as long as a known user's. None when
        there are no users."""

    def serves_scram(self) -> bool:
        """Whether every user's stored password can serve SCRAM-SHA-256."""

    def drain_reports(self) -> list[str]:
        """What was noticed since the last call, for the log."""
