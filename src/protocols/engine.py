"""The contract between a protocol engine and its host (the server, or a test).

An engine is a pure state machine with one cursor: the host feeds bytes with `receive`, then calls `next_step` and
does what the step says, until the step is `Need` or `Close`. Rules that keep it right:

1. `next_step` never waits and never does more than about 10 ms of work; long answers come in pieces of some 16 to
   64 kB, and the host asks for the next one only when the peer has taken most of the last.
2. After `Blocking`, `Compute` or `Sasl*` the host calls exactly one of `resume(value)` or `fail(error)` before the
   next `next_step`. Meanwhile `receive` only buffers, within the engine's limit; `hungry` is then false.
3. Only `ProtocolFault` may escape from `receive` and `next_step`, and only for a fault after which the connection
   must be closed; any other exception is a bug and the host closes the connection with the engine's `bug()` bytes.
4. An engine knows its host by one callable only, `on_wake`, which the host sets. `wake` may be called at any time,
   from the host's thread, also by an account in the middle of `next_step`; it notes that something happened and
   calls `on_wake`, and the host asks for the next step soon, never inside that call.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..model.secret import Secret

if TYPE_CHECKING:
    from ..account.account import Account
    from ..account.jobs import Job


@dataclass(frozen=True, slots=True)
class Send:
    """Bytes for the peer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Blocking:
    """Run `call()` off the reactor; its value or exception comes back. Calls with equal `key` never overlap and
    keep their order (a key is an account whose store or index is written); None: no order."""

    call: Callable[[], Any]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Compute:
    """Run a job in a helper process; `job.run` gets an account opened there from `job.spec`."""

    job: "Job[Any]"


@dataclass(frozen=True, slots=True)
class SaslStart:
    """Begin an authentication exchange. The answer is one of SaslChallenge, SaslSuccess, SaslFailure."""

    mechanism: str
    initial: Secret | None
    service: str
    """`imap` or `pop3`."""


@dataclass(frozen=True, slots=True)
class SaslRespond:
    """The client's answer to a challenge."""

    response: Secret


@dataclass(frozen=True, slots=True)
class SaslCancel:
    """The client gave up; the answer is SaslFailure."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """All earlier bytes are to be sent, then TLS begins. Answer with `resume(None)` once it is up. The engine has
    dropped what it had buffered; the host must not feed it bytes that arrived before the handshake."""


@dataclass(frozen=True, slots=True)
class Log:
    """A fact for the server's event log, for example `login`, `select`, `command`."""

    event: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Need:
    """Nothing to do before more bytes, a `wake()`, or `timeout` seconds without either (then `timer()`)."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Close:
    """Flush and close the connection."""

    reason: str


Step = Send | Blocking | Compute | SaslStart | SaslRespond | SaslCancel | StartTls | Log | Need | Close


@dataclass(frozen=True, slots=True)
class SaslChallenge:
    """The mechanism wants more; `data` is not base64."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SaslSuccess:
    """The user is in. `data` is the mechanism's last word (SCRAM's server signature), or None."""

    account: "Account"
    data: bytes | None = None


class SaslReason(enum.Enum):
    """Why an authentication failed, as far as the client may know."""

    CREDENTIALS = "credentials"
    UNAVAILABLE = "unavailable"
    LIMIT = "limit"
    CANCELLED = "cancelled"
    MALFORMED = "malformed"
    UNSUPPORTED = "unsupported"
    PRIVACY = "privacy"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class SaslFailure:
    """Not in; `text` is public."""

    reason: SaslReason
    text: str


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the host knows of a connection before its first byte."""

    tls: bool
    """Already inside TLS."""
    starttls: bool
    """TLS can be started."""
    cleartext: bool
    """Plain passwords may be sent now (inside TLS, or allowed by configuration)."""
    mechanisms: tuple[str, ...]
    """SASL mechanisms by the IANA names, -PLUS ones included where channel binding can be had."""
    mechanisms_tls: tuple[str, ...] = ()
    """The same once TLS has been started."""
    connection: str = ""
    """The connection's id, told to the client with a server bug."""


class Engine(Protocol):
    """One connection's protocol."""

    on_wake: Callable[[], None] | None
    """None until the host sets it."""

    @property
    def hungry(self) -> bool:
        """False: the host should stop reading from the socket until it is true again."""

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""

    def next_step(self) -> Step:
        """What the host is to do now."""

    def resume(self, value: Any) -> None:
        """The answer to the last step."""

    def fail(self, error: BaseException) -> None:
        """The last step's call raised."""

    def wake(self) -> None:
        """Something the engine may be waiting for has happened (a mailbox changed). Calls `on_wake`."""

    def timer(self) -> None:
        """The last `Need` timed out."""

    def shutdown(self, text: str) -> None:
        """The server stops or the session is kicked: say goodbye at the next step."""

    def bug(self) -> bytes:
        """What to tell the client when the engine or a call failed with an exception that is a bug."""

    def close(self) -> None:
        """The connection is gone: release views, spools, locks. Never fails."""
