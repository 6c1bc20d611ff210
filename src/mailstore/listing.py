"""The list of mailboxes that LIST shows, out of the directories that a layout found."""

from collections.abc import Mapping, Sequence

from ..model.account import MailboxInfo
from .layout import INBOX, Found


def tree(found: Sequence[Found], uses: Mapping[str, tuple[str, ...]], separator: str) -> list[MailboxInfo]:
    """INBOX first, parents before children, parents that are no mailboxes added."""
    selectable = {one.name: one.selectable for one in found}
    parents: set[str] = set()
    for name in list(selectable):
        while (place := name.rfind(separator)) > 0:
            name = name[:place]
            name = INBOX if name.upper() == INBOX else name
            if name in parents:
                break
            parents.add(name)
            selectable.setdefault(name, False)

    def order(name: str) -> tuple[bool, list[str]]:
        levels = name.split(separator)
        return levels[0].upper() != INBOX, levels

    names = sorted(selectable, key=order)
    return [MailboxInfo(name, selectable[name], name in parents, uses.get(name, ())) for name in names]
