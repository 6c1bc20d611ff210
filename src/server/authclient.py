"""A worker's link to the auth process: logins go out, answers come back, sessions are announced.

Rules that keep it right:

1. The link mends itself. What was asked while it was down is asked when it is back, if that is in time; an exchange
   that was half-way through when it broke ends as unavailable, for its state is lost.
2. After every reconnection all sessions are announced again: the auth process may be a new one.
3. A client that is gone has its exchange cancelled, and a session that was opened for it meanwhile is closed again.
"""

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..auth import wire
from ..auth.mechanisms import CLEARTEXT
from ..config import Config, UnsafeName, account_spec
from ..model.account import AccountSpec
from ..model.errors import MailError
from ..protocols.engine import (
    SaslChallenge,
    SaslFailure,
    SaslReason,
    SaslRespond,
    SaslStart,
    SaslSuccess,
)
from . import events
from .accounts import Accounts
from .channel import Channel
from .events import EventLog
from .timers import NEVER, UNFILED, Wheel

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .hosting import Answer

UNAVAILABLE = "Logging in is not possible just now; please try again later"
RETRY_FIRST, RETRY_LONGEST = 0.05, 0.5
ACTIVE_SECONDS = 20.0
SPECS = 1000
"""Accounts whose paths are remembered."""


class ClientExchange:
    """One running authentication; implements hosting.Exchange."""

    __slots__ = ("answer", "client", "deadline", "endpoint", "id", "mechanism", "owed", "slot",
                 "started")

    def __init__(self, client: "AuthClient", number: int, endpoint: "Endpoint", answer: "Callable[[Answer], None]",
                 mechanism: str) -> None:
        self.client = client
        self.id = number
        self.endpoint = endpoint
        self.mechanism = mechanism
        self.answer: Callable[[Answer], None] | None = answer
        self.owed = True
        """The connection waits for an answer; else it is the client's turn."""
        self.started: wire.AuthStart | None = None
        """Until it has been sent."""
        self.deadline = NEVER
        self.slot = UNFILED

    def respond(self, step: SaslRespond) -> None:
        """The client's answer to a challenge."""
        self.client.respond(self, step)

    def cancel(self) -> None:
        """Gave up, or gone."""
        self.client.cancel(self)

    def expire(self) -> None:
        """The wheel: no answer in time."""
        self.client.timed_out(self)


class AuthClient:
    """Implements hosting.Sasl for one worker."""

    def __init__(
        self, reactor: Any, config: Config, worker: str, path: str, accounts: Accounts, wheel: Wheel, log: EventLog,
        sessions: "dict[str, Endpoint]",
    ) -> None:
        """`path`: the auth process's socket; `sessions`: all connections of this worker by their id."""
        self._reactor = reactor
        self._config = config
        self._worker = worker
        self._path = path
        self._accounts = accounts
        self._wheel = wheel
        self._log = log
        self._sessions = sessions
        self._names: tuple[str, ...] = ()
        self._channel: Channel | None = None
        self._exchanges: dict[int, ClientExchange] = {}
        self._number = 0
        self._specs: dict[tuple[str, str | None], AccountSpec] = {}
        self._retry = RETRY_FIRST
        self._lost = False
        self._stopped = False
        self.on_ready: Callable[[], None] = lambda: None
        """Called whenever the auth process has said what it offers."""

    def start_link(self) -> None:
        """Connect, and stay connected."""
        if self._stopped:
            return
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connecting.setblocking(False)
            connecting.connect(self._path)
        except OSError as error:
            connecting.close()
            if not self._lost:
                self._lost = True
                self._log.emit(events.AUTH_LOST, reason=error.strerror)
            self._reactor.callLater(self._retry, self.start_link)
            self._retry = min(self._retry * 2, RETRY_LONGEST)
            return
        self._channel = Channel(self._reactor, connecting, self._received, self._disconnected, wire.MAX_MESSAGE)
        self._send(wire.Hello(self._worker))
        now = self._wheel.now()
        for endpoint in list(self._sessions.values()):
            if endpoint.user:
                self._send(wire.SessionOpened(
                    endpoint.id, endpoint.user, endpoint.service.name, endpoint.address, endpoint.secure,
                    time.time() - (now - endpoint.opened),
                ))
        for exchange in self._exchanges.values():
            self._ask(exchange)

    def watch_activity(self) -> None:
        """Tell now and then which sessions are in use."""
        active = []
        for endpoint in self._sessions.values():
            if endpoint.active and endpoint.user:
                active.append(endpoint.id)
            endpoint.active = False
        for start in range(0, len(active), 500):
            self._send(wire.SessionsActive(tuple(active[start : start + 500])))
        if not self._stopped:
            self._reactor.callLater(ACTIVE_SECONDS, self.watch_activity)

    def stop(self) -> None:
        """Say no more."""
        self._stopped = True
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def mechanisms(self, tls: bool) -> tuple[str, ...]:
        """What may be used, inside TLS or outside."""
        if tls:
            return self._names
        cleartext = self._config.auth.cleartext == "always"
        return tuple(
            name for name in self._names if not name.endswith("-PLUS") and (cleartext or name not in CLEARTEXT)
        )

    # --- hosting.Sasl ----------------------------------------------------------------------------------------------

    def start(self, endpoint: "Endpoint", step: SaslStart, answer: "Callable[[Answer], None]") -> ClientExchange:
        """Begin an exchange."""
        self._number += 1
        exchange = ClientExchange(self, self._number, endpoint, answer, step.mechanism)
        bindings = {}
        if endpoint.tls is not None and step.mechanism.upper().startswith("SCRAM-"):
            bindings = endpoint.tls.channel_bindings()
        exchange.started = wire.AuthStart(
            id=exchange.id, connection=endpoint.id, service=step.service, mechanism=step.mechanism,
            initial=step.initial, address=endpoint.address, tls=endpoint.secure,
            cleartext=endpoint.secure or endpoint.service.cleartext, bindings=bindings,
        )
        self._exchanges[exchange.id] = exchange
        self._wheel.arm(exchange, self._config.timeouts.auth)
        self._ask(exchange)
        return exchange

    def closed(self, endpoint: "Endpoint") -> None:
        """A session has ended."""
        self._send(wire.SessionClosed(endpoint.id))
        if endpoint.account is not None:
            self._accounts.leave(endpoint.account)

    # --- what an exchange does --------------------------------------------------------------------------------------

    def respond(self, exchange: ClientExchange, step: SaslRespond) -> None:
        """Pass on the client's answer."""
        exchange.owed = True
        if self._exchanges.get(exchange.id) is not exchange:
            # It ended with the link when it was the client's turn, who hears of it now.
            self._reactor.callLater(0, self._fail, exchange, SaslReason.UNAVAILABLE, UNAVAILABLE)
            return
        self._wheel.arm(exchange, self._config.timeouts.auth)
        self._send(wire.AuthContinue(exchange.id, step.response))

    def cancel(self, exchange: ClientExchange) -> None:
        """Nobody waits for the outcome any more."""
        exchange.answer = None
        self._wheel.drop(exchange)
        self._give_up(exchange)

    def timed_out(self, exchange: ClientExchange) -> None:
        """The auth process does not answer."""
        self._give_up(exchange)
        self._fail(exchange, SaslReason.UNAVAILABLE, UNAVAILABLE)

    def _give_up(self, exchange: ClientExchange) -> None:
        if self._exchanges.pop(exchange.id, None) is not None and exchange.started is None:
            self._send(wire.AuthCancel(exchange.id))
            # A success may be on its way to us; then there is a session that nobody will ever use.
            self._send(wire.SessionClosed(exchange.endpoint.id))

    # --- the link ---------------------------------------------------------------------------------------------------

    def _ask(self, exchange: ClientExchange) -> None:
        if self._channel is not None and exchange.started is not None:
            started, exchange.started = exchange.started, None
            self._send(started)

    def _send(self, message: wire.Message) -> None:
        if self._channel is not None:
            self._channel.send_framed(wire.encode(message))

    def _disconnected(self) -> None:
        self._channel = None
        if self._stopped:
            return
        if not self._lost:
            self._lost = True
            self._log.emit(events.AUTH_LOST, reason="the auth process has closed the link")
        broken = [exchange for exchange in self._exchanges.values() if exchange.started is None]
        for exchange in broken:
            del self._exchanges[exchange.id]
            self._wheel.drop(exchange)
            if exchange.owed:
                self._fail(exchange, SaslReason.UNAVAILABLE, UNAVAILABLE)
        self._retry = RETRY_FIRST
        self._reactor.callLater(0, self.start_link)

    def _received(self, frame: bytes) -> None:
        message = wire.decode(frame)
        if isinstance(message, wire.Mechanisms):
            self._names = message.names
            self._retry = RETRY_FIRST
            if self._lost:
                self._lost = False
                self._log.emit(events.AUTH_BACK)
            self.on_ready()
        elif isinstance(message, wire.Challenge):
            exchange = self._exchanges.get(message.id)
            if exchange is not None and exchange.answer is not None:
                # The client has its own time for its answer.
                self._wheel.disarm(exchange)
                exchange.owed = False
                exchange.answer(SaslChallenge(message.data))
        elif isinstance(message, wire.Success):
            self._succeeded(message)
        elif isinstance(message, wire.Failure):
            self._failed(message)
        elif isinstance(message, wire.Kick):
            endpoint = self._sessions.get(message.connection)
            if endpoint is not None:
                self._log.emit(events.KICKED, **endpoint.facts(), reason=message.text)
                endpoint.shutdown(message.text)

    def _succeeded(self, message: wire.Success) -> None:
        exchange = self._exchanges.pop(message.id, None)
        if exchange is None or exchange.answer is None:
            return
        self._wheel.drop(exchange)
        try:
            spec = self._spec(message.user, message.home)
        except UnsafeName as error:
            self._log.emit(
                events.ACCOUNT_UNUSABLE, **{**exchange.endpoint.facts(), "user": message.user}, reason=str(error)
            )
            self._send(wire.SessionClosed(exchange.endpoint.id))
            self._fail(exchange, SaslReason.UNAVAILABLE, UNAVAILABLE)
            return
        self._accounts.acquire(spec, lambda account, error: self._acquired(exchange, message, account, error))

    def _spec(self, user: str, home: str | None) -> AccountSpec:
        spec = self._specs.get((user, home))
        if spec is None:
            if len(self._specs) >= SPECS:
                self._specs.clear()
            spec = self._specs[user, home] = account_spec(self._config, user, home)
        return spec

    def _acquired(
        self, exchange: ClientExchange, message: wire.Success, account: Any, error: BaseException | None
    ) -> None:
        if exchange.answer is None:
            self._send(wire.SessionClosed(exchange.endpoint.id))
            if account is not None:
                self._accounts.leave(account)
        elif account is None:
            reason = error.text if isinstance(error, MailError) else repr(error)
            self._log.emit(
                events.ACCOUNT_UNUSABLE, **{**exchange.endpoint.facts(), "user": message.user}, reason=reason,
                cause=repr(error.__cause__) if error is not None and error.__cause__ is not None else None,
            )
            self._send(wire.SessionClosed(exchange.endpoint.id))
            self._fail(exchange, SaslReason.UNAVAILABLE, UNAVAILABLE)
        else:
            answer, exchange.answer = exchange.answer, None
            answer(SaslSuccess(account, message.data))

    def _failed(self, message: wire.Failure) -> None:
        exchange = self._exchanges.pop(message.id, None)
        if exchange is None:
            return
        self._wheel.drop(exchange)
        facts = exchange.endpoint.facts()
        facts["user"] = message.user or None
        self._log.emit(
            events.LOGIN_FAILED, **facts, reason=message.reason.value, detail=message.detail or None
        )
        self._fail(exchange, SaslReason(message.reason.value), message.text)

    def _fail(self, exchange: ClientExchange, reason: SaslReason, text: str) -> None:
        answer, exchange.answer = exchange.answer, None
        if answer is not None:
            answer(SaslFailure(reason, text))
