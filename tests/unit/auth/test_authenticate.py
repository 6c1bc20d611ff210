"""The whole decision without a socket or a real clock: who gets in, how long it takes, and what it gives away."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import pytest

from culverhouse.auth import scram_keys
from culverhouse.auth.authenticate import PRIVACY, UNAVAILABLE, Authenticator, Exchange, Hash, Wait
from culverhouse.auth.backends.record import BackendUnavailable, UserRecord
from culverhouse.auth.mechanisms import WRONG, Ask
from culverhouse.auth.passwords import DeriveJob, VerifyJob, hash_new
from culverhouse.auth.sessions import Sessions
from culverhouse.auth.wire import AuthStart, Failure, Reason, Success
from culverhouse.config.expand import user_form
from culverhouse.model.secret import Secret

SLOW = hash_new(b"pencil", "SHA512-CRYPT")


class Memory:
    """A backend of a dictionary."""

    name = "memory"

    def __init__(self, users: dict[str, str], **extra: str) -> None:
        self.users = {user: UserRecord(user, stored, 5, 6, f"/h/{user}", extra) for user, stored in users.items()}
        self.broken = False

    def lookup(self, user: str) -> UserRecord | None:
        if self.broken:
            raise BackendUnavailable("the disk is gone")
        return self.users.get(user)

    def mimic(self, number: int) -> UserRecord | None:
        return list(self.users.values())[number % len(self.users)] if self.users else None

    def serves_scram(self) -> bool:
        return all(record.password.startswith(("{PLAIN}", "{SCRAM")) for record in self.users.values())

    def drain_reports(self) -> list[str]:
        return []


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class World:
    """An authenticator with a clock that is wound on by what it waits for."""

    def __init__(self, users: dict[str, str] | None = None, limit: int = 50, **extra: str) -> None:
        self.backend = Memory({"alice": SLOW, "bob": "{PLAIN}pencil"} if users is None else users, **extra)
        self.clock = Clock()
        self.auth = Authenticator(
            [self.backend],
            lambda name: user_form("{user:lower}", name),
            mechanisms=("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"),
            sessions=Sessions(limit),
            secret=b"s" * 32,
            clock=self.clock,
            now=self.clock,
        )
        self.number = 0

    def begin(self, mechanism: str, initial: bytes | None, **more: Any) -> Exchange:
        self.number += 1
        fields: dict[str, Any] = {
            "id": self.number,
            "connection": f"c{self.number}",
            "service": "imap",
            "mechanism": mechanism,
            "initial": None if initial is None else Secret(initial),
            "address": "192.0.2.1",
            "tls": True,
            "cleartext": True,
            **more,
        }
        return self.auth.begin(AuthStart(**fields), "w1")

    def finish(self, exchange: Exchange, responses: Sequence[bytes] = ()) -> tuple[Success | Failure, list[Any]]:
        steps = []
        waiting = list(responses)
        step = exchange.advance()
        while not isinstance(step, Success | Failure):
            steps.append(step)
            if isinstance(step, Wait):
                self.clock.time += step.seconds
                step = exchange.advance()
            elif isinstance(step, Hash):
                step = exchange.advance(step.job.run())
            else:
                step = exchange.advance(Secret(waiting.pop(0)))
        return step, steps

    def plain(self, user: str, password: str, **more: Any) -> tuple[Success | Failure, list[Any]]:
        return self.finish(self.begin("PLAIN", f"\0{user}\0{password}".encode(), **more))


def failure(answer: Success | Failure) -> Failure:
    assert isinstance(answer, Failure)
    return answer


def test_a_right_password_opens_a_session() -> None:
    world = World()
    answer, steps = world.plain("ALICE", "pencil", tls=False)
    assert answer == Success(1, "alice", "/h/alice", 5, 6, {}, None)
    assert [type(step) for step in steps] == [Hash]
    (session,) = world.auth.sessions.find()
    assert (session.connection, session.user, session.worker, session.tls) == ("c1", "alice", "w1", False)


def test_login_asks() -> None:
    world = World()
    answer, steps = world.finish(world.begin("LOGIN", None), [b"bob", b"pencil"])
    assert isinstance(answer, Success)
    assert steps == [Ask(b"Username:"), Ask(b"Password:")]


def test_unknown_user_and_wrong_password_get_the_same_answer_at_the_same_cost() -> None:
    world = World({"alice": SLOW})
    wrong, wrong_steps = world.plain("alice", "wrong", address="192.0.2.7")
    unknown, unknown_steps = world.plain("nobody", "wrong", address="192.0.2.8")
    unsafe, unsafe_steps = world.plain("../../etc/passwd", "wrong", address="192.0.2.9")
    answers = [failure(answer) for answer in (wrong, unknown, unsafe)]
    assert {(answer.reason, answer.text) for answer in answers} == {(Reason.CREDENTIALS, WRONG)}
    for steps in (wrong_steps, unknown_steps, unsafe_steps):
        hash_step, wait = steps
        assert isinstance(hash_step.job, VerifyJob)
        assert hash_step.job.stored == SLOW
        assert wait == Wait(2.0)
    assert [answer.detail for answer in answers[:2]] == ["wrong password", "unknown user"]
    assert "local@domain" in answers[2].detail or "in it" in answers[2].detail


def test_a_stand_ins_password_opens_nothing() -> None:
    world = World({"alice": SLOW})
    answer, steps = world.plain("nobody", "pencil")
    assert isinstance(steps[0], Hash)
    assert steps[0].job.run() is True
    assert failure(answer).reason is Reason.CREDENTIALS
    answer, _ = world.plain("nobody", "pencil")
    assert failure(answer).reason is Reason.CREDENTIALS


def test_with_no_users_at_all_a_hash_is_computed_too() -> None:
    answer, steps = World({}).plain("nobody", "x")
    assert isinstance(steps[0], Hash)
    assert failure(answer).reason is Reason.CREDENTIALS


def test_delays_grow_before_the_password_is_looked_at() -> None:
    world = World()
    waits = []
    for attempt in range(6):
        _, steps = world.plain("bob", f"guess{attempt}")
        waits.append([step.seconds for step in steps if isinstance(step, Wait)])
    assert waits == [[2.0], [2, 2.0], [4, 4.0], [8, 7.0], [15], [15]]
    answer, steps = world.plain("bob", "pencil")
    assert isinstance(answer, Success)
    assert steps == [Wait(15)]
    assert world.plain("bob", "pencil")[1] == []


def test_hanging_up_counts_as_a_failure_once() -> None:
    world = World()
    exchange = world.begin("PLAIN", b"\0alice\0guess")
    assert isinstance(exchange.advance(), Hash)
    exchange.close()
    exchange.close()
    assert world.auth.penalties.delay("192.0.2.1", "x", world.clock()) == 2
    exchange = world.begin("PLAIN", b"\0alice\0guess2")
    assert exchange.advance() == Wait(2)
    exchange.close()
    assert world.auth.penalties.delay("192.0.2.1", "x", world.clock()) == 4
    exchange = world.begin("PLAIN", b"\0bob\0guess3")
    exchange.advance()
    assert exchange.advance() == Wait(8)
    exchange.close()
    assert world.auth.penalties.delay("192.0.2.1", "x", world.clock()) == 8


def test_hanging_up_before_a_name_was_said_is_no_failure() -> None:
    world = World()
    exchange = world.begin("LOGIN", None)
    exchange.advance()
    exchange.close()
    assert world.auth.penalties.delay("192.0.2.1", "x", world.clock()) == 0


def test_closing_after_success_keeps_the_session() -> None:
    world = World()
    exchange = world.begin("PLAIN", b"\0bob\0pencil")
    assert isinstance(exchange.advance(), Success)
    exchange.close()
    assert len(world.auth.sessions) == 1
    assert world.auth.penalties.delay("192.0.2.1", "bob", world.clock()) == 0


def test_the_cache_saves_the_hash_until_the_password_changes() -> None:
    world = World()
    assert [type(step) for step in world.plain("alice", "pencil")[1]] == [Hash]
    assert world.plain("alice", "pencil")[1] == []
    assert [type(step) for step in world.plain("alice", "pencil2")[1]] == [Hash, Wait]
    world.backend.users["alice"] = UserRecord("alice", hash_new(b"other", "SHA512-CRYPT"))
    answer, steps = world.plain("alice", "pencil", address="192.0.2.3")
    assert failure(answer).reason is Reason.CREDENTIALS
    assert isinstance(steps[0], Hash)
    world.plain("alice", "other", address="192.0.2.4")
    assert world.plain("alice", "other", address="192.0.2.4")[1] == []
    world.auth.reload()
    assert [type(step) for step in world.plain("alice", "other", address="192.0.2.4")[1]] == [Hash]
    world.clock.time += 3601
    assert [type(step) for step in world.plain("alice", "other", address="192.0.2.4")[1]] == [Hash]


def test_the_cache_holds_no_password() -> None:
    world = World()
    world.plain("alice", "pencil")
    assert world.auth._right._entries
    assert not any(b"pencil" in key for key in world.auth._right._entries)


def test_no_password_outside_tls() -> None:
    world = World()
    for mechanism in ("PLAIN", "LOGIN", "plain"):
        answer, steps = world.finish(world.begin(mechanism, b"\0bob\0pencil", cleartext=False))
        assert (failure(answer).reason, failure(answer).text, steps) == (Reason.PRIVACY, PRIVACY, [])


def test_a_backend_that_is_down_is_no_wrong_password() -> None:
    world = World()
    world.backend.broken = True
    answer, steps = world.plain("bob", "pencil")
    assert failure(answer).reason is Reason.UNAVAILABLE
    assert failure(answer).text == UNAVAILABLE
    assert failure(answer).detail == "the disk is gone"
    assert steps == []
    assert world.auth.penalties.delay("192.0.2.1", "bob", world.clock()) == 0


def test_damaged_hashes_are_told_to_the_log_alone() -> None:
    answer, _ = World({"alice": "{NOSUCH}x"}).plain("alice", "x")
    assert failure(answer).text == WRONG
    assert failure(answer).detail == "the scheme NOSUCH is not known"


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ("10.0.0.0/8,192.0.2.0/24", "192.0.2.1", True),
        ("10.0.0.0/8", "192.0.2.1", False),
        ("2001:db8::/32", "::1", False),
        ("nonsense,192.0.2.1", "192.0.2.1", True),
        ("", "192.0.2.1", False),
        ("local", "", True),
        ("10.0.0.0/8", "", False),
    ],
)
def test_allow_nets(networks: str, address: str, allowed: bool) -> None:
    world = World({"bob": "{PLAIN}pencil"}, allow_nets=networks)
    answer, _ = world.plain("bob", "pencil", address=address)
    assert isinstance(answer, Success) is allowed
    assert allowed or failure(answer).text == WRONG


def test_nologin() -> None:
    answer, _ = World({"bob": "{PLAIN}pencil"}, nologin="yes").plain("bob", "pencil")
    assert (failure(answer).text, failure(answer).detail) == (WRONG, "nologin")


def test_acting_as_somebody_else_is_refused() -> None:
    world = World()
    answer, _ = world.finish(world.begin("PLAIN", b"BOB\0bob\0pencil"))
    assert isinstance(answer, Success)
    answer, _ = world.finish(world.begin("PLAIN", b"alice\0bob\0pencil"))
    assert (failure(answer).text, failure(answer).detail) == (WRONG, "may not act as alice")
    assert len(world.auth.sessions) == 1


def test_the_stalest_session_gives_way() -> None:
    world = World(limit=2)
    for _ in range(3):
        assert isinstance(world.plain("bob", "pencil")[0], Success)
        world.clock.time += 1
    assert [session.connection for session in world.auth.leaving()] == ["c1"]
    assert world.auth.leaving() == []


def scram(
    world: World, user: str, password: bytes = b"pencil", **more: Any
) -> tuple[Success | Failure, bytes, list[Any]]:
    """A SCRAM-SHA-256 exchange; also returns the server's first message."""
    bare = f"n={user},r=abc".encode()
    exchange = world.begin("SCRAM-SHA-256", b"n,," + bare, **more)
    steps: list[Any] = [exchange.advance()]
    while not isinstance(steps[-1], Ask):
        if isinstance(steps[-1], Wait):
            world.clock.time += steps[-1].seconds
        steps.append(exchange.advance(steps[-1].job.run() if isinstance(steps[-1], Hash) else None))
    first = steps[-1].challenge
    fields = dict(part.split(b"=", 1) for part in first.split(b","))
    salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    plain = b"c=biws,r=" + fields[b"r"]
    signature = hmac.digest(hashlib.sha256(client_key).digest(), b",".join((bare, first, plain)), "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))
    answer = exchange.advance(plain + b",p=" + proof)
    while isinstance(answer, Wait):
        world.clock.time += answer.seconds
        answer = exchange.advance()
    assert isinstance(answer, Success | Failure)
    return answer, first, steps


def salt_of(first: bytes) -> tuple[bytes, bytes]:
    fields = dict(part.split(b"=", 1) for part in first.split(b","))
    return fields[b"s"], fields[b"i"]


STORED_KEYS = "{SCRAM-SHA-256}" + scram_keys.derive("sha256", b"pencil", b"0123456789abcdef", 5000).text()


def test_scram_with_stored_keys_and_with_a_plain_password() -> None:
    world = World({"keys": STORED_KEYS, "bob": "{PLAIN}pencil"})
    answer, first, steps = scram(world, "keys")
    assert isinstance(answer, Success)
    assert answer.data is not None
    assert answer.data.startswith(b"v=")
    assert salt_of(first) == (base64.b64encode(b"0123456789abcdef"), b"5000")
    assert [type(step) for step in steps] == [Ask]
    answer, _, steps = scram(world, "bob")
    assert isinstance(answer, Success)
    assert isinstance(steps[0], Hash)
    assert isinstance(steps[0].job, DeriveJob)
    answer, _, steps = scram(world, "bob")
    assert isinstance(answer, Success)
    assert [type(step) for step in steps] == [Ask]
    assert isinstance(world.plain("keys", "pencil")[0], Success)


def test_scram_fails_like_a_wrong_password_for_everybody_else() -> None:
    world = World({"keys": STORED_KEYS, "alice": SLOW})
    texts = set()
    for number, (user, password) in enumerate([("keys", b"wrong"), ("alice", b"pencil"), ("nobody", b"pencil")]):
        answer, _, _ = scram(world, user, password, address=f"192.0.2.{number + 10}")
        texts.add((failure(answer).reason, failure(answer).text))
    assert texts == {(Reason.CREDENTIALS, WRONG)}


def test_made_up_salts_show_nothing() -> None:
    users = {"keys": STORED_KEYS}
    world, later = World(users), World(users)
    salt, iterations = salt_of(scram(world, "nobody")[1])
    assert len(base64.b64decode(salt)) == 16
    assert iterations == b"5000"
    assert salt_of(scram(world, "nobody")[1]) == (salt, iterations)
    assert salt_of(scram(later, "nobody")[1]) == (salt, iterations)
    assert salt_of(scram(world, "nobody2")[1])[0] != salt


def test_scram_counts_failures() -> None:
    world = World({"keys": STORED_KEYS})
    for expected in (2, 4, 8, 15):
        scram(world, "keys", b"wrong")
        assert world.auth.penalties.delay("192.0.2.1", "x", world.clock()) == expected


def test_scram_is_offered_where_everybody_can_use_it() -> None:
    def offered(users: dict[str, str]) -> tuple[str, ...]:
        return Authenticator([Memory(users)], str).mechanisms()

    all_four = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
    assert offered({"keys": STORED_KEYS, "bob": "{PLAIN}x"}) == all_four
    assert offered({"keys": STORED_KEYS, "alice": SLOW}) == ("PLAIN", "LOGIN")


def test_malformed_and_unknown_mechanisms_cost_nothing() -> None:
    world = World()
    for mechanism, initial, reason in (
        ("PLAIN", b"x", Reason.MALFORMED),
        ("CRAM-MD5", b"", Reason.UNSUPPORTED),
        ("SCRAM-SHA-256-PLUS", b"p=tls-exporter,,n=a,r=b", Reason.UNSUPPORTED),
    ):
        answer, steps = world.finish(world.begin(mechanism, initial))
        assert (failure(answer).reason, steps) == (reason, [])
    assert world.auth.penalties.delay("192.0.2.1", "x", world.clock()) == 0


def test_a_name_for_the_log_is_one_line() -> None:
    answer, _ = World().plain("a\r\nb\x1b[31m", "x")
    assert failure(answer).user == "a??b?[31m"
