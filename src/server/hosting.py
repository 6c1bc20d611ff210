"""What an endpoint needs around it: one `Host` per worker, one `Service` per kind of listener, and the ports to the
auth process and the helpers. Plain values and protocols, so that a test can put anything in their place.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..protocols.engine import Engine, Greeting, SaslChallenge, SaslFailure, SaslRespond, SaslStart, SaslSuccess
from .events import EventLog
from .limits import Gate
from .metrics import Counters
from .offload import Offload
from .rawlog import RawLog
from .timers import Turns, Wheel
from .tls import Certificates

if TYPE_CHECKING:
    from .endpoint import Endpoint

Answer = SaslChallenge | SaslSuccess | SaslFailure


class Exchange(Protocol):
    """One running authentication."""

    mechanism: str

    def respond(self, step: SaslRespond) -> None:
        """The client's answer; another call of the answer function follows."""

    def cancel(self) -> None:
        """Gave up: no answer follows."""


class Sasl(Protocol):
    """The auth process as an endpoint sees it."""

    def start(self, endpoint: "Endpoint", step: SaslStart, answer: Callable[[Answer], None]) -> Exchange:
        """Begin; `answer` is called once per step, never at once."""

    def closed(self, endpoint: "Endpoint") -> None:
        """A logged-in session has ended."""


class Cancellable(Protocol):
    """A submitted call or job."""

    def cancel(self) -> bool:
        """True: it will not run and gives no answer."""


class Helpers(Protocol):
    """The helper processes."""

    def submit(self, job: Any, done: Callable[[Any, BaseException | None], None]) -> Cancellable:
        """Run a job; `done` follows, never at once."""


@dataclass(slots=True)
class Host:
    """What one worker offers to all of its connections."""

    reactor: Any
    offload: Offload
    helpers: Helpers
    sasl: Sasl
    gate: Gate
    wheel: Wheel
    turns: Turns
    log: EventLog
    sessions: "dict[str, Endpoint]" = field(default_factory=dict)
    """Every open connection by its id."""
    raw: Callable[["Endpoint", str], RawLog | None] = lambda endpoint, user: None
    """A raw log for this session, if its user has one."""
    write_timeout: float = 300.0
    handshake_timeout: float = 30.0
    login_timeout: float = 180.0


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of listener."""

    name: str
    """`imap` or `pop3`."""
    build: Callable[[Greeting], Engine]
    cleartext: bool
    """Plain passwords are taken outside TLS as well."""
    mechanisms: Callable[[bool], tuple[str, ...]]
    """What to offer, with TLS or without."""
    counters: Counters
    refusal: bytes = b""
    """What a client is told whom a limit keeps out."""
    implicit_tls: bool = False
    certificates: Callable[[], Certificates | None] = lambda: None
    """Those in force now."""
