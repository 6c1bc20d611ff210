"""The auth process: the only one that can read password files, and the one place that knows all sessions.

It listens on a socket for workers (auth/wire.py) and on one for administrators (control.py), both handed over by the
supervisor, so that a restart loses no connection attempt. Rules that keep it right:

1. Nothing that comes from a worker is believed further than it concerns that worker's own sessions: a worker parses
   what strangers send and may be taken over. A frame that is no message closes the link.
2. Nothing here waits or computes: password hashes run in helper processes, delays are timers.
3. When a worker's link closes, its sessions and its exchanges are over.
"""

import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure as TwistedFailure

from ..auth import wire
from ..auth.authenticate import Authenticator, Exchange, Hash, Wait
from ..auth.backends import open_backend
from ..auth.mechanisms import Ask
from ..auth.sessions import Session, Sessions
from ..auth.wire import AuthStart, Challenge, Failure, Reason, Success
from ..config import user_form
from ..model.secret import Secret
from . import events
from .channel import Channel
from .control import LONGEST_LINE
from .events import EventLog
from .helper_main import Setup
from .helpers import HelperPool
from .listen import Port, Transport
from .orders import AuthSetup, Stop, Word, order, spoken

ALIVE_SECONDS = 2.0
HASH_SECONDS = 20.0
MOST_QUEUED = 2000
"""Hashes waiting for a helper, beyond which logins are refused rather than queued."""
MECHANISMS_SECONDS = 5.0
CONTROL_SERVICE = "auth-test"


class Attempt:
    """One exchange of one worker, or of the control socket."""

    __slots__ = ("answer", "exchange", "id", "job", "later", "over", "waits")

    def __init__(self, number: int, exchange: Exchange, answer: Callable[[wire.Message], None]) -> None:
        self.id = number
        self.exchange = exchange
        self.answer = answer
        self.job: Any = None
        self.later: Any = None
        self.waits = False
        """For the client."""
        self.over = False

    def close(self) -> None:
        """Nobody waits for the outcome."""
        if not self.over:
            self.over = True
            if self.later is not None and self.later.active():
                self.later.cancel()
            if self.job is None or self.job.cancel():
                self.exchange.close()


class AuthServer:
    """What all links share."""

    def __init__(self, reactor: Any, setup: AuthSetup, log: EventLog) -> None:
        config = setup.config
        self.reactor = reactor
        self.config = config
        self.log = log
        self.uids = setup.uids
        self.backends = [
            open_backend(backend.kind, path=backend.path, default_scheme=backend.default_scheme)
            for backend in config.auth.backend
        ]
        self.authenticator = Authenticator(
            self.backends,
            lambda name: user_form(config.auth.username_format, name),
            mechanisms=config.auth.mechanisms,
            cache_seconds=config.auth.cache,
            sessions=Sessions(config.limits.sessions_per_user_and_address),
            secret=setup.secret,
        )
        self.pool = HelperPool(
            reactor, config.server.helpers or os.cpu_count() or 1, Setup(f"{__package__}.helper_main:hash_runner"), log,
            job_seconds=HASH_SECONDS,
        )
        self.links: set[WorkerLink] = set()
        self.offered: tuple[str, ...] = ()
        self.look()

    def look(self) -> None:
        """What can be offered may change with the password files."""
        offered = self.authenticator.mechanisms()
        if offered != self.offered:
            self.offered = offered
            for link in self.links:
                link.send(wire.Mechanisms(offered))
        self.report()
        self.reactor.callLater(MECHANISMS_SECONDS, self.look)

    def report(self) -> None:
        """Log what the backends noticed."""
        for text in self.authenticator.drain_reports():
            self.log.emit(events.AUTH_BACKEND, reason=text)

    def go_on(self, attempt: Attempt, value: Any = None) -> None:
        """Advance an exchange as far as it goes without waiting."""
        attempt.job = attempt.later = None
        if attempt.over:
            attempt.exchange.close()
            return
        while True:
            try:
                step = attempt.exchange.advance(value)
            except Exception as error:
                attempt.over = True
                self.log.bug(error)
                attempt.answer(unavailable(attempt.id))
                return
            value = None
            if isinstance(step, Wait):
                attempt.later = self.reactor.callLater(step.seconds, self.go_on, attempt)
            elif isinstance(step, Hash):
                if self.pool.queued > MOST_QUEUED:
                    self._refuse(attempt)
                    return
                attempt.job = self.pool.submit_keyed(
                    "hash", step.job, lambda result, error: self._hashed(attempt, result, error)
                )
            elif isinstance(step, Ask):
                attempt.waits = True
                attempt.answer(Challenge(attempt.id, step.challenge))
            else:
                attempt.over = True
                attempt.answer(step)
                self.make_way()
            return

    def _hashed(self, attempt: Attempt, result: Any, error: BaseException | None) -> None:
        if error is None:
            self.go_on(attempt, result)
            return
        attempt.job = None
        self.log.emit(events.AUTH_BACKEND, reason=f"a password could not be checked: {error}")
        self._refuse(attempt)

    def _refuse(self, attempt: Attempt) -> None:
        attempt.exchange.close()
        if not attempt.over:
            attempt.over = True
            attempt.answer(unavailable(attempt.id))

    def make_way(self) -> None:
        """End the sessions that had to give way to a new one."""
        for session in self.authenticator.leaving():
            self.kick(session, "Too many sessions of this user from this address; the one idle longest ends")

    def kick(self, session: Session, text: str) -> bool:
        """Tell the worker that has it."""
        for link in self.links:
            if link.worker == session.worker:
                link.send(wire.Kick(session.connection, text))
                return True
        return False

    def worker_connected(self, accepted: socket.socket, address: Any) -> None:
        """Somebody connected to the workers' socket: only our own user and the server's may."""
        credentials = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", credentials)
        if uid not in self.uids:
            self.log.emit(events.REFUSED, service="auth", reason=f"user id {uid} is no worker's")
            accepted.close()
            return
        self.links.add(WorkerLink(self, accepted))

    def administrator_connected(self, accepted: socket.socket, address: Any) -> None:
        """Somebody connected to the control socket."""
        ControlLink(self, accepted)


def unavailable(number: int) -> Failure:
    """No answer can be found now."""
    return Failure(number, Reason.UNAVAILABLE, "Logging in is not possible just now; please try again later.")


class WorkerLink:
    """One worker."""

    def __init__(self, server: AuthServer, accepted: socket.socket) -> None:
        self.server = server
        self.worker = ""
        """Its name, once it has said it."""
        self.attempts: dict[int, Attempt] = {}
        self.channel = Channel(server.reactor, accepted, self.received, self.lost, wire.MAX_MESSAGE)

    def send(self, message: wire.Message) -> None:
        """To the worker."""
        self.channel.send_framed(wire.encode(message))

    def lost(self) -> None:
        """It has gone."""
        self.server.links.discard(self)
        for attempt in self.attempts.values():
            attempt.close()
        self.attempts.clear()
        if self.worker:
            self.server.authenticator.sessions.worker_gone(self.worker)

    def received(self, frame: bytes) -> None:
        """One message."""
        try:
            self._handle(wire.decode(frame))
        except wire.WireError as error:
            self.server.log.emit(events.REFUSED, service="auth", user=self.worker, reason=str(error))
            self.channel.close()
            self.lost()

    def _handle(self, message: wire.Message) -> None:
        server = self.server
        sessions = server.authenticator.sessions
        if isinstance(message, wire.Hello):
            if self.worker or any(link.worker == message.worker for link in server.links):
                raise wire.WireError("that name is taken")
            self.worker = message.worker
            self.send(wire.Mechanisms(server.offered))
        elif not self.worker:
            raise wire.WireError("Hello comes first")
        elif isinstance(message, AuthStart):
            if message.id in self.attempts:
                raise wire.WireError("an exchange of that number is running")
            attempt = Attempt(
                message.id, server.authenticator.begin(message, self.worker), lambda answer: self._answer(answer)
            )
            self.attempts[message.id] = attempt
            server.go_on(attempt)
        elif isinstance(message, wire.AuthContinue):
            running = self.attempts.get(message.id)
            if running is not None and running.waits:
                running.waits = False
                server.go_on(running, message.response)
        elif isinstance(message, wire.AuthCancel):
            cancelled = self.attempts.pop(message.id, None)
            if cancelled is not None:
                cancelled.close()
        elif isinstance(message, wire.SessionOpened):
            leaving = sessions.admit(Session(
                connection=message.connection, user=message.user, service=message.service, address=message.address,
                tls=message.tls, since=message.since, worker=self.worker, active=server.authenticator.clock(),
            ))
            for session in leaving:
                server.kick(session, "Too many sessions of this user from this address")
        elif isinstance(message, wire.SessionClosed):
            sessions.close(message.connection, self.worker)
        elif isinstance(message, wire.SessionsActive):
            sessions.active(message.connections, self.worker, server.authenticator.clock())
        else:
            raise wire.WireError(f"{type(message).__name__} is not for the auth process")

    def _answer(self, message: wire.Message) -> None:
        if isinstance(message, (Success, Failure)):
            self.attempts.pop(message.id, None)
        self.send(message)


class ControlLink:
    """One administrator's connection (control.py)."""

    def __init__(self, server: AuthServer, accepted: socket.socket) -> None:
        self.server = server
        self.buffer = b""
        self.transport: Any = Transport(
            accepted, self, ("", 0), None, 0, server.reactor  # type: ignore[arg-type]  # all that Twisted asks for
        )

    def makeConnection(self, transport: Any) -> None:
        """For Twisted."""

    def connectionLost(self, reason: TwistedFailure = connectionDone) -> None:
        """For Twisted."""

    def dataReceived(self, data: bytes) -> None:
        """For Twisted: requests, one per line."""
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        if len(self.buffer) > LONGEST_LINE:
            self.transport.abortConnection()
            return
        for line in lines:
            try:
                request = json.loads(line)
                answer = self._handle(request) if isinstance(request, dict) else _wrong("expected an object")
            except (ValueError, RecursionError):
                answer = _wrong("not JSON")
            if answer is not None:
                self._answer(answer)

    def _answer(self, answer: dict[str, Any]) -> None:
        self.transport.write(json.dumps(answer).encode() + b"\n")

    def _handle(self, request: dict[str, Any]) -> dict[str, Any] | None:
        server = self.server
        command = request.get("command")
        fields = {key: value for key, value in request.items() if key in ("user", "connection", "password")}
        if not all(isinstance(value, str) for value in fields.values()):
            return _wrong("user, connection and password are texts")
        user, connection = fields.get("user"), fields.get("connection")
        if command == "who":
            found = server.authenticator.sessions.find(user=user, connection=connection)
            return {"ok": True, "sessions": [session.public() for session in found]}
        if command == "kick":
            if user is None and connection is None:
                return _wrong("kick needs a user or a connection")
            found = server.authenticator.sessions.find(user=user, connection=connection)
            kicked = sum(server.kick(session, "An administrator ended this session") for session in found)
            server.log.emit(events.CONTROL, command="kick", user=user, target=connection, sessions=kicked)
            return {"ok": True, "kicked": kicked}
        if command == "auth-test":
            if user is None or "password" not in fields:
                return _wrong("auth-test needs a user and a password")
            self._test(user, fields["password"])
            return None
        return _wrong("unknown command; known are who, kick and auth-test")

    def _test(self, user: str, password: str) -> None:
        """As a login by PLAIN would go, but for the session."""
        server = self.server
        initial = b"\0" + user.encode("utf-8", "surrogateescape") + b"\0" + password.encode("utf-8", "surrogateescape")
        name = f"auth-test-{id(self):x}"
        start = AuthStart(0, name, CONTROL_SERVICE, "PLAIN", Secret(initial), "", True, True)

        def answer(message: wire.Message) -> None:
            server.authenticator.sessions.close(name)
            if isinstance(message, Success):
                self._answer({
                    "ok": True, "user": message.user, "home": message.home, "uid": message.uid, "gid": message.gid,
                    "extra": message.extra,
                })
            elif isinstance(message, Failure):
                self._answer({
                    "ok": False, "reason": message.reason.value, "error": message.text, "user": message.user,
                    "detail": message.detail,
                })

        server.go_on(Attempt(0, server.authenticator.begin(start, CONTROL_SERVICE), answer))


def _wrong(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}


def main(descriptor: int) -> None:
    """The process; `descriptor` is the link to the supervisor."""
    from twisted.internet import epollreactor

    epollreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import reactor as installed

    from .running import prepare

    reactor: Any = installed
    ports: list[Port] = []
    server: list[AuthServer] = []

    def ordered(frame: bytes) -> None:
        said = order(frame)
        if isinstance(said, AuthSetup):
            log = prepare(reactor, "auth", said.config)
            try:
                made = AuthServer(reactor, said, log)
            except Exception as error:
                log.bug(error)
                os._exit(1)
            server.append(made)
            for number, connected in (
                (said.workers, made.worker_connected), (said.control, made.administrator_connected)
            ):
                port = Port(reactor, socket.socket(fileno=number), connected)
                port.start()
                ports.append(port)
            link.send(spoken(Word("ready")))
            reactor.callLater(ALIVE_SECONDS, alive)
        elif isinstance(said, Stop):
            for one in server:
                one.pool.stop()
            reactor.stop()

    def alive() -> None:
        link.send(spoken(Word("alive")))
        reactor.callLater(ALIVE_SECONDS, alive)

    link = Channel(reactor, socket.socket(fileno=descriptor), ordered, lambda: os._exit(1))
    reactor.run(installSignalHandlers=False)
