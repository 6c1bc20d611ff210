"""What workers and the auth process say to each other over a UNIX stream socket.

A message is four octets of length, big-endian, and a JSON object: `{"type": "AuthStart", …}`; octets are base64.
Both ends are ours, but a worker parses what strangers send and may be taken over: the auth process takes nothing
from this socket on trust. A message that is too long, of an unknown type, or with a missing, additional or wrong
field raises WireError; the connection is then closed. `Secret` fields never show in a repr.

A worker says `Hello`, hears `Mechanisms` (and again when they change), and announces the sessions it has with
`SessionOpened`, because the auth process may have been restarted. An exchange is `AuthStart`, then `Challenge` and
`AuthContinue` in turns, then one of `Success` and `Failure`; `AuthCancel` ends it at any moment and gets no answer.
`Success` opens a session under the exchange's connection id, so a worker sends `SessionClosed` for it in any case.
"""

import base64
import binascii
import enum
import json
import struct
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model.secret import Secret

MAX_MESSAGE = 131_072


class WireError(Exception):
    """The other end said something that is no message."""


class Reason(enum.Enum):
    """Why an authentication failed; the values are those of the protocols' own table."""

    CREDENTIALS = "credentials"
    UNAVAILABLE = "unavailable"
    LIMIT = "limit"
    CANCELLED = "cancelled"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    PRIVACY = "privacy"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Hello:
    """Worker → auth, first: who is speaking (a name for logs, unique among the workers)."""

    worker: str


@dataclass(frozen=True, slots=True)
class AuthStart:
    """Worker → auth: a client wants to log in."""

    id: int
    """Chosen by the worker, unique among its running exchanges."""
    connection: str
    """The connection's id, unique in the whole server."""
    service: str
    mechanism: str
    initial: Secret | None
    address: str
    """The client's IP address; "" on a UNIX socket."""
    tls: bool
    cleartext: bool
    """Plain passwords may be sent on this connection."""
    bindings: dict[str, bytes] = field(default_factory=dict)
    """Channel-binding data by type: tls-exporter, tls-server-end-point, tls-unique."""


@dataclass(frozen=True, slots=True)
class AuthContinue:
    """Worker → auth: the client's answer to a challenge."""

    id: int
    response: Secret


@dataclass(frozen=True, slots=True)
class AuthCancel:
    """Worker → auth: the client gave up or is gone. There is no answer."""

    id: int


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Worker → auth: a session that lives on from before this connection to the auth process."""

    connection: str
    user: str
    service: str
    address: str
    tls: bool
    since: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """Worker → auth."""

    connection: str


@dataclass(frozen=True, slots=True)
class SessionsActive:
    """Worker → auth, now and then: these sessions had a command since the last such message."""

    connections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """Auth → worker: what can be offered, -PLUS included."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Challenge:
    """Auth → worker: to be sent to the client."""

    id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    """Auth → worker: the user is in, and the session is counted."""

    id: int
    user: str
    home: str | None = None
    uid: int | None = None
    gid: int | None = None
    extra: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    """The mechanism's last word to the client."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Auth → worker. `text` is for the client; `user` and `detail` are for the log alone."""

    id: int
    reason: Reason
    text: str
    user: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Kick:
    """Auth → worker: end this session."""

    connection: str
    text: str


Message = (
    Hello
    | AuthStart
    | AuthContinue
    | AuthCancel
    | SessionOpened
    | SessionClosed
    | SessionsActive
    | Mechanisms
    | Challenge
    | Success
    | Failure
    | Kick
)


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise WireError("octets are not text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise WireError("octets are not base64") from None


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise WireError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return read


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WireError(f"expected a number, found {type(value).__name__}")
    return float(value)


def _reason(value: Any) -> Reason:
    try:
        return Reason(value)
    except ValueError:
        raise WireError("unknown reason") from None


def _reader(hint: Any) -> Callable[[Any], Any]:
    """How a field of this type is read from JSON."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        inner = _reader(next(kind for kind in arguments if kind is not types.NoneType))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        member = _reader(arguments[0])
        return lambda value: tuple(map(member, _exactly(list)(value)))
    if origin is dict:
        member = _reader(arguments[1])
        return lambda value: {key: member(found) for key, found in _exactly(dict)(value).items()}
    if hint is bytes:
        return _bytes
    if hint is Secret:
        return lambda value: Secret(_bytes(value))
    if hint is float:
        return _number
    if hint is Reason:
        return _reason
    return _exactly(hint)


_KINDS: dict[str, tuple[type[Any], dict[str, Callable[[Any], Any]]]] = {
    kind.__name__: (kind, {name: _reader(hint) for name, hint in typing.get_type_hints(kind).items()})
    for kind in typing.get_args(Message)
}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return _plain(value.reveal())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    return value


def encode(message: Message) -> bytes:
    """One message with its length before it."""
    name = type(message).__name__
    tree = {key: _plain(getattr(message, key)) for key in _KINDS[name][1]}
    tree["type"] = name
    data = json.dumps(tree, separators=(",", ":")).encode()
    if len(data) > MAX_MESSAGE:
        raise WireError(f"a message of {len(data)} octets is too long")
    return struct.pack(">I", len(data)) + data


def decode(data: bytes) -> Message:
    """The message in one frame, without its length."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        raise WireError("not JSON") from None
    if not isinstance(tree, dict):
        raise WireError("not an object")
    name = tree.pop("type", None)
    if not isinstance(name, str) or name not in _KINDS:
        raise WireError("unknown type of message")
    kind, readers = _KINDS[name]
    if tree.keys() != readers.keys():
        raise WireError(f"{name} has other fields than expected")
    message: Message = kind(**{key: readers[key](value) for key, value in tree.items()})
    return message


class Frames:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete now; raises WireError at the first that is none."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= 4:
                (size,) = struct.unpack_from(">I", self._buffer, start)
                if size > MAX_MESSAGE:
                    raise WireError(f"a message of {size} octets is too long")
                if len(self._buffer) - start - 4 < size:
                    break
                begin, start = start + 4, start + 4 + size
                yield decode(bytes(self._buffer[begin:start]))
        finally:
            del self._buffer[:start]
