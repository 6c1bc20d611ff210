"""What transcripts cannot show: packets and limits, time-outs, TLS, lost connections, bugs, and the size of steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from culverhouse.model.errors import Kind, MailError, ProtocolFault
from culverhouse.protocols.engine import Blocking, Close, Greeting, Need, SaslStart, Send, StartTls, Step
from culverhouse.protocols.imap4.capabilities import FEATURES
from culverhouse.protocols.imap4.commands import COMMANDS
from culverhouse.protocols.imap4.engine import ImapEngine
from culverhouse.protocols.imap4.limits import Limits
from tests.golden.driver import Connection, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    yield made
    made.close()


def stranger(**facts: Any) -> Connection:
    return Connection(None, **facts)


# --- the table of commands ------------------------------------------------------------------------------------------


def test_every_capability_is_announced_once_and_every_command_is_unique() -> None:
    names = [name for name, _ in FEATURES] + [name for command in COMMANDS for name in command.capabilities]
    assert sorted(set(names) - {"MULTIAPPEND"}) == sorted(name for name in names if name != "MULTIAPPEND")
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


def test_only_fetch_store_and_search_by_sequence_number_hold_expunges_back() -> None:
    assert {c.name for c in COMMANDS if c.uses_sequence_numbers} == {"FETCH", "STORE", "SEARCH"}


# --- before the login -----------------------------------------------------------------------------------------------


def test_a_command_behind_starttls_in_one_packet_is_never_executed() -> None:
    connection = stranger()
    answer = connection.feed(b"a STARTTLS\r\nb LOGIN alice secret\r\n")
    assert b"b " not in answer
    assert not any(isinstance(step, (StartTls, SaslStart)) for step in connection.steps)
    assert connection.closed == "injected before TLS"


def test_bytes_that_come_before_the_handshake_end_the_connection() -> None:
    engine = ImapEngine(Greeting(False, True, True, ("PLAIN",), ("PLAIN",)))
    engine.next_step()
    engine.receive(b"a STARTTLS\r\n")
    steps: list[Step] = [engine.next_step(), engine.next_step()]
    assert isinstance(steps[0], Send)
    assert isinstance(steps[1], StartTls)
    engine.receive(b"b NOOP\r\n")
    engine.resume(None)
    assert engine.next_step() == Close("injected before TLS")


def test_a_failed_handshake_ends_the_connection() -> None:
    engine = ImapEngine(Greeting(False, True, True, ("PLAIN",), ("PLAIN",)))
    engine.receive(b"a STARTTLS\r\n")
    while not isinstance(engine.next_step(), StartTls):
        pass
    engine.fail(OSError())
    assert engine.next_step() == Close("TLS failed")


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"\x80", b"\0"])
def test_a_tls_handshake_or_other_octets_on_the_plain_port_are_turned_away(first: bytes) -> None:
    connection = stranger()
    assert connection.feed(first) == b"* BYE This is IMAP\r\n"
    assert connection.closed == "another protocol"


def test_http_is_turned_away() -> None:
    connection = stranger()
    answer = connection.feed(b"POST / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN alice secret\r\n")
    assert b"BYE" in answer
    assert b"\r\na " not in answer
    assert connection.closed == "bad commands"


def test_logins_are_counted(world: World) -> None:
    connection = world.connect(login=False)
    for _ in range(5):
        connection.feed(b"a LOGIN alice wrong\r\n")
    assert connection.closed == "failed logins"


def test_commands_before_the_login_are_counted() -> None:
    connection = stranger()
    connection.feed(b"a NOOP\r\n" * 101)
    assert connection.closed == "commands before login"


def test_a_password_reaches_no_log(world: World) -> None:
    connection = world.connect(login=False)
    connection.feed(b'a LOGIN alice "wr0ng-secret"\r\nb LOGIN alice "wr0ng-secret" x\r\nc LOGIN alice {4099}\r\n')
    assert connection.logs
    assert "wr0ng" not in repr(connection.logs)
    assert "wr0ng" not in repr(connection.steps)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [0, 1])
def test_a_line_that_is_too_long_is_refused_and_the_connection_goes_on(world: World, chunk: int) -> None:
    connection = world.connect()
    data = b"a NOOP " + b"x" * 70_000 + b"\r\nb NOOP\r\n"
    if chunk:
        data = b"a NOOP " + b"x" * 66_000 + b"\r\nb NOOP\r\n"
    assert connection.feed(data, chunk) == b"a BAD [LIMIT] The command line is too long\r\nb OK Done\r\n"


def test_a_literal_that_is_too_long_is_refused_and_the_connection_goes_on(world: World) -> None:
    connection = world.connect()
    answer = connection.feed(b"a SELECT {70000+}\r\n" + b"x" * 70_000 + b"\r\nb NOOP\r\n")
    assert answer.startswith(b"a NO [TOOBIG] ")
    assert answer.endswith(b"\r\nb OK Done\r\n")


def test_many_literals_are_bounded_together(world: World) -> None:
    connection = world.connect()
    answer = connection.feed(b"a SEARCH" + b" BODY {60000+}\r\n" % () + (b"x" * 60_000 + b" BODY {60000+}\r\n") * 5)
    assert b"a NO [TOOBIG]" in answer or b"a BAD" in answer


def test_what_cannot_be_skipped_ends_the_connection(world: World) -> None:
    connection = world.connect()
    answer = connection.feed(b"a SELECT {999999999999+}\r\n")
    assert answer.startswith(b"* BYE ")
    assert connection.closed == "too long"


def test_reading_ahead_stops_while_a_command_runs(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a LIST \"\" *\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    assert engine.hungry
    engine.receive(b"x" * 200_000)
    assert not engine.hungry
    engine.receive(b"x" * 3_000_000)
    with pytest.raises(ProtocolFault):
        engine.receive(b"x" * 100_000)


def test_a_literal_above_the_read_ahead_is_still_read(world: World) -> None:
    connection = Connection(world, Limits(literal=500_000, command=600_000, buffer=10_000))
    connection.feed(b"a LOGIN alice secret\r\nb SEARCH BODY {400000}\r\n")
    for _ in range(40):
        assert connection.engine.hungry
        connection.feed(b"x" * 10_000)
    assert connection.feed(b"\r\n").startswith(b"b BAD Select a mailbox first") or connection.closed is None
    assert connection.feed(b"c NOOP\r\n") == b"c OK Done\r\n"


def test_a_burst_of_commands_is_answered_in_several_steps(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a NOOP\r\n" * 1000)
    step = engine.next_step()
    assert isinstance(step, Send)
    assert 1 < step.data.count(b"\r\n") <= 100


# --- time -----------------------------------------------------------------------------------------------------------


def test_time_outs() -> None:
    connection = stranger()
    assert 60 <= connection.timeout <= 300
    connection.engine.timer()
    connection.pump()
    assert connection.output.startswith(b"* BYE ")
    assert connection.closed == "idle"


def test_autologout_is_at_least_half_an_hour(world: World) -> None:
    connection = world.connect()
    assert connection.timeout >= 1800
    connection.feed(b"a SELECT INBOX\r\n")
    assert connection.timeout >= 1800


def test_still_here_comes_less_and_less_often(world: World) -> None:
    connection = world.connect()
    connection.feed(b"a IDLE\r\n")
    pauses = []
    for _ in range(6):
        pauses.append(connection.timeout)
        connection.engine.timer()
        connection.pump()
        assert connection.taken() == b"* OK Still here\r\n"
    assert pauses == [120, 240, 480, 870, 870, 870]


def test_a_stop_of_the_server_ends_an_idle_at_once(world: World) -> None:
    connection = world.connect()
    connection.feed(b"a IDLE\r\n")
    connection.engine.shutdown("Server stops")
    connection.pump()
    assert connection.taken() == b"* BYE Server stops\r\n"
    assert connection.closed == "shutdown"


def test_a_stop_of_the_server_lets_a_change_be_answered(world: World) -> None:
    connection = world.connect()
    connection.before = lambda step: connection.engine.shutdown("Server stops")
    assert connection.feed(b"a CREATE x\r\n") == b"a OK Created\r\n* BYE Server stops\r\n"
    assert connection.closed == "shutdown"


def test_a_stop_of_the_server_cuts_a_long_fetch_between_rows(world: World) -> None:
    for _ in range(40):
        world.deliver("INBOX", b"Subject: x\n\n" + b"x" * 20_000 + b"\n")
    connection = world.connect()
    connection.command(b"SELECT INBOX")
    engine = connection.engine
    engine.receive(b"a FETCH 1:* BODY.PEEK[]\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.resume(step.call())
    engine.shutdown("Server stops")
    connection.pump()
    assert connection.taken().endswith(b"* BYE Server stops\r\n")


# --- what comes from elsewhere --------------------------------------------------------------------------------------


def test_idle_is_told_at_once(world: World) -> None:
    idle = world.connect()
    idle.feed(b"a SELECT INBOX\r\nb IDLE\r\n")
    other = world.connect()
    other.feed(b"a APPEND INBOX {5+}\r\na: b\n\r\n")
    assert idle.taken() == b"* 1 EXISTS\r\n* 1 RECENT\r\n"
    assert idle.woken is False


def test_a_wake_in_idle_calls_the_host_and_elsewhere_does_not(world: World) -> None:
    connection = world.connect()
    connection.feed(b"a SELECT INBOX\r\n")
    connection.engine.wake()
    assert not connection.woken
    connection.feed(b"b IDLE\r\n")
    connection.engine.wake()
    assert connection.woken


def test_mail_from_another_program_is_told_by_noop(world: World) -> None:
    connection = world.connect()
    connection.feed(b"a SELECT INBOX\r\n")
    world.deliver("INBOX", b"Subject: new\n\n")
    assert connection.feed(b"b NOOP\r\n") == b"* 1 EXISTS\r\n* 1 RECENT\r\nb OK Done\r\n"


def test_a_deleted_mailbox_ends_the_sessions_of_others(world: World) -> None:
    one, other = world.connect(), world.connect()
    one.command(b"CREATE gone")
    other.command(b"SELECT gone")
    one.command(b"DELETE gone")
    other.pump()
    assert b"BYE" in other.taken()
    assert other.closed == "mailbox deleted"


# --- lost connections, failures, bugs -------------------------------------------------------------------------------


def test_a_view_that_comes_after_the_connection_was_lost_is_closed(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a SELECT INBOX\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.resume(step.call())
    assert world.account.views() == 1
    engine.close()
    assert world.account.views() == 0
    assert isinstance(engine.next_step(), Close)


def test_a_spool_that_comes_after_the_connection_was_lost_is_removed(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a APPEND INBOX {500}\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.resume(step.call())
    assert list((world.mail / "tmp").iterdir())
    engine.close()
    assert not list((world.mail / "tmp").iterdir())


def test_closing_is_quiet_at_any_moment(world: World) -> None:
    for start in (b"", b"a AUTHENTICATE PLAIN\r\n", b"a LOGIN {5}\r\n"):
        connection = world.connect(login=False)
        connection.feed(start)
        connection.engine.close()
        connection.engine.close()
        connection.engine.wake()
        connection.engine.timer()
        connection.engine.receive(b"a NOOP\r\n")
        assert isinstance(connection.engine.next_step(), Close)


def test_a_failed_call_is_told_and_the_connection_goes_on(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a CREATE x\r\n")
    assert isinstance(engine.next_step(), Blocking)
    engine.fail(MailError(Kind.OVERQUOTA, "The disk is full"))
    connection.pump()
    assert connection.taken() == b"a NO [OVERQUOTA] The disk is full\r\n"
    assert connection.logs[-1].fields["code"] == "OVERQUOTA"
    assert connection.command(b"NOOP") == b"a OK Done\r\n"


def test_a_bug_is_told_with_the_connection_and_the_tag(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"tag LIST \"\" *\r\n")
    assert isinstance(engine.next_step(), Blocking)
    engine.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        engine.next_step()
    assert engine.bug() == (
        b"tag NO [SERVERBUG] Internal error, reported as c1\r\n* BYE Internal error, reported as c1\r\n"
    )


def test_every_kind_of_failure_has_a_code(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    for kind in Kind:
        engine.receive(b"a CREATE x\r\n")
        assert isinstance(engine.next_step(), Blocking)
        engine.fail(MailError(kind, "text"))
        connection.pump()
        assert connection.taken().startswith(b"a NO [")


def test_bad_commands_in_a_row_end_the_connection(world: World) -> None:
    connection = Connection(world, Limits(bad_commands=3))
    connection.feed(b"a LOGIN alice secret\r\n")
    connection.feed(b"a X\r\na X\r\na NOOP\r\na X\r\na X\r\n")
    assert connection.closed is None
    connection.feed(b"a X\r\n")
    assert connection.closed == "bad commands"


def test_the_engine_needs_nothing_while_it_waits_for_the_host(world: World) -> None:
    connection = world.connect()
    engine = connection.engine
    engine.receive(b"a LIST \"\" *\r\n")
    step = engine.next_step()
    assert isinstance(step, Blocking)
    engine.receive(b"b NOOP\r\n")
    assert isinstance(engine.next_step(), Need)
    engine.timer()
    engine.resume(step.call())
    connection.pump()
    assert connection.taken().endswith(b"a OK Listed\r\nb OK Done\r\n")
