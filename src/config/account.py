"""From settings, a user and the user's home to what the mail rooms need to know of the account."""

import base64
import os
import re

from ..model.account import AccountSpec, DefaultMailbox
from .expand import UnsafeName, expand
from .schema import Config


def wire_name(name: str) -> str:
    """A mailbox name in modified UTF-7 (RFC 3501 5.1.3), as the mail rooms keep it. Written out here because
    config stands below message/; a test holds the two together."""

    def shifted(found: re.Match[str]) -> str:
        octets = base64.b64encode(found.group().encode("utf-16-be"), b"+,")
        return f"&{octets.rstrip(b'=').decode()}-"

    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-"))


_LIKE_A_SIDE_FILE = re.compile(r"\.(?=(?:lock|write|viewers|private|tmp)$|(?:new|gone|damaged)-)")
MAX_COMPONENT = 215
"""Octets of a folder's name, with room for the endings of what lies beside it."""


def index_folder(path: str) -> str:
    """The path of an index folder whose name is not like that of a file that belongs to another user's: beside the
    index of `bob` lie `bob.lock`, `bob.new-…` and others. The change is reversible, so that two names stay two."""
    parent, _, name = os.path.normpath(path).rpartition("/")
    name = _LIKE_A_SIDE_FILE.sub(".=", name.replace("=", "=="))
    if len(name.encode()) > MAX_COMPONENT:
        raise UnsafeName("the user name is too long for the name of an index folder")
    return f"{parent}/{name}"


def account_spec(config: Config, user: str, home: str | None) -> AccountSpec:
    """Where `user`'s mail lies. `home` is what the password backend names, if it does; it wins over [mail] home.

    Raises UnsafeName when no safe path can be made.
    """
    mail = config.mail
    home = home or expand(mail.home, user)
    if not home.startswith("/") or ".." in home.split("/") or "\0" in home:
        raise UnsafeName("the user's home is not an absolute path without ..")
    kind, _, path = mail.store.partition(":")
    prefix = wire_name(mail.prefix)
    return AccountSpec(
        user=user,
        store=f"{kind}:{os.path.normpath(expand(path, user, home))}",
        layout=mail.layout,
        separator=mail.separator,
        prefix=prefix,
        index=index_folder(expand(config.index.path, user, home)),
        defaults=tuple(
            DefaultMailbox(prefix + wire_name(box.name), box.special_use, box.subscribe) for box in config.mailbox
        ),
        max_message_size=mail.max_message_size,
    )
