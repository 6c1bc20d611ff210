"""The one Twisted protocol of this server: it hosts any engine on a connection (protocols/engine.py).

Rules that keep it right:

1. `next_step` is called in `_pump` only, never while an answer is outstanding, while the peer does not take what was
   sent, or from within itself. A pump ends after some 10 ms and goes on in a later round of the reactor.
2. Sends of one pump leave in one write. Output is held back as soon as the transport has more than its buffer's worth
   unsent; the engine then makes nothing more until all of it is gone.
3. Input is read ahead while the engine waits for an answer or is held back, until it is no longer hungry: then
   reading stops, and what comes of the last read is still given to it.
4. Nothing that came before a TLS handshake reaches the engine after it.
5. Every outstanding call is answered, also after the connection was lost, and `engine.close` comes after it.
6. An idle connection costs this object, its transport and its engine: slots only, no timers, no closures.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships none

from ..model.errors import MailError, ProtocolFault
from ..protocols.engine import (
    Blocking,
    Close,
    Compute,
    Engine,
    Greeting,
    Log,
    Need,
    SaslCancel,
    SaslFailure,
    SaslReason,
    SaslRespond,
    SaslStart,
    SaslSuccess,
    Send,
    StartTls,
)
from . import events
from .hosting import Answer, Cancellable, Exchange, Host, Service
from .offload import Ticket
from .proxy import BadHeader, parse
from .rawlog import RawLog
from .timers import NEVER, UNFILED
from .tls import TlsFailed, TlsFilter

BUDGET = 0.01
"""Seconds of one pump."""
COALESCE = 65_536
"""Octets that are joined before they are written."""
CLOCK_EVERY = 32
"""Steps between two looks at the clock."""
LINGER = 2.0
"""Seconds in which the peer may close first, so that our last words are not lost to a reset."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Endpoint:
    """See the module. As a producer, what it produces is the engine's output."""

    __slots__ = (
        "__weakref__", "_again", "_deaf", "_early", "_held", "_over", "_pumping", "_queued", "_reported", "_waiting",
        "account", "active", "address", "admitted", "bytes_in", "bytes_out", "call", "counted", "deadline", "engine",
        "exchange", "faulty", "host", "id", "lost", "opened", "port", "raw", "reason", "service", "slot", "state",
        "tls", "transport", "user",
    )

    # States of a connection, in their order
    PROXY, HANDSHAKE, OPEN, CLOSING, GONE = range(5)

    def __init__(self, host: Host, service: Service, connection: str, address: str, port: int, proxy: bool) -> None:
        """`proxy`: the peer must begin with a PROXY header."""
        self.host = host
        self.service = service
        self.id = connection
        self.address = address
        """The client's IP address, "" on a UNIX socket."""
        self.port = port
        self.state = self.PROXY if proxy else self.HANDSHAKE if service.implicit_tls else self.OPEN
        self.engine: Engine | None = None
        self.tls: TlsFilter | None = None
        self.user = ""
        self.account: Any = None
        self.raw: RawLog | None = None
        self.transport: Any = None
        self.opened = 0.0
        self.active = True
        """Something came since the worker last told the auth process."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.reason = ""
        self.lost = False
        self.faulty = False
        self.exchange: Exchange | None = None
        self.call: Cancellable | None = None
        self.deadline = NEVER
        self.slot = UNFILED
        self.counted: str | None = None
        self.admitted = False
        self._over = False
        """The peer has said that it will send no more."""
        self._early = b""
        self._waiting = False
        self._held = False
        self._deaf = False
        self._pumping = False
        self._again = False
        self._queued = False
        self._reported: BaseException | None = None

    # --- what Twisted calls -----------------------------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """The connection is there."""
        self.transport = transport
        self.host.sessions[self.id] = self
        self.opened = self.host.wheel.now()
        self.service.counters.connections += 1
        transport.registerProducer(self, True)
        self.host.wheel.arm(self, self.host.handshake_timeout)
        if self.state != self.PROXY:
            self._enter()

    def dataReceived(self, data: bytes) -> None:
        """Raw bytes from the socket."""
        tls = self.tls
        if self.state == self.OPEN and tls is None:
            self._receive(data)
        elif tls is not None and self.state != self.CLOSING:
            self._receive_tls(tls, data)
        elif self.state == self.PROXY:
            self._receive_proxy(data)
        # While closing, what still comes is dropped, so that our last words are not lost to a reset.

    def readConnectionLost(self) -> None:
        """The peer will send no more: what it sent before is carried out, but nothing long is begun for it."""
        self._over = True
        if self.state == self.CLOSING:
            self.transport.loseConnection()
        elif self.state != self.OPEN or self._held or (self._waiting and not isinstance(self.call, Ticket)):
            self._abort("disconnected")
        elif not (self._waiting or self._pumping):
            self._close("disconnected")

    def writeConnectionLost(self) -> None:
        """All has been sent, and the peer knows that nothing follows."""
        if self._over:
            self.host.turns.add(self._depart)
        else:
            self.host.wheel.arm(self, LINGER)

    def _depart(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self.lost:
            return
        self.lost = True
        host = self.host
        self.state = self.GONE
        host.sessions.pop(self.id, None)
        host.wheel.drop(self)
        host.gate.left(self)
        self.transport = None
        if self.exchange is not None:
            self.exchange.cancel()
            self.exchange = None
        if self.call is None or self.call.cancel():
            self._waiting = False
        if self.user:
            self.service.counters.logouts += 1
            seconds = host.wheel.now() - self.opened
            why = self.reason or "disconnected"
            host.log.emit(
                events.LOGOUT, **self.facts(), reason=why, bytes_in=self.bytes_in, bytes_out=self.bytes_out,
                seconds=seconds,
            )
        elif not self.faulty:
            host.log.emit(
                events.DISCONNECTED, **self.facts(), reason=self.reason or "disconnected", bytes_in=self.bytes_in,
                bytes_out=self.bytes_out,
            )
        if not self._waiting:
            self._end()

    def pauseProducing(self) -> None:
        """The transport has enough unsent output."""
        self._held = True
        if self.state == self.OPEN:
            self.host.wheel.arm(self, self.host.write_timeout)

    def resumeProducing(self) -> None:
        """All output has left."""
        self._held = False
        if self.state == self.OPEN and not self._waiting and not self._pumping:
            self._pump()

    def stopProducing(self) -> None:
        """The connection is going; `connectionLost` follows."""

    # --- what the worker calls --------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The wheel: the present deadline has passed."""
        if self.state != self.OPEN:
            self._abort(("no PROXY header", "no TLS handshake", "", "", "")[self.state])
        elif self._held:
            self._abort("the client takes nothing")
        elif not self._waiting:
            self._guarded(self._engine.timer)
            if self.state == self.OPEN:
                self._pump()
            if self.state == self.OPEN and not self.user and self._login_left() <= 0:
                self._close("no login in time")

    def _login_left(self) -> float:
        """Seconds in which the client may still log in."""
        return self.opened + self.host.login_timeout - self.host.wheel.now()

    def shutdown(self, text: str) -> None:
        """The server stops, or the session is kicked: say goodbye as soon as the engine can."""
        if self.state < self.OPEN or (self.state == self.OPEN and self._held):
            self._abort(text)  # there is nobody to say it to, or nobody who listens
        if self.state != self.OPEN:
            return
        self.reason = self.reason or text
        self._guarded(lambda: self._engine.shutdown(text))
        self._wake()

    def abort(self, reason: str) -> None:
        """Close at once, with no word."""
        self._abort(reason)

    def facts(self) -> dict[str, Any]:
        """What every log line of this connection says."""
        return {
            "connection": self.id,
            "service": self.service.name,
            "user": self.user or None,
            "address": self.address or "local",
            "tls": self.tls.version if self.tls is not None and self.tls.ready else "none",
        }

    @property
    def secure(self) -> bool:
        """Inside TLS."""
        return self.tls is not None and self.tls.ready

    # --- beginnings -------------------------------------------------------------------------------------------------

    @property
    def _engine(self) -> Engine:
        engine = self.engine
        if engine is None:
            raise RuntimeError("no engine yet")
        return engine

    def _enter(self) -> None:
        """It is known who the peer is: let it in or not."""
        refused = self.host.gate.enter(self)
        if refused is not None:
            self.faulty = True
            self.service.counters.refused += 1
            self.host.log.emit(events.REFUSED, **self.facts(), reason=refused)
            if self.service.refusal and not self.service.implicit_tls:
                self.transport.write(self.service.refusal)
            self._close(refused)
            return
        self.host.log.emit(events.CONNECTED, **self.facts())
        if self.service.implicit_tls:
            self.state = self.HANDSHAKE
            self._start_tls()
        else:
            self._begin()

    def _begin(self) -> None:
        """Everything before the first word of the protocol is done."""
        service = self.service
        secure = self.secure
        starttls = not secure and service.certificates() is not None
        self.state = self.OPEN
        self.engine = service.build(Greeting(
            tls=secure,
            starttls=starttls,
            cleartext=secure or service.cleartext,
            mechanisms=service.mechanisms(secure),
            mechanisms_tls=service.mechanisms(True) if starttls else (),
            connection=self.id,
        ))
        self.engine.on_wake = self._wake
        self._pump()

    def _receive_proxy(self, data: bytes) -> None:
        self._early += data
        try:
            header = parse(self._early)
        except BadHeader as error:
            self.faulty = True
            self.service.counters.refused += 1
            self.host.log.emit(events.REFUSED, **self.facts(), reason=f"PROXY header: {error}")
            self._abort("PROXY header")
            return
        if header is None:
            return
        rest, self._early = self._early[header.size :], b""
        if header.address:
            self.address, self.port = header.address, header.port
        self._enter()
        if rest and not self.lost:
            self.dataReceived(rest)

    def _start_tls(self) -> None:
        certificates = self.service.certificates()
        if certificates is None:
            self._abort("no certificate")
            return
        self.tls = TlsFilter(certificates, self.transport.write)

    def _receive_tls(self, tls: TlsFilter, data: bytes) -> None:
        try:
            for plain in tls.receive(data):
                if plain:
                    if self.state == self.OPEN:
                        self._receive(plain)
                elif self.engine is None:
                    self._begin()
                else:
                    self._tls_began()
                if self.state >= self.CLOSING:
                    return
            if tls.closed and not self._over:
                self.readConnectionLost()
        except TlsFailed as error:
            if not self.lost:
                self.faulty = True
                self.service.counters.tls_failures += 1
                self.host.log.emit(events.TLS_FAILED, **self.facts(), reason=str(error))
                self._close(f"TLS: {error}")

    def _tls_began(self) -> None:
        """STARTTLS is done."""
        self.state = self.OPEN
        self._waiting = False
        self._guarded(lambda: self._engine.resume(None))
        self._pump()

    # --- the engine -------------------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        self.bytes_in += len(data)
        self.service.counters.bytes_in += len(data)
        self.active = True
        engine = self.engine
        if engine is None:
            return
        if self.raw is not None:
            self.raw.client(data)
        blocked = self._waiting or self._held
        try:
            engine.receive(data)
        except ProtocolFault as fault:
            self._fault(fault)
            return
        except Exception as error:
            self._bug(error)
            return
        if not blocked and not self._pumping:
            self._pump()
        if not (self._deaf or engine.hungry) and self.state == self.OPEN:
            self._deaf = True
            self.transport.pauseProducing()

    def _listen(self) -> None:
        """Read on, if the engine takes it."""
        if self._deaf and self._engine.hungry:
            self._deaf = False
            self.transport.resumeProducing()

    def _wake(self) -> None:
        """The engine's `on_wake`; may come from anywhere on this thread, also from inside a pump."""
        if self._pumping:
            self._again = True
        elif not (self._waiting or self._held or self._queued) and self.state == self.OPEN:
            self._queued = True
            self.host.turns.add(self._turn)

    def _turn(self) -> None:
        self._queued = False
        if self.state == self.OPEN and not (self._waiting or self._held or self._pumping):
            self._pump()

    def _pump(self) -> None:
        """Ask the engine for steps until it needs something."""
        engine = self._engine
        next_step = engine.next_step
        self._pumping = True
        pieces: list[bytes] = []
        size = 0
        stop = perf_counter() + BUDGET
        steps = 0
        try:
            while True:
                step = next_step()
                kind = type(step)
                if kind is Send:
                    data: bytes = step.data  # type: ignore[union-attr]  # `kind` is checked instead of isinstance: speed
                    pieces.append(data)
                    size += len(data)
                    steps += 1
                    if size < COALESCE and steps % CLOCK_EVERY:
                        continue
                    if size >= COALESCE or perf_counter() > stop:
                        self._write(pieces, size)
                        pieces, size = [], 0
                elif kind is Need:
                    if self._again:
                        self._again = False
                        continue
                    if pieces:
                        self._write(pieces, size)
                        pieces = []
                    if not self._held:
                        self._rest(step.timeout)  # type: ignore[union-attr]
                    return
                elif kind is Log:
                    if self.host.log.wanted(step.event):  # type: ignore[union-attr]
                        self.host.log.named(step.event, {**self.facts(), **step.fields})  # type: ignore[union-attr]
                    steps += 1
                    if steps % CLOCK_EVERY:
                        continue
                else:
                    if pieces:
                        self._write(pieces, size)
                        pieces = []
                    if self.state == self.OPEN:
                        self._submit(step)
                    return
                if self._held or self.state != self.OPEN:
                    return
                if perf_counter() > stop:
                    self._queued = True
                    self.host.turns.add(self._turn)
                    return
        except ProtocolFault as fault:
            if pieces:
                self._write(pieces, size)
            self._fault(fault)
        except Exception as error:
            if pieces:
                self._write(pieces, size)
            self._bug(error)
        finally:
            self._pumping = False
            self._again = False

    def _rest(self, timeout: float) -> None:
        """The engine needs more bytes, a wake-up or time."""
        if self.state != self.OPEN:
            return
        if self._over:
            self._close("disconnected")
            return
        self.host.wheel.arm(self, timeout if self.user else min(timeout, self._login_left()))
        self._listen()

    def _submit(self, step: Any) -> None:
        """A step that will be answered, or the last one."""
        host = self.host
        if type(step) is Close:
            self._close(step.reason)
            return
        self._waiting = True
        host.wheel.disarm(self)
        if type(step) is Blocking:
            self.call = host.offload.run(step.call, step.key, self._answered)
            self._listen()
        elif type(step) is Compute:
            if self._over:
                self._abort("disconnected")
                self._waiting = False
                return
            self.call = host.helpers.submit(step.job, self._answered)
        elif type(step) is SaslStart:
            self.exchange = host.sasl.start(self, step, self._judged)
        elif type(step) is SaslRespond and self.exchange is not None:
            self.exchange.respond(step)
        elif type(step) is SaslCancel:
            if self.exchange is not None:
                self.exchange.cancel()
                self.exchange = None
            host.turns.add(self._cancelled)
        elif type(step) is StartTls:
            # What is in the transport's buffer leaves before the handshake; what the client sent before it has seen
            # our answer is now read as a handshake, and fails as one.
            self.state = self.HANDSHAKE
            host.wheel.arm(self, host.handshake_timeout)
            self._start_tls()
            if self._deaf and self.transport is not None:
                self._deaf = False
                self.transport.resumeProducing()
        else:
            raise TypeError(f"an engine made a step that cannot be done: {step!r}")

    def _answered(self, value: Any, error: BaseException | None) -> None:
        """A call or job has ended."""
        self.call = None
        self._waiting = False
        if error is not None and not isinstance(error, (MailError, ProtocolFault)):
            self._report(error)
        engine = self._engine
        if error is None:
            self._guarded(lambda: engine.resume(value))
        else:
            self._guarded(lambda: engine.fail(error))
        if self.lost:
            self._end()
        elif self.state == self.OPEN and not self._held:
            self._pump()

    def _cancelled(self) -> None:
        self._judged(SaslFailure(SaslReason.CANCELLED, "Authentication was cancelled"))

    def _judged(self, answer: Answer) -> None:
        """The auth process has spoken."""
        if self.lost:
            return
        self._waiting = False
        mechanism = self.exchange.mechanism if self.exchange is not None else None
        if type(answer) is SaslSuccess:
            self.exchange = None
            self.account = answer.account
            self.user = answer.account.user
            self.host.gate.logged_in(self)
            self.service.counters.logins += 1
            self.host.log.emit(events.LOGIN, **self.facts(), mechanism=mechanism)
            self.raw = self.host.raw(self, self.user)
        elif type(answer) is SaslFailure:
            self.exchange = None
            self.service.counters.login_failures += 1
        self._guarded(lambda: self._engine.resume(answer))
        if self.state == self.OPEN and not self._held:
            self._pump()

    # --- output and endings -----------------------------------------------------------------------------------------

    def _write(self, pieces: list[bytes], size: int) -> None:
        if self.lost:
            return
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.bytes_out += size
        self.service.counters.bytes_out += size
        if self.raw is not None:
            self.raw.server(data)
        if self.tls is None:
            self.transport.write(data)
            return
        try:
            self.tls.write(data)
        except TlsFailed as error:
            self.faulty = True
            self.host.log.emit(events.TLS_FAILED, **self.facts(), reason=str(error))
            self._abort(f"TLS: {error}")

    def _guarded(self, call: Callable[[], None]) -> None:
        """Call the engine outside a pump."""
        try:
            call()
        except ProtocolFault as fault:
            self._fault(fault)
        except Exception as error:
            self._bug(error)

    def _fault(self, fault: ProtocolFault) -> None:
        self.faulty = True
        self.service.counters.faults += 1
        self.host.log.emit(events.FAULT, **self.facts(), reason=fault.text)
        self._close(f"fault: {fault.text}")

    def _report(self, error: BaseException) -> None:
        if error is not self._reported:
            self._reported = error
            self.service.counters.bugs += 1
            self.host.log.bug(error, **self.facts())

    def _bug(self, error: BaseException) -> None:
        self._report(error)
        if self.state == self.OPEN and self.engine is not None:
            try:
                last = self.engine.bug()
            except Exception:
                last = b""
            if last:
                self._write([last], len(last))
        self._close("bug")

    def _close(self, reason: str) -> None:
        """Flush, then close; the peer may close first."""
        if self.state >= self.CLOSING or self.transport is None:
            return
        self.state = self.CLOSING
        self.reason = self.reason or reason
        transport = self.transport
        transport.unregisterProducer()
        if self.tls is not None:
            self.tls.finish()
        # What is unsent may take its time, as long as any other output.
        self.host.wheel.arm(self, self.host.write_timeout)
        if self._over:
            transport.loseConnection()
            return
        transport.loseWriteConnection()
        if self._deaf:
            self._deaf = False
            transport.resumeProducing()

    def _abort(self, reason: str) -> None:
        if self.transport is None:
            return
        self.reason = self.reason or reason
        self.state = self.CLOSING
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def _end(self) -> None:
        """Connection and last call are both gone: let go of everything."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.on_wake = None
            try:
                engine.close()
            except Exception as error:
                self._report(error)
        if self.raw is not None:
            self.raw.close()
            self.raw = None
        if self.user:
            self.host.sasl.closed(self)
            self.account = None
