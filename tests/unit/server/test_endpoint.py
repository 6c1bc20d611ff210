"""The host of engines: what it asks of them, when, and what it does with the answers."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from culverhouse.model.errors import Kind, MailError, ProtocolFault
from culverhouse.model.secret import Secret
from culverhouse.protocols.engine import (
    Blocking,
    Close,
    Compute,
    Log,
    Need,
    SaslCancel,
    SaslChallenge,
    SaslFailure,
    SaslReason,
    SaslRespond,
    SaslStart,
    SaslSuccess,
    Send,
    StartTls,
)
from culverhouse.server.endpoint import Endpoint
from culverhouse.server.events import EventLog
from culverhouse.server.hosting import Host, Service
from culverhouse.server.limits import Gate
from culverhouse.server.metrics import Counters
from culverhouse.server.offload import Ticket
from culverhouse.server.timers import Turns, Wheel
from culverhouse.server.tls import Certificates


class Script:
    """An engine that does what it is told: each line it receives is looked up, the steps found there follow."""

    def __init__(self, lines: dict[bytes, list[Any]]) -> None:
        self.lines = lines
        self.steps: list[Any] = [Send(b"* hello\r\n")]
        self.on_wake: Callable[[], None] | None = None
        self.hungry = True
        self.buffer = b""
        self.heard: list[Any] = []
        self.greeting: Any = None
        self.idle = 1800.0

    def receive(self, data: bytes) -> None:
        self.heard.append(data)
        *lines, self.buffer = (self.buffer + data).split(b"\r\n")
        for line in lines:
            self.steps += self.lines.get(line, [Send(b"? " + line + b"\r\n")])

    def next_step(self) -> Any:
        if not self.steps:
            return Need(self.idle)
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        return step() if callable(step) else step

    def resume(self, value: Any) -> None:
        self.heard.append(("resume", value))

    def fail(self, error: BaseException) -> None:
        self.heard.append(("fail", error))

    def wake(self) -> None:
        self.steps.append(Send(b"* woken\r\n"))
        if self.on_wake is not None:
            self.on_wake()

    def timer(self) -> None:
        self.heard.append("timer")
        self.steps += [Send(b"* idle\r\n"), Close("idle")]

    def shutdown(self, text: str) -> None:
        self.steps += [Send(b"* BYE " + text.encode() + b"\r\n"), Close("shutdown")]

    def bug(self) -> bytes:
        return b"* BUG\r\n"

    def close(self) -> None:
        self.heard.append("close")


class Pool:
    """Offload and helpers in one: outcomes come when the test says so."""

    def __init__(self) -> None:
        self.submitted: list[Any] = []
        self.begun = True

    def run(self, call: Any, key: Any, done: Any) -> Any:
        import threading

        ticket = Ticket(call, key, done, threading.Lock())
        ticket.begun = self.begun
        self.submitted.append(ticket)
        return ticket

    def submit(self, job: Any, done: Any) -> Any:
        self.submitted.append(Job(job, done))
        return self.submitted[-1]


class Job:
    def __init__(self, job: Any, done: Any) -> None:
        self.job, self.done = job, done

    def cancel(self) -> bool:
        return False


class Auth:
    mechanism = "PLAIN"

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.answer: Any = None

    def start(self, endpoint: Any, step: Any, answer: Any) -> Any:
        self.heard.append(step)
        self.answer = answer
        return self

    def respond(self, step: Any) -> None:
        self.heard.append(step)

    def cancel(self) -> None:
        self.heard.append("cancel")

    def closed(self, endpoint: Any) -> None:
        self.heard.append(("closed", endpoint.id))


class Somebody:
    user = "bob"


class World:
    """One endpoint with everything around it."""

    def __init__(self, reactor: Any, transport: Any, lines: dict[bytes, list[Any]], **options: Any) -> None:
        self.reactor, self.transport = reactor, transport
        self.engine = Script(lines)
        self.pool, self.auth = Pool(), Auth()
        self.lines: list[bytes] = []
        self.gate = options.pop("gate", Gate(10, 10))
        self.host = Host(
            reactor=reactor, offload=self.pool, helpers=self.pool, sasl=self.auth, gate=self.gate,  # type: ignore
            wheel=Wheel(reactor, clock=reactor.seconds), turns=Turns(reactor),
            log=EventLog("t", write=self.lines.append),
            login_timeout=180.0, write_timeout=300.0, handshake_timeout=30.0,
        )
        certificates = options.pop("certificates", None)
        proxy = options.pop("proxy", False)

        def build(greeting: Any) -> Any:
            self.engine.greeting = greeting
            return self.engine

        self.service = Service(
            "imap", build, False, lambda tls: ("PLAIN",) if tls else (), Counters(), b"* BYE full\r\n",
            certificates=lambda: certificates, **options,
        )
        self.endpoint = Endpoint(self.host, self.service, "c1", "192.0.2.1", 5000, proxy)
        self.endpoint.makeConnection(transport)

    def say(self, data: bytes) -> bytes:
        self.endpoint.dataReceived(data)
        written: bytes = self.transport.take()
        return written

    def events(self) -> list[str]:
        return [line.split()[3].decode() for line in self.lines]

    def login(self) -> None:
        self.engine.lines[b"LOGIN"] = [SaslStart("PLAIN", Secret(b"x"), "imap")]
        self.say(b"LOGIN\r\n")
        self.auth.answer(SaslSuccess(Somebody()))  # type: ignore[arg-type]


@pytest.fixture
def make(reactor: Any, transport: Any) -> Callable[..., World]:
    def made(lines: dict[bytes, list[Any]] | None = None, **options: Any) -> World:
        world = World(reactor, transport, lines or {}, **options)
        if options.get("proxy") is None and "gate" not in options and not options.get("implicit_tls"):
            assert transport.take() == b"* hello\r\n"
        return world

    return made


def test_sends_of_one_turn_leave_in_one_write(make: Any) -> None:
    world = make({b"x": [Send(b"one "), Send(b"two "), Send(b"three\r\n")]})
    writes: list[bytes] = []
    world.transport.write = writes.append
    world.say(b"x\r\n")
    assert writes == [b"one two three\r\n"]
    assert world.endpoint.bytes_out == len(b"* hello\r\none two three\r\n")
    assert world.endpoint.bytes_in == 3


def test_output_stops_when_the_client_does_not_read_and_goes_on_when_it_does(make: Any, reactor: Any) -> None:
    world = make({b"big": [Send(b"x" * 65_536) for _ in range(20)]})
    world.transport.full = True
    written = len(world.say(b"big\r\n"))
    assert written == 65_536
    assert len(world.engine.steps) == 19
    world.transport.full = False
    world.endpoint.resumeProducing()
    reactor.advance(0)  # a slow machine needs more than one turn
    assert len(world.transport.take()) == 19 * 65_536


def test_a_client_that_takes_nothing_is_dropped(make: Any, reactor: Any) -> None:
    world = make({b"big": [Send(b"x" * 65_536), Send(b"y")]})
    world.transport.full = True
    world.say(b"big\r\n")
    reactor.advance(299)
    assert not world.transport.aborted
    reactor.advance(3)
    assert world.transport.aborted


def test_a_long_answer_does_not_hold_the_reactor(make: Any, reactor: Any) -> None:
    def slow() -> Any:
        until = time.perf_counter() + 0.0005
        while time.perf_counter() < until:
            pass
        return Send(b".")

    world = make({b"long": [slow] * 200})
    writes: list[bytes] = []
    world.transport.write = writes.append
    world.say(b"long\r\n")
    assert len(writes) == 1
    assert world.engine.steps
    reactor.advance(0)
    assert not world.engine.steps
    assert len(writes) >= 3
    assert sum(map(len, writes)) == 200


def test_input_is_read_ahead_while_a_call_runs_until_the_engine_has_enough(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None)]})
    world.say(b"wait\r\n")
    world.say(b"next\r\n")
    assert world.transport.reading
    assert world.engine.heard == [b"wait\r\n", b"next\r\n"]
    world.engine.hungry = False
    world.say(b"more\r\n")
    assert not world.transport.reading
    world.engine.hungry = True
    world.pool.submitted[0].done(None, None)
    assert world.transport.take() == b"? next\r\n? more\r\n"
    assert world.transport.reading


def test_reading_goes_on_while_the_next_call_runs(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None), Blocking(lambda: None)]})
    world.say(b"wait\r\n")
    world.engine.hungry = False
    world.say(b"x")
    world.engine.hungry = True
    world.pool.submitted[0].done(None, None)
    assert len(world.pool.submitted) == 2
    assert world.transport.reading


def test_reading_stops_while_the_engine_is_not_hungry(make: Any) -> None:
    world = make()
    world.engine.hungry = False
    world.say(b"a\r\n")
    assert not world.transport.reading
    world.engine.hungry = True
    world.engine.wake()
    world.reactor.advance(0)
    assert world.transport.reading


def test_values_and_refusals_of_calls_reach_the_engine(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: 7, "k"), Send(b"done\r\n")]})
    world.say(b"wait\r\n")
    assert world.pool.submitted[0].key == "k"
    world.pool.submitted[0].done(7, None)
    assert world.engine.heard[-1] == ("resume", 7)
    assert world.transport.take() == b"done\r\n"
    world.say(b"wait\r\n")
    refusal = MailError(Kind.CANNOT, "no")
    world.pool.submitted[1].done(None, refusal)
    assert world.engine.heard[-1] == ("fail", refusal)
    assert "bug" not in world.events()


def test_an_unexpected_exception_of_a_call_is_logged_once_and_given_to_the_engine(make: Any) -> None:
    problem = ValueError("oops")
    world = make({b"wait": [Blocking(lambda: None), problem]})
    world.say(b"wait\r\n")
    world.pool.submitted[0].done(None, problem)
    assert world.events().count("bug") == 1
    assert world.transport.take() == b"* BUG\r\n"
    assert world.transport.half_closed


def test_jobs_go_to_the_helpers(make: Any) -> None:
    world = make({b"search": [Compute("job")]})  # type: ignore[arg-type]
    world.say(b"search\r\n")
    assert world.pool.submitted[0].job == "job"
    world.pool.submitted[0].done([1], None)
    assert world.engine.heard[-1] == ("resume", [1])


def test_a_bug_is_told_to_the_client_and_closes(make: Any) -> None:
    world = make({b"bad": [Send(b"before "), ZeroDivisionError()]})
    assert world.say(b"bad\r\n") == b"before * BUG\r\n"
    assert world.transport.half_closed
    assert "bug" in world.events()
    assert world.service.counters.bugs == 1


def test_a_fault_closes_after_what_was_said(make: Any) -> None:
    world = make({b"bad": [Send(b"* BYE too long\r\n"), ProtocolFault("too long", fatal=True)]})
    assert world.say(b"bad\r\n") == b"* BYE too long\r\n"
    assert world.transport.half_closed
    assert "fault" in world.events()


def test_closing_waits_for_the_peer_and_drops_what_still_comes(make: Any, reactor: Any) -> None:
    world = make({b"quit": [Send(b"bye\r\n"), Close("quit")]})
    assert world.say(b"quit\r\n") == b"bye\r\n"
    assert world.transport.half_closed
    assert not world.transport.aborted
    world.say(b"more\r\n")
    assert world.engine.heard == [b"quit\r\n"]
    world.endpoint.writeConnectionLost()
    reactor.advance(3)
    assert world.transport.aborted


def test_the_peers_end_closes_when_what_it_asked_is_done(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None), Send(b"done\r\n")]})
    world.say(b"wait\r\n")
    world.endpoint.readConnectionLost()
    assert not world.transport.aborted
    world.pool.submitted[0].done(None, None)
    assert world.transport.take() == b"done\r\n"
    assert world.transport.closed


def test_nothing_long_is_begun_for_a_peer_that_is_gone(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None), Compute("job")]})  # type: ignore[arg-type]
    world.say(b"wait\r\n")
    world.endpoint.readConnectionLost()
    world.pool.submitted[0].done(None, None)
    assert len(world.pool.submitted) == 1
    assert world.transport.aborted


def test_a_lost_connection_waits_for_its_call_before_the_engine_is_closed(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None)]})
    world.say(b"wait\r\n")
    world.endpoint.connectionLost()
    assert "close" not in world.engine.heard
    world.pool.submitted[0].done("a spool", None)
    assert world.engine.heard[-2:] == [("resume", "a spool"), "close"]
    assert world.host.sessions == {}


def test_a_call_that_has_not_begun_is_withdrawn_with_its_connection(make: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None)]})
    world.pool.begun = False
    world.say(b"wait\r\n")
    world.endpoint.connectionLost()
    assert world.engine.heard[-1] == "close"
    assert world.pool.submitted[0].cancelled


def test_waking_asks_for_the_next_step_soon_and_never_inside(make: Any, reactor: Any) -> None:
    world = make()
    world.engine.wake()
    world.engine.wake()
    assert world.transport.take() == b""
    reactor.advance(0)
    assert world.transport.take() == b"* woken\r\n* woken\r\n"


def test_waking_inside_a_step_is_not_lost(make: Any) -> None:
    world = make()
    world.engine.lines[b"x"] = [lambda: world.engine.wake() or Send(b"x\r\n")]
    assert world.say(b"x\r\n") == b"x\r\n* woken\r\n"


def test_waking_while_a_call_runs_waits_for_it(make: Any, reactor: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None)]})
    world.say(b"wait\r\n")
    world.engine.wake()
    reactor.advance(0)
    assert world.transport.take() == b""
    world.pool.submitted[0].done(None, None)
    assert world.transport.take() == b"* woken\r\n"


def test_the_engines_time_out(make: Any, reactor: Any) -> None:
    world = make()
    world.login()
    world.engine.idle = 60.0
    world.say(b"x\r\n")
    reactor.advance(59)
    assert "timer" not in world.engine.heard
    reactor.advance(2)
    assert "timer" in world.engine.heard
    assert world.transport.take() == b"* idle\r\n"


def test_a_stranger_cannot_stay_by_sending_now_and_then(make: Any, reactor: Any) -> None:
    world = make()
    world.engine.timer = lambda: None
    for _ in range(40):
        if world.transport.half_closed:
            break
        world.say(b"x\r\n")
        reactor.advance(10)
    assert 160 <= reactor.time - 1000 <= 200


def test_login_and_logout_are_one_line_each(make: Any) -> None:
    world = make()
    world.login()
    assert world.engine.heard[-1][0] == "resume"
    world.endpoint.connectionLost()
    logged = [line.decode() for line in world.lines]
    assert [line.split()[3] for line in logged] == ["login", "logout"]
    assert "user=bob" in logged[0]
    assert "mechanism=PLAIN" in logged[0]
    assert "bytes_in=7" in logged[1]
    assert world.auth.heard[-1] == ("closed", "c1")
    assert world.gate.open == 0


def test_challenges_and_cancellation(make: Any, reactor: Any) -> None:
    world = make({
        b"AUTH": [SaslStart("X", None, "imap")], b"r": [SaslRespond(Secret(b"r"))], b"*": [SaslCancel()],
    })
    world.say(b"AUTH\r\n")
    world.auth.answer(SaslChallenge(b"?"))
    assert world.engine.heard[-1] == ("resume", SaslChallenge(b"?"))
    world.say(b"r\r\n")
    assert isinstance(world.auth.heard[-1], SaslRespond)
    world.auth.answer(SaslChallenge(b"?"))
    world.say(b"*\r\n")
    assert world.auth.heard[-1] == "cancel"
    reactor.advance(0)
    answer = world.engine.heard[-1][1]
    assert isinstance(answer, SaslFailure)
    assert answer.reason == SaslReason.CANCELLED


def test_a_client_that_hangs_up_has_its_exchange_cancelled(make: Any) -> None:
    world = make({b"AUTH": [SaslStart("X", None, "imap")]})
    world.say(b"AUTH\r\n")
    world.endpoint.connectionLost()
    assert world.auth.heard[-1] == "cancel"
    assert world.engine.heard[-1] == "close"


def test_shutdown_says_goodbye_and_closes(make: Any, reactor: Any) -> None:
    world = make()
    world.endpoint.shutdown("stopping")
    reactor.advance(0)
    assert world.transport.take() == b"* BYE stopping\r\n"
    assert world.transport.half_closed


def test_shutdown_ends_a_client_that_does_not_read(make: Any) -> None:
    world = make({b"big": [Send(b"x" * 65_536), Send(b"y")]})
    world.transport.full = True
    world.say(b"big\r\n")
    world.endpoint.shutdown("stopping")
    assert world.transport.aborted


def test_shutdown_waits_for_a_running_call(make: Any, reactor: Any) -> None:
    world = make({b"wait": [Blocking(lambda: None), Send(b"done\r\n")]})
    world.say(b"wait\r\n")
    world.endpoint.shutdown("stopping")
    reactor.advance(0)
    assert world.transport.take() == b""
    world.pool.submitted[0].done(None, None)
    assert world.transport.take() == b"done\r\n* BYE stopping\r\n"


def test_a_refused_connection_is_told_and_closed(make: Any) -> None:
    gate = Gate(0, 0)
    world = make(gate=gate)
    assert world.transport.take() == b"* BYE full\r\n"
    assert world.transport.half_closed
    assert world.endpoint.engine is None
    world.endpoint.connectionLost()
    assert gate.open == 0


def test_engine_events_are_logged_with_the_connection(make: Any) -> None:
    world = make({b"x": [Log("fault", {"reason": "r"})]})
    world.say(b"x\r\n")
    assert b"connection=c1" in world.lines[-1]
    assert b"reason=r" in world.lines[-1]


def test_the_proxy_header_names_the_client(make: Any) -> None:
    world = make(proxy=True)
    assert world.say(b"PROXY TCP4 203.0.113.9 10.0.0.1 ") == b""
    assert world.say(b"4000 143\r\na\r\n") == b"* hello\r\n? a\r\n"
    assert (world.endpoint.address, world.endpoint.port) == ("203.0.113.9", 4000)
    assert world.gate._strangers == {"203.0.113.9": 1}


def test_a_wrong_proxy_header_closes(make: Any) -> None:
    world = make(proxy=True)
    world.say(b"a LOGIN x y\r\n")
    assert world.transport.aborted
    assert "refused" in world.events()
    assert world.engine.heard == []


def test_no_proxy_header_in_time(make: Any, reactor: Any) -> None:
    world = make(proxy=True)
    reactor.advance(31)
    assert world.transport.aborted


class Peer:
    """A TLS client on the other side of a world's transport."""

    def __init__(self, world: World) -> None:
        import ssl

        self.world = world
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.want = ssl.SSLWantReadError

    def shake(self) -> "Peer":
        while True:
            try:
                self.tls.do_handshake()
            except self.want:
                self.move()
            else:
                self.move()
                return self

    def move(self) -> None:
        raw = self.outgoing.read()
        if raw:
            self.world.endpoint.dataReceived(raw)
        self.incoming.write(self.world.transport.take())

    def say(self, data: bytes) -> bytes:
        if data:
            self.tls.write(data)
        self.move()
        try:
            return self.tls.read(1 << 16)
        except self.want:
            return b""


@pytest.fixture
def certificates(make_pem: Any) -> Certificates:
    return Certificates([make_pem("mail.example")])


def test_implicit_tls_greets_after_the_handshake(make: Any, certificates: Certificates) -> None:
    world = make(implicit_tls=True, certificates=certificates)
    assert world.transport.take() == b""
    assert world.endpoint.engine is None
    peer = Peer(world).shake()
    assert peer.say(b"") == b"* hello\r\n"
    assert peer.say(b"a\r\n") == b"? a\r\n"
    greeting = world.engine.greeting
    assert greeting.tls
    assert greeting.cleartext
    assert not greeting.starttls
    assert greeting.mechanisms == ("PLAIN",)


def test_starttls_begins_after_its_answer(make: Any, certificates: Certificates) -> None:
    world = make({b"STARTTLS": [Send(b"OK begin\r\n"), StartTls()]}, certificates=certificates)
    greeting = world.engine.greeting
    assert greeting.starttls
    assert not greeting.cleartext
    assert greeting.mechanisms == ()
    assert greeting.mechanisms_tls == ("PLAIN",)
    assert world.say(b"STARTTLS\r\n") == b"OK begin\r\n"
    peer = Peer(world).shake()
    assert world.engine.heard[-1] == ("resume", None)
    assert peer.say(b"a\r\n") == b"? a\r\n"


def test_what_follows_starttls_in_the_clear_is_never_heard(make: Any, certificates: Certificates) -> None:
    world = make({b"STARTTLS": [Send(b"OK begin\r\n"), StartTls()]}, certificates=certificates)
    world.say(b"STARTTLS\r\n")
    heard = list(world.engine.heard)
    world.say(b"a INJECTED\r\n")
    assert world.engine.heard == heard
    assert world.endpoint.state == Endpoint.CLOSING
    assert "tls-failed" in world.events()


def test_a_connection_lost_in_the_handshake_closes_the_engine(make: Any, certificates: Certificates) -> None:
    world = make({b"STARTTLS": [StartTls()]}, certificates=certificates)
    world.say(b"STARTTLS\r\n")
    world.endpoint.connectionLost()
    assert world.engine.heard[-1] == "close"


def test_a_handshake_that_never_comes_is_ended(make: Any, certificates: Certificates, reactor: Any) -> None:
    world = make({b"STARTTLS": [StartTls()]}, certificates=certificates)
    world.say(b"STARTTLS\r\n")
    reactor.advance(31)
    assert world.transport.aborted


def test_the_peers_tls_goodbye_ends_the_connection(make: Any, certificates: Certificates) -> None:
    world = make(implicit_tls=True, certificates=certificates)
    peer = Peer(world).shake()
    peer.say(b"")
    with pytest.raises(peer.want):
        peer.tls.unwrap()
    peer.move()
    assert world.endpoint.state == Endpoint.CLOSING
    peer.tls.unwrap()


def test_an_idle_connection_keeps_no_timer_and_no_dict(make: Any, reactor: Any) -> None:
    world = make()
    before = len(reactor.calls)
    for _ in range(50):
        world.say(b"x\r\n")
    assert len(reactor.calls) <= before + 1
    assert not hasattr(world.endpoint, "__dict__")
