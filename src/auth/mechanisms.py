"""SASL mechanisms, server side, as generators: no socket, no clock, no user table.

A mechanism yields what it needs and is sent the answer:

    Ask(challenge)                    → the client's response, octets
    CheckPassword(user, password)     → True or False
    FindKeys(user)                    → ScramKeys, never None: an unknown user has made-up ones

It returns `Granted`, or raises `Refused`; whatever else it raises is a bug. Rules that keep it right:

- A wrong password, an unknown user and keys that were made up leave by the same way with the same words.
- What the client sends is bounded and checked before anything is computed from it.
- The authorization identity is handed on as it was sent; the caller decides whether it is allowed.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from ..model.secret import Secret
from .saslprep import saslprep
from .scram_keys import ScramKeys
from .wire import Reason

MAX_RESPONSE = 8192
MAX_USER = 512


@dataclass(frozen=True, slots=True)
class Ask:
    """A challenge for the client."""

    challenge: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Is this the user's password?"""

    user: str
    password: Secret


@dataclass(frozen=True, slots=True)
class FindKeys:
    """The user's SCRAM-SHA-256 keys."""

    user: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The client has shown that it knows the password. `data` is the mechanism's last word."""

    user: str
    authorize: str
    """The identity the client wants to act as; "" for its own."""
    data: bytes | None = None


class Refused(Exception):
    """The exchange failed; `text` may be shown to the client."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(reason, text)
        self.reason = reason
        self.text = text


Need = Ask | CheckPassword | FindKeys
Steps = Generator[Need, bytes | bool | ScramKeys, Granted]
WRONG = "Wrong user name or password."


def _malformed(text: str) -> Refused:
    return Refused(Reason.MALFORMED, text)


def _name(octets: bytes, what: str) -> str:
    if len(octets) > MAX_USER:
        raise _malformed(f"The {what} is too long.")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise _malformed(f"The {what} is not valid UTF-8.") from None


def _ask(challenge: bytes) -> Generator[Need, bytes | bool | ScramKeys, bytes]:
    response = yield Ask(challenge)
    assert isinstance(response, bytes)  # noqa: S101 - what the caller sends is decided by what was yielded
    if len(response) > MAX_RESPONSE:
        raise _malformed("The response is too long.")
    return response


def _first(initial: bytes | None) -> Generator[Need, bytes | bool | ScramKeys, bytes]:
    """The client's first message, asked for with an empty challenge when it did not come along (RFC 4422 5.1)."""
    if initial is None:
        return (yield from _ask(b""))
    if len(initial) > MAX_RESPONSE:
        raise _malformed("The response is too long.")
    return initial


def plain(initial: bytes | None) -> Steps:
    """RFC 4616."""
    message = yield from _first(initial)
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise _malformed("PLAIN takes three parts with a NUL between them.")
    authorize = _name(parts[0], "authorization identity")
    user = _name(parts[1], "user name")
    if not user or not parts[2]:
        raise _malformed("PLAIN takes a user name and a password that are not empty.")
    if not (yield CheckPassword(user, Secret(parts[2]))):
        raise Refused(Reason.CREDENTIALS, WRONG)
    return Granted(user, authorize)


def login(initial: bytes | None) -> Steps:
    """LOGIN, as clients of old speak it (draft-murchison-sasl-login); an initial response is the user name."""
    name = initial if initial else (yield from _ask(b"Username:"))
    user = _name(name, "user name")
    password = yield from _ask(b"Password:")
    if not user or not password:
        raise _malformed("LOGIN takes a user name and a password that are not empty.")
    if not (yield CheckPassword(user, Secret(password))):
        raise Refused(Reason.CREDENTIALS, WRONG)
    return Granted(user, "")


# RFC 5802 7
_GS2 = re.compile(rb"(?:(n)|(y)|p=([A-Za-z0-9.-]{1,64})),(?:a=([^,\0]{1,1024}))?,")
_CLIENT_FIRST = re.compile(rb"n=([^,\0]{1,1536}),r=([\x21-\x2b\x2d-\x7e]{1,512})(?:,[A-Za-z]=[^,\0]*)*")
_CLIENT_FINAL = re.compile(
    rb"(c=([A-Za-z0-9+/=]{1,4096}),r=([\x21-\x2b\x2d-\x7e]{1,1024})(?:,[A-Za-z]=[^,\0]*)*),p=([A-Za-z0-9+/=]{1,128})"
)


def _saslname(octets: bytes, what: str) -> str:
    """RFC 5802 5.1: `=2C` is a comma, `=3D` an equals sign, nothing else begins with one."""
    if re.search(rb"=(?!2C|3D)", octets):
        raise _malformed(f"The {what} has a wrong escape.")
    name = _name(octets.replace(b"=2C", b",").replace(b"=3D", b"="), what)
    try:
        prepared = saslprep(name)
    except ValueError:
        raise _malformed(f"The {what} has a character that is not allowed.") from None
    if not prepared:
        raise _malformed(f"The {what} is empty.")
    return prepared


def _base64(octets: bytes) -> bytes:
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error:
        raise _malformed("A part of the message is not base64.") from None


def make_nonce() -> bytes:
    """The server's part of the nonce."""
    return base64.b64encode(os.urandom(18))


def scram(
    initial: bytes | None,
    *,
    plus: bool,
    offered_plus: bool,
    bindings: Mapping[str, bytes],
    nonce: Callable[[], bytes] = make_nonce,
) -> Steps:
    """SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 9266).

    `bindings` is the channel's binding data by type, `offered_plus` whether the client was offered -PLUS.
    """
    message = yield from _first(initial)
    gs2 = _GS2.match(message)
    if gs2 is None:
        raise _malformed("SCRAM begins with n, y or p= and a comma.")
    _, supports, binding, authorize = gs2.groups()
    if plus:
        if binding is None:
            raise _malformed("A -PLUS mechanism takes channel binding.")
        if binding.decode() not in bindings:
            raise Refused(Reason.UNSUPPORTED, "This type of channel binding is not supported here.")
    elif binding is not None:
        raise _malformed("Channel binding needs a -PLUS mechanism.")
    elif supports and offered_plus:  # RFC 5802 6: somebody has taken -PLUS out of what we offered
        raise Refused(Reason.MALFORMED, "The client could bind the channel, and we can: something lies between us.")
    bare = message[gs2.end() :]
    first = _CLIENT_FIRST.fullmatch(bare)
    if first is None:  # m= is a mandatory extension; there is none we know
        raise _malformed("SCRAM's first message takes n= and r=.")
    user = _saslname(first[1], "user name")
    identity = _saslname(authorize, "authorization identity") if authorize else ""

    keys = yield FindKeys(user)
    assert isinstance(keys, ScramKeys)  # noqa: S101 - what the caller sends is decided by what was yielded
    full_nonce = first[2] + nonce()
    server_first = b"r=%s,s=%s,i=%d" % (full_nonce, base64.b64encode(keys.salt), keys.iterations)
    response = yield from _ask(server_first)

    final = _CLIENT_FINAL.fullmatch(response)
    if final is None:
        raise _malformed("SCRAM's second message takes c=, r= and p=.")
    without_proof, bound, returned, proof_text = final.groups()
    expected = gs2.group() + (bindings[binding.decode()] if binding else b"")
    proof = _base64(proof_text)
    same_channel = hmac.compare_digest(_base64(bound), expected)
    same_nonce = hmac.compare_digest(returned, full_nonce)
    signed = b",".join((bare, server_first, without_proof))
    signature = hmac.digest(keys.stored_key, signed, keys.digest)
    if len(proof) != len(signature):
        raise _malformed("The proof is of a wrong length.")
    client_key = bytes(left ^ right for left, right in zip(proof, signature, strict=True))
    proven = hmac.compare_digest(hashlib.new(keys.digest, client_key).digest(), keys.stored_key)
    if not (same_channel and same_nonce and proven):
        raise Refused(Reason.CREDENTIALS, WRONG)
    return Granted(user, identity, b"v=" + base64.b64encode(hmac.digest(keys.server_key, signed, keys.digest)))


PASSWORD_MECHANISMS = ("PLAIN", "LOGIN")
SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
CLEARTEXT = frozenset(PASSWORD_MECHANISMS)
"""They send the password itself."""


def start(name: str, initial: bytes | None, bindings: Mapping[str, bytes], offered: tuple[str, ...]) -> Steps:
    """A new exchange; raises Refused for a mechanism that is not offered."""
    name = name.upper()
    if name not in offered:
        raise Refused(Reason.UNSUPPORTED, "This mechanism is not offered.")
    if name == "PLAIN":
        return plain(initial)
    if name == "LOGIN":
        return login(initial)
    plus = name.endswith("-PLUS")
    if plus and not bindings:
        raise Refused(Reason.UNSUPPORTED, "Channel binding needs TLS.")
    offered_plus = bool(bindings) and "SCRAM-SHA-256-PLUS" in offered
    return scram(initial, plus=plus, offered_plus=offered_plus, bindings=bindings)
