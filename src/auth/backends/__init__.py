"""Where users and their passwords are looked up: one module per kind, one table.

A new kind is a module here, a line in `KINDS`, a settings class in config/schema.py and a line in
tests/contract/test_password_backend.py, which it has to pass.
"""

from typing import Any

from .passwd_file import PasswdFile
from .record import BackendUnavailable, PasswordBackend, UserRecord

KINDS: dict[str, type[PasswdFile]] = {
    "passwd-file": PasswdFile,
}


def open_backend(kind: str, **settings: Any) -> PasswordBackend:
    """A backend of the kind; `settings` are those of its class in config/schema.py without `kind`."""
    return KINDS[kind](**settings)


__all__ = ["KINDS", "BackendUnavailable", "PasswdFile", "PasswordBackend", "UserRecord", "open_backend"]
