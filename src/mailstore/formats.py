"""Formats of mail stores by the name that the configuration gives them."""

from collections.abc import Callable

from ..model.account import AccountSpec
from ..model.errors import Kind, MailError
from ..model.store import MailStore
from .maildir.store import MaildirStore


def _maildir(spec: AccountSpec, path: str, private: str) -> MailStore:
    del private  # A Maildir keeps all it needs in itself.
    return MaildirStore(path, spec.layout, spec.separator, spec.prefix)


_OPENERS: dict[str, Callable[[AccountSpec, str, str], MailStore]] = {"maildir": _maildir}


def open_store(spec: AccountSpec, private: str) -> MailStore:
    """The store of an account. `private` is a directory of the account's for what a format must keep elsewhere."""
    kind, _, path = spec.store.partition(":")
    opener = _OPENERS.get(kind)
    if opener is None or not path.startswith("/"):
        raise MailError(Kind.UNAVAILABLE, "The mail store is not one that can be served")
    return opener(spec, path, private)
