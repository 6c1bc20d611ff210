"""ID (RFC 2971). What the client says is not used; the answer is this server's own name and, once the user is known,
its version. Some clients sniff the name for a server they have special habits for: no other server is named."""

from .... import __version__
from ....model.errors import Kind, MailError
from ..command import ANY, Command, Run
from ..reader import Reader
from ..responses import OK, Id, Status
from ..session import Session

_MOST_FIELDS = 30


def parse(reader: Reader) -> None:
    """id-params-list = "(" *(string SP nstring) ")" / nil; values may be NIL."""
    if reader.take_word(b"NIL"):
        reader.end()
        return

    def pair() -> None:
        reader.string("a field name")
        reader.sp()
        reader.nstring("a value or NIL")

    if len(reader.listed(pair, "fields")) > _MOST_FIELDS:
        raise MailError(Kind.LIMIT, f"An ID has at most {_MOST_FIELDS} fields")
    reader.end()


def run(session: Session, arguments: None) -> Run:
    """Who is speaking."""
    version = (("version", __version__),) if session.account is not None else ()
    yield Id((("name", "Culverhouse"), *version))
    return Status(OK, "Done")


COMMAND = Command("ID", ANY, parse, run, capabilities=("ID",), early=True)
