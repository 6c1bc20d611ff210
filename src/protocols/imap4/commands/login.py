"""LOGIN (RFC 3501 6.2.3), as an exchange of SASL PLAIN with an initial response."""

from dataclasses import dataclass

from ....model.secret import Secret
from ...engine import SaslStart
from ..command import BEFORE_LOGIN, Command, Run
from ..reader import Reader
from ..responses import NO, Status
from ..session import Session
from .authenticate import SERVICE, admit


@dataclass(frozen=True, slots=True)
class Login:
    """The arguments."""

    user: bytes
    password: Secret


def parse(reader: Reader) -> Login:
    """login = "LOGIN" SP userid SP password"""
    user = reader.astring("a user name")
    reader.sp()
    password = Secret(reader.astring("a password"))
    reader.end()
    return Login(user, password)


def run(session: Session, login: Login) -> Run:
    """RFC 3501 6.2.3: refused where a password could be overheard."""
    if not session.cleartext:
        session.failures += 1
        return Status(NO, "Passwords are only taken inside TLS", "PRIVACYREQUIRED")
    # PLAIN's fields are parted by NUL (RFC 4616 2), which no astring can hold.
    outcome = yield SaslStart("PLAIN", Secret(b"\0%b\0%b" % (login.user, login.password.reveal())), SERVICE)
    return admit(session, outcome)


COMMAND = Command("LOGIN", BEFORE_LOGIN, parse, run)
