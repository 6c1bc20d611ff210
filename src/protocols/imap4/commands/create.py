"""CREATE (RFC 3501 6.3.3), with CREATE-SPECIAL-USE (RFC 6154 3)."""

from dataclasses import dataclass

from ....message import utf7
from ....model.errors import Kind, MailError, ProtocolFault
from ...engine import Blocking
from ..command import LOGGED_IN, Command, Run
from ..reader import Reader
from ..responses import OK, Status
from ..session import Session

SPECIAL_USES = {
    use.lower(): use
    for use in ("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash")
}


@dataclass(frozen=True, slots=True)
class Create:
    """The arguments."""

    name: str
    uses: tuple[str, ...]


def valid_new_name(name: str, separator: str) -> str:
    """The name as it will be made: a client may say with a separator at its end that children will follow."""
    name = name.removesuffix(separator) or name
    # RFC 3501 5.1.3: a name that other clients could not read is not created
    if not utf7.is_valid(name):
        raise MailError(Kind.CANNOT, "The name is not valid modified UTF-7")
    return name


def parse(reader: Reader) -> Create:
    """create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]"""
    name = reader.mailbox()
    uses: list[str] = []
    if reader.take(b" (") and not reader.take(b")"):
        if not reader.take_word(b"USE"):
            raise reader.expected("USE")
        reader.sp()
        for written in reader.listed(reader.flag, "special uses"):
            use = SPECIAL_USES.get(written.decode("ascii").lower())
            if use is None:
                raise MailError(Kind.USEATTR, "There is no such special use")
            uses.append(use)
        reader.want(b")", "a closing parenthesis")
    reader.end()
    return Create(name, tuple(dict.fromkeys(uses)))


def run(session: Session, arguments: Create) -> Run:
    """With all parents that are missing."""
    account = session.user
    if not arguments.name.strip(account.separator):
        raise ProtocolFault("A mailbox needs a name")
    name = valid_new_name(arguments.name, account.separator)
    yield Blocking(lambda: account.create(name, arguments.uses), account.key)
    return Status(OK, "Created")


COMMAND = Command("CREATE", LOGGED_IN, parse, run)
