"""From settings, a user and the user's home to what the mail rooms need to know of the account."""

import os

from ..message.utf7 import encode
from ..model.account import AccountSpec, DefaultMailbox
from .expand import UnsafeName, expand
from .schema import Config


def account_spec(config: Config, user: str, home: str | None) -> AccountSpec:
    """Where `user`'s mail lies. `home` is what the password backend names, if it does; it wins over [mail] home.

    Raises UnsafeName when no safe path can be made.
    """
    mail = config.mail
    home = home or expand(mail.home, user)
    if not home.startswith("/") or ".." in home.split("/") or "\0" in home:
        raise UnsafeName("the user's home is not an absolute path without ..")
    kind, _, path = mail.store.partition(":")
    prefix = encode(mail.prefix)
    return AccountSpec(
        user=user,
        store=f"{kind}:{os.path.normpath(expand(path, user, home))}",
        layout=mail.layout,
        separator=mail.separator,
        prefix=prefix,
        index=os.path.normpath(expand(config.index.path, user, home)),
        defaults=tuple(
            DefaultMailbox(prefix + encode(box.name), box.special_use, box.subscribe) for box in config.mailbox
        ),
        max_message_size=mail.max_message_size,
    )
