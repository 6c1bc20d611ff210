"""Accounts shared by sessions, and a worker's link to the auth process, with stand-ins for both."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from culverhouse.auth import wire
from culverhouse.config import Config
from culverhouse.config.schema import Auth, Listen, Mail
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.secret import Secret
from culverhouse.model.store import Report
from culverhouse.protocols.engine import SaslChallenge, SaslFailure, SaslReason, SaslRespond, SaslStart, SaslSuccess
from culverhouse.server import accounts as accounts_module
from culverhouse.server import authclient as authclient_module
from culverhouse.server.accounts import LINGER, UPKEEP, Accounts
from culverhouse.server.authclient import AuthClient
from culverhouse.server.events import EventLog
from culverhouse.server.timers import Wheel


class Account:
    """What the server knows of an account."""

    made: list["Account"] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, spec: AccountSpec, watcher: Any, bell: Any, environments: Any) -> None:
        self.spec, self.user, self.key = spec, spec.user, spec.user
        self.prepared = 0
        self.released = 0
        self.rung: list[str] = []
        self.reports: list[Report] = []
        self.problem: Exception | None = None
        self.work: Any = None
        Account.made.append(self)

    def prepare(self) -> None:
        self.prepared += 1
        if self.problem is not None:
            raise self.problem

    def doorbell(self, mailbox_id: str) -> None:
        self.rung.append(mailbox_id)

    def upkeep(self) -> Any:
        return self.work

    def drain_reports(self) -> list[Report]:
        reports, self.reports = self.reports, []
        return reports

    def release(self) -> None:
        self.released += 1


class Pool:
    """Keeps calls until the test runs them."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def run(self, call: Any, key: Any, done: Any) -> None:
        self.calls.append((call, key, done))

    def go(self) -> None:
        calls, self.calls = self.calls, []
        for call, _, done in calls:
            try:
                value = call()
            except Exception as error:
                done(None, error)
            else:
                done(value, None)


class Scene:
    def __init__(self, reactor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Account.made.clear()
        monkeypatch.setattr(accounts_module, "Account", Account)
        self.reactor, self.pool = reactor, Pool()
        self.lines: list[bytes] = []
        log = EventLog("t", write=self.lines.append)
        environments: Any = SimpleNamespace(maintain=lambda: None)
        self.accounts = Accounts(reactor, self.pool, None, environments, log)  # type: ignore[arg-type]
        self.config = Config(listen=Listen(), auth=Auth(), mail=Mail(home="/h/{user}"))
        self.sessions: dict[str, Any] = {}
        self.sent: list[Any] = []
        self.channels: list[Any] = []
        scene = self

        class Channel:
            def __init__(self, reactor: Any, link: Any, received: Any, lost: Any, longest: int) -> None:
                self.received, self.lost = received, lost
                link.close()
                scene.channels.append(self)

            def send_framed(self, data: bytes) -> None:
                scene.sent.append(wire.decode(data[4:]))

            def close(self) -> None:
                pass

        monkeypatch.setattr(authclient_module, "Channel", Channel)
        self.path = tmp_path / "auth"
        self.wheel = Wheel(reactor, clock=reactor.seconds)
        self.client = AuthClient(
            reactor, self.config, "w1", str(self.path), self.accounts, self.wheel, log, self.sessions
        )
        self.listening: Any = None

    def listen(self) -> None:
        import socket

        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.path))
        self.listening.listen(100)

    def hear(self, message: Any) -> None:
        self.channels[-1].received(wire.encode(message)[4:])

    def endpoint(self, name: str, user: str = "") -> Any:
        made = SimpleNamespace(
            id=name, user=user, service=SimpleNamespace(name="imap", cleartext=True), address="192.0.2.1", secure=False,
            tls=None, opened=self.reactor.seconds(), active=True, account=None, facts=lambda: {"connection": name},
            shutdown=lambda text: self.sent.append(("shutdown", name, text)),
        )
        self.sessions[name] = made
        return made

    def ask(self, name: str = "c1") -> tuple[Any, list[Any]]:
        answers: list[Any] = []
        step = SaslStart("PLAIN", Secret(b"\0bob\0x"), "imap")
        return self.client.start(self.sessions.get(name) or self.endpoint(name), step, answers.append), answers

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]


@pytest.fixture
def scene(reactor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Scene(reactor, tmp_path, monkeypatch)
    yield made
    if made.listening is not None:
        made.listening.close()


SPEC = AccountSpec("bob", "maildir:/h/bob", "maildir++", "/", "", "/i/bob")


def test_an_account_is_prepared_once_for_all_who_wait(scene: Scene) -> None:
    ready: list[Any] = []
    for _ in range(3):
        scene.accounts.acquire(SPEC, lambda account, error: ready.append((account, error)))
    assert ready == []
    assert [key for _, key, _ in scene.pool.calls] == ["bob"]
    scene.pool.go()
    (account,) = Account.made
    assert ready == [(account, None)] * 3
    scene.accounts.acquire(SPEC, lambda account, error: ready.append((account, error)))
    scene.reactor.advance(0)
    assert len(ready) == 4
    assert account.prepared == 1


def test_an_account_that_cannot_be_prepared_is_tried_again_by_the_next(scene: Scene) -> None:
    ready: list[Any] = []
    scene.accounts.acquire(SPEC, lambda account, error: ready.append(error))
    Account.made[0].problem = OSError("disk")
    scene.pool.go()
    assert isinstance(ready[0], MailError)
    assert ready[0].kind == Kind.UNAVAILABLE
    assert any(b" bug " in line for line in scene.lines)
    Account.made[0].problem = None
    scene.accounts.acquire(SPEC, lambda account, error: ready.append(error))
    scene.pool.go()
    assert ready[1] is None


def test_an_account_is_released_some_time_after_its_last_session(scene: Scene) -> None:
    scene.accounts.acquire(SPEC, lambda account, error: None)
    scene.pool.go()
    (account,) = Account.made
    scene.reactor.advance(LINGER + 2 * UPKEEP)
    assert account.released == 0
    scene.accounts.leave(account)  # type: ignore[arg-type]
    scene.reactor.advance(LINGER - UPKEEP)
    assert account.released == 0
    scene.reactor.advance(3 * UPKEEP)
    assert account.released == 1
    assert len(scene.accounts) == 0


def test_upkeep_runs_under_the_accounts_key_and_reports_are_logged(scene: Scene) -> None:
    scene.accounts.acquire(SPEC, lambda account, error: None)
    scene.pool.go()
    (account,) = Account.made
    done: list[int] = []
    account.work = lambda: done.append(1)
    account.reports = [Report("uidlist-repaired", "/h/bob", "line 3")]
    scene.reactor.advance(UPKEEP + 1)
    assert "bob" in [key for _, key, _ in scene.pool.calls]
    scene.pool.go()
    assert done == [1]
    assert any(b"what=uidlist-repaired" in line and b"user=bob" in line for line in scene.lines)


def test_rings_reach_the_account_of_that_user(scene: Scene) -> None:
    scene.accounts.acquire(SPEC, lambda account, error: None)
    scene.accounts.rung("bob", "g1")
    scene.accounts.rung("alice", "g2")
    assert Account.made[0].rung == ["g1"]


def test_a_login(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    assert scene.of(wire.Hello) == [wire.Hello("w1")]
    exchange, answers = scene.ask()
    (start,) = scene.of(wire.AuthStart)
    assert (start.connection, start.address, start.mechanism, start.cleartext) == ("c1", "192.0.2.1", "PLAIN", True)
    scene.hear(wire.Challenge(start.id, b"?"))
    assert answers == [SaslChallenge(b"?")]
    exchange.respond(SaslRespond(Secret(b"!")))
    scene.hear(wire.Success(start.id, "bob", home=None))
    scene.pool.go()
    assert isinstance(answers[1], SaslSuccess)
    assert answers[1].account.user == "bob"
    assert answers[1].account.spec.store == "maildir:/h/bob/Maildir"


def test_a_failure_is_logged_with_what_only_the_log_may_know(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    _, answers = scene.ask()
    (start,) = scene.of(wire.AuthStart)
    scene.hear(wire.Failure(start.id, wire.Reason.CREDENTIALS, "no", "bob", "unknown user"))
    assert answers == [SaslFailure(SaslReason.CREDENTIALS, "no")]
    assert b'detail="unknown user"' in scene.lines[-1]


def test_what_is_asked_while_the_link_is_down_is_sent_when_it_is_back(scene: Scene) -> None:
    scene.client.start_link()
    _, answers = scene.ask()
    assert scene.sent == []
    scene.listen()
    scene.reactor.advance(1)
    assert len(scene.of(wire.AuthStart)) == 1
    assert answers == []


def test_what_nobody_answers_ends_in_time(scene: Scene) -> None:
    scene.client.start_link()
    _, answers = scene.ask()
    scene.reactor.advance(scene.config.timeouts.auth + 1)
    assert [answer.reason for answer in answers] == [SaslReason.UNAVAILABLE]
    scene.listen()
    scene.reactor.advance(2)
    assert scene.of(wire.AuthStart) == []


def test_after_a_reconnection_sessions_are_announced_and_exchanges_are_over(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    scene.endpoint("old", "alice")
    _, owed = scene.ask("c1")
    waiting, challenged = scene.ask("c2")
    scene.hear(wire.Challenge(waiting.id, b"?"))
    scene.sent.clear()
    scene.channels[-1].lost()
    assert [answer.reason for answer in owed] == [SaslReason.UNAVAILABLE]
    assert len(challenged) == 1
    scene.reactor.advance(0)
    (opened,) = scene.of(wire.SessionOpened)
    assert (opened.connection, opened.user) == ("old", "alice")
    waiting.respond(SaslRespond(Secret(b"!")))
    scene.reactor.advance(0)
    assert isinstance(challenged[1], SaslFailure)
    assert scene.of(wire.AuthContinue) == []


def test_who_hangs_up_leaves_no_session_behind(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    exchange, answers = scene.ask()
    exchange.cancel()
    assert scene.of(wire.AuthCancel)
    assert scene.of(wire.SessionClosed) == [wire.SessionClosed("c1")]
    scene.hear(wire.Success(exchange.id, "bob"))
    assert answers == []
    assert Account.made == []


def test_who_hangs_up_while_the_account_is_prepared_gives_it_back(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    exchange, answers = scene.ask()
    scene.hear(wire.Success(exchange.id, "bob"))
    exchange.cancel()
    scene.pool.go()
    assert answers == []
    assert wire.SessionClosed("c1") in scene.sent
    scene.reactor.advance(LINGER + 3 * UPKEEP)
    assert Account.made[0].released == 1


@pytest.mark.parametrize(("user", "home"), [("../bob", None), ("bob", "relative"), ("bob", "/h/../etc")])
def test_a_user_without_a_safe_path_is_not_let_in(scene: Scene, user: str, home: str | None) -> None:
    scene.listen()
    scene.client.start_link()
    exchange, answers = scene.ask()
    scene.hear(wire.Success(exchange.id, user, home))
    assert [answer.reason for answer in answers] == [SaslReason.UNAVAILABLE]
    assert wire.SessionClosed("c1") in scene.sent
    assert any(b"account-unusable" in line for line in scene.lines)


def test_kicks_reach_the_connection(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    scene.endpoint("c7", "bob")
    scene.hear(wire.Kick("c7", "bye"))
    scene.hear(wire.Kick("gone", "bye"))
    assert ("shutdown", "c7", "bye") in scene.sent


def test_mechanisms_by_what_the_connection_can_keep_secret(scene: Scene) -> None:
    import dataclasses

    scene.listen()
    scene.client.start_link()
    ready: list[int] = []
    scene.client.on_ready = lambda: ready.append(1)
    names = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
    scene.hear(wire.Mechanisms(names))
    assert ready == [1]
    assert scene.client.mechanisms(True) == names
    assert scene.client.mechanisms(False) == ("SCRAM-SHA-256",)
    scene.client._config = dataclasses.replace(scene.config, auth=Auth(cleartext="always"))
    assert scene.client.mechanisms(False) == ("PLAIN", "LOGIN", "SCRAM-SHA-256")


def test_activity_is_told_once(scene: Scene) -> None:
    scene.listen()
    scene.client.start_link()
    endpoint = scene.endpoint("c1", "bob")
    scene.endpoint("stranger")
    scene.client.watch_activity()
    assert scene.of(wire.SessionsActive) == [wire.SessionsActive(("c1",))]
    scene.reactor.advance(authclient_module.ACTIVE_SECONDS + 1)
    assert len(scene.of(wire.SessionsActive)) == 1
    endpoint.active = True
    scene.reactor.advance(authclient_module.ACTIVE_SECONDS + 1)
    assert len(scene.of(wire.SessionsActive)) == 2
