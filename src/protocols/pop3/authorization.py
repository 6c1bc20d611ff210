"""The commands of the AUTHORIZATION state: USER and PASS, AUTH, STLS, and the opening of the maildrop.

Rules that keep it right: a wrong user and a wrong password get the same answer, and USER tells nothing; a password
never reaches a log, for it is a `Secret` from here on; an exchange with the auth process always ends in success or
failure, also when the client gives up; a maildrop that could not be opened leaves no lock behind.
"""

import base64
import binascii
import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ...model.secret import Secret
from ..engine import (
    Blocking,
    SaslCancel,
    SaslChallenge,
    SaslFailure,
    SaslReason,
    SaslRespond,
    SaslStart,
    SaslSuccess,
    Send,
    StartTls,
    Step,
)
from .codes import err, ok, sasl_refusal
from .commands import LINE, AwaitLine, BadArgument, Run, numbers
from .maildrop import Maildrop

if TYPE_CHECKING:
    from .session import Session

SERVICE = "pop3"

_AUTH = re.compile(rb"([A-Za-z0-9_-]{1,20})(?: +(\S+))?")

Exchange = Generator["Step | AwaitLine", Any, SaslSuccess | SaslFailure]


def stls(session: "Session", argument: bytes) -> Run:
    """STLS (RFC 2595 4). What the client sent ahead is never executed: the engine sees to it."""
    numbers(argument, 0, 0, "STLS")
    if not session.starttls:
        yield Send(err("TLS is already active" if session.secure else "TLS is not offered"))
        return
    yield Send(ok("Begin TLS negotiation"))
    yield StartTls()
    session.tls_began()


def user(session: "Session", argument: bytes) -> Run:
    """USER (RFC 1939 7)."""
    if not session.cleartext:
        yield Send(err("Plain passwords are only taken inside TLS"))
        return
    if not argument.strip():
        raise BadArgument("Syntax: USER name")
    session.user = argument.strip()
    yield Send(ok())


def pass_(session: "Session", argument: bytes) -> Run:
    """PASS (RFC 1939 7): the rest of the line, blanks included."""
    if session.user is None:
        raise BadArgument("USER comes first")
    name, session.user = session.user, None
    # PLAIN's fields are parted by NUL (RFC 4616 2), which no field can hold.
    if b"\0" in name or b"\0" in argument:
        outcome: SaslSuccess | SaslFailure = SaslFailure(SaslReason.CREDENTIALS, "Authentication failed")
    else:
        outcome = yield from exchange(SaslStart("PLAIN", Secret(b"\0%b\0%b" % (name, argument)), SERVICE))
    yield from conclude(session, outcome)


def auth(session: "Session", argument: bytes) -> Run:
    """AUTH (RFC 5034 4); alone it lists the mechanisms, as older clients expect."""
    if not argument.strip():
        yield Send(ok() + b"".join(name.encode("ascii") + b"\r\n" for name in session.mechanisms) + b".\r\n")
        return
    words = _AUTH.fullmatch(argument.strip())
    if words is None:
        raise BadArgument("Syntax: AUTH mechanism [initial response]")
    mechanism = words[1].decode("ascii").upper()
    if mechanism not in session.mechanisms:
        yield Send(err("That mechanism is not offered"))
        return
    initial: Secret | None = None
    if words[2] is not None:
        data = b"" if words[2] == b"=" else decoded(words[2])
        if data is None:
            raise BadArgument("The initial response is not base64")
        initial = Secret(data)
    outcome = yield from exchange(SaslStart(mechanism, initial, SERVICE))
    yield from conclude(session, outcome)


def exchange(step: SaslStart | SaslRespond | SaslCancel) -> Exchange:
    """Challenges and responses until the auth process has decided."""
    while True:
        outcome = yield step
        if not isinstance(outcome, SaslChallenge):
            return outcome  # type: ignore[no-any-return]  # the host's word for it: SaslSuccess or SaslFailure
        data = decoded((yield from asked(outcome.data)))
        step = SaslCancel() if data is None else SaslRespond(Secret(data))


def asked(challenge: bytes) -> Generator["Step | AwaitLine", Any, bytes]:
    """The client's line in answer to a challenge."""
    yield Send(b"+ %b\r\n" % base64.b64encode(challenge))
    line: bytes = yield LINE
    return line


def decoded(text: bytes) -> bytes | None:
    """Strict base64; None for `*` (the client gives up) and for anything else that isn't base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def conclude(session: "Session", outcome: SaslSuccess | SaslFailure) -> Run:
    """Open the maildrop of whom the auth process let in, or tell why not."""
    # RFC 5034 4: a mechanism's last word goes out as a challenge, which the client answers with nothing.
    if isinstance(outcome, SaslSuccess) and outcome.data is not None and (yield from asked(outcome.data)):
        outcome = SaslFailure(SaslReason.CANCELLED, "Authentication was given up")
    if isinstance(outcome, SaslFailure):
        session.failures += 1
        yield Send(sasl_refusal(outcome))
        return
    drop = Maildrop(outcome.account)
    try:
        yield Blocking(drop.lock, outcome.account.key)
        drop.begin()
        session.drop = drop
    finally:
        if session.drop is None:
            drop.close()
    yield Send(ok("Logged in"))
