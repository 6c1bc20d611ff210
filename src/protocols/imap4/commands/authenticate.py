"""AUTHENTICATE (RFC 3501 6.2.2) with an initial response (SASL-IR, RFC 4959).

Rules that keep it right: an exchange with the auth process always ends in success or failure, also when the client
gives up or sends what is no base64; a secret is a `Secret` as soon as it is decoded; a mechanism's last word goes out
as a challenge, which the client answers with nothing.
"""

import base64
import binascii
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ....model.errors import ProtocolFault
from ....model.secret import Secret
from ...engine import SaslCancel, SaslChallenge, SaslFailure, SaslRespond, SaslStart, SaslSuccess
from ...framing import Announced, Line
from ..codes import sasl_refusal
from ..command import BEFORE_LOGIN, FRAME, Command, Output, Run
from ..reader import Reader
from ..responses import BAD, NO, OK, Continuation, Status
from ..session import Session

SERVICE = "imap"


@dataclass(frozen=True, slots=True)
class Authenticate:
    """The arguments."""

    mechanism: str
    initial: Secret | None


def parse(reader: Reader) -> Authenticate:
    """authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]"""
    mechanism = reader.atom("a mechanism").decode("ascii").upper()
    initial = None
    if reader.take(b" "):
        text = reader.text[reader.pos :]
        # RFC 4959 3: "=" is the empty initial response
        initial = Secret(b"" if text == b"=" else _decoded(text))
    return Authenticate(mechanism, initial)


def run(session: Session, arguments: Authenticate) -> Run:
    """Challenges and responses until the auth process has decided."""
    if arguments.mechanism not in session.mechanisms:
        code = "CANNOT" if session.secure or not session.starttls else "PRIVACYREQUIRED"
        return Status(NO, "That mechanism is not offered", code)
    outcome = yield SaslStart(arguments.mechanism, arguments.initial, SERVICE)
    while isinstance(outcome, SaslChallenge):
        try:
            response = yield from _asked(session, outcome.data)
        except ProtocolFault as fault:
            yield SaslCancel()
            session.failures += 1
            return Status(BAD, fault.text)
        outcome = yield SaslRespond(response)
    if isinstance(outcome, SaslSuccess) and outcome.data is not None:
        yield from _asked(session, outcome.data)
    return admit(session, outcome)


def admit(session: Session, outcome: SaslSuccess | SaslFailure) -> Status:
    """The tagged answer to a login; the new capabilities come with it (RFC 3501 6.2.2)."""
    if isinstance(outcome, SaslFailure):
        session.failures += 1
        return sasl_refusal(outcome)
    session.account = outcome.account
    return Status(OK, "Logged in", f"CAPABILITY {' '.join(session.capabilities.of(session))}")


def _asked(session: Session, challenge: bytes) -> Generator[Output, Any, Secret]:
    """The client's answer to a challenge."""
    yield Continuation(base64.b64encode(challenge))
    frame = yield FRAME
    if isinstance(frame, Announced):
        session.framer.refuse()
    if not isinstance(frame, Line):
        raise ProtocolFault("Expected a line of base64")
    if frame.text == b"*":
        raise ProtocolFault("Authentication was given up")
    return Secret(_decoded(frame.text))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ProtocolFault("Expected base64") from None


COMMAND = Command("AUTHENTICATE", BEFORE_LOGIN, parse, run, abandonable=True)
