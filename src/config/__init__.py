"""Settings: one TOML file becomes typed, frozen values.

Only cli/ and server/ import this package; everything below them gets plain values by constructor. Nothing here is
global, and nothing is read twice: `load()` returns one `Config` or raises all errors of the file at once.
"""

from .account import account_spec
from .expand import UnsafeName, check_user, expand, user_form
from .findings import ConfigErrors, Finding
from .load import load
from .schema import Config

__all__ = [
    "Config",
    "ConfigErrors",
    "Finding",
    "UnsafeName",
    "account_spec",
    "check_user",
    "expand",
    "load",
    "user_form",
]
