"""What the transcripts cannot show: packets, limits, memory, lost connections, TLS and bugs."""

import io
import tracemalloc

import pytest

from culverhouse.model.errors import ProtocolFault
from culverhouse.protocols.engine import Blocking, Close, Compute, SaslStart, Send, StartTls, Step
from culverhouse.protocols.pop3 import Limits
from tests.golden.pop3_driver import Account, Box, Driver, Message, Opened, greeting, logged_in


def account(*sizes: int) -> Account:
    made = Account()
    for uid, size in enumerate(sizes, 1):
        message = Message(b"Subject: %d\n\n" % uid + b"x" * 70 + b"\n" * max(0, size - 80))
        message.known_size = message.vsize
        made.box.messages[uid] = message
    return made


def test_pipelined_commands_are_answered_in_order() -> None:
    driver = logged_in(account(100, 100))
    answer = driver.feed(b"STAT\r\nLIST 2\r\nNOOP\r\nFOO\r\nDELE 1\r\nRSET\r\nQUIT\r\n")
    assert b"".join(line[:1] for line in answer.split(b"\r\n")) == b"+++-+++"
    assert answer.endswith(b"+OK Bye\r\n")
    assert driver.ended == "quit"


def test_lines_may_end_with_lf_alone_and_keywords_have_no_case() -> None:
    assert logged_in(account(100)).feed(b"nOoP\nstat\n") == b"+OK\r\n+OK 1 124\r\n"


def test_a_password_is_the_rest_of_the_line() -> None:
    driver = Driver(greeting("tls"))
    driver.password = b" two  words "
    assert driver.feed(b"USER alice\r\nPASS  two  words \r\n").endswith(b"+OK Logged in\r\n")


def test_a_nul_in_a_password_cannot_forge_a_plain_message() -> None:
    driver = Driver(greeting("tls"))
    asked: list[Step] = []
    driver.meanwhile = asked.append
    assert b"[AUTH]" in driver.feed(b"USER bob\r\nPASS x\0alice\0secret\r\n")
    assert not any(isinstance(step, SaslStart) for step in asked)


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
def test_a_line_that_is_too_long_is_refused_and_the_stream_stays_in_step(chunk: int) -> None:
    driver = logged_in(account(100))
    data = b"NOOP " + b"x" * 5000 + b"\r\nSTAT\r\n"
    answer = b"".join(driver.feed(data[i : i + chunk]) for i in range(0, len(data), chunk))
    assert answer == b"-ERR The line is too long\r\n+OK 1 124\r\n"


def test_a_line_of_255_octets_is_taken() -> None:
    driver = Driver(greeting("tls"))
    assert driver.feed(b"USER " + b"x" * 248 + b"\r\n") == b"+OK\r\n"


def test_a_line_that_never_ends_ends_the_connection() -> None:
    driver = Driver(greeting("tls"), limits=Limits(skip=10_000))
    for _ in range(20):
        driver.feed(b"x" * 1000)
    assert driver.ended == "line-too-long"


def test_a_sasl_response_may_be_longer_than_a_command() -> None:
    driver = Driver(greeting("tls"))
    driver.feed(b"AUTH PLAIN\r\n")
    assert b"[AUTH]" in driver.feed(b"YWJj" * 3000 + b"\r\n")
    driver.feed(b"AUTH PLAIN\r\n")
    assert b"cancelled" in driver.feed(b"YWJj" * 3073 + b"\r\n")


def test_commands_before_the_login_are_counted() -> None:
    driver = Driver(greeting("tls"))
    driver.feed(b"CAPA\r\n" * 50)
    assert driver.ended is None
    driver.feed(b"CAPA\r\n")
    assert driver.ended == "too-many-commands-before-login"


def test_reading_ahead_is_bounded_while_a_command_runs() -> None:
    driver = logged_in(account(100))
    driver.engine.receive(b"RETR 1\r\n")
    step = driver.engine.next_step()
    assert isinstance(step, Blocking)
    assert driver.engine.hungry
    driver.engine.receive(b"NOOP\r\n" * 20_000)
    assert not driver.engine.hungry
    for _ in range(8):
        driver.engine.receive(b"NOOP\r\n" * 20_000)
    with pytest.raises(ProtocolFault, match="ahead"):
        driver.engine.receive(b"NOOP\r\n")


def test_the_engine_is_hungry_again_once_it_has_caught_up() -> None:
    driver = logged_in(account(100))
    driver.engine.receive(b"NOOP\r\n" * 20_000)
    assert not driver.engine.hungry
    driver.run()
    assert driver.engine.hungry
    assert driver.sent.count(b"+OK\r\n") == 20_000


def test_the_autologout_is_at_least_ten_minutes() -> None:
    assert logged_in().timeout >= 600


# --- big mail -------------------------------------------------------------------------------------------------------


class Endless(Opened):
    """A message of 40 MB that is nowhere in memory."""

    class Lines(io.RawIOBase):
        left = 40_000_000

        def read(self, size: int = -1) -> bytes:  # type: ignore[override]
            size = min(size, self.left)
            self.left -= size
            return b"\n." * (size // 2) + b"x" * (size % 2)

    def __init__(self, box: Box, message: Message) -> None:
        super().__init__(box, message)
        self.size = self.Lines.left
        self.file = self.Lines()  # type: ignore[assignment]


def test_a_big_message_leaves_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = logged_in(account(100))
    monkeypatch.setattr("tests.golden.pop3_driver.Opened", Endless)
    sent = 0

    def forget(step: Step) -> None:
        nonlocal sent
        if isinstance(step, Send):
            sent += len(driver.sent)
            driver.sent.clear()

    driver.meanwhile = forget
    tracemalloc.start()
    driver.feed(b"RETR 1\r\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sent += len(driver.sent)
    assert sent > 80_000_000
    assert driver.largest <= 256 * 1024 + 100
    assert peak < 4_000_000


def test_top_reads_no_more_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = logged_in(account(100))
    files: list[Endless] = []


    def opened(box: Box, message: Message) -> Endless:
        files.append(Endless(box, message))
        return files[-1]

    monkeypatch.setattr("tests.golden.pop3_driver.Opened", opened)
    driver.feed(b"TOP 1 3\r\n")
    assert driver.sent.endswith(b"\r\n.\r\n")
    assert Endless.Lines.left - files[0].file.left < 100_000  # type: ignore[attr-defined]


def test_a_long_listing_comes_in_pieces() -> None:
    driver = logged_in(account(*[0] * 20_000))
    answer = driver.feed(b"LIST\r\n")
    assert answer.count(b"\r\n") == 20_002
    assert driver.largest < 64 * 1024
    assert driver.feed(b"UIDL\r\n").count(b"\r\n") == 20_002
    assert driver.largest < 64 * 1024


def test_a_message_that_breaks_off_is_never_taken_for_a_whole_one() -> None:
    mail = account(400_000)
    mail.box.messages[1].fails_after = 300_000
    driver = logged_in(mail)
    answer = driver.feed(b"RETR 1\r\nQUIT\r\n")
    assert answer.startswith(b"+OK ")
    assert not answer.endswith(b"\r\n.\r\n")
    assert driver.ended == "message-unreadable"
    assert not mail.box.messages[1].seen
    assert (mail.box.locked, mail.box.open_files) == (False, 0)


def test_a_message_that_breaks_at_once_is_refused() -> None:
    mail = account(100, 100)
    mail.box.messages[1].fails_after = 0
    driver = logged_in(mail)
    assert driver.feed(b"RETR 1\r\nSTAT\r\n").startswith(b"-ERR The message cannot be read\r\n+OK 2 ")
    assert mail.box.open_files == 0


def test_wrong_sizes_are_mended() -> None:
    mail = account(100)
    true = mail.box.messages[1].vsize
    mail.box.messages[1].known_size = 7
    logged_in(mail).feed(b"TOP 1 1\r\nRETR 1\r\n")
    assert mail.box.corrections == [(1, len(mail.box.messages[1].data), true)]


def test_right_sizes_are_left_alone() -> None:
    mail = account(100)
    logged_in(mail).feed(b"RETR 1\r\n")
    assert mail.box.corrections == []


def test_sizes_are_asked_for_in_portions_and_only_where_missing() -> None:
    mail = account(*[100] * 1200)
    for uid in range(1, 1101):
        mail.box.messages[uid].known_size = None
    driver = logged_in(mail)
    jobs: list[int] = []
    driver.meanwhile = lambda step: jobs.append(len(step.job.uids)) if isinstance(step, Compute) else None  # type: ignore[attr-defined]
    assert driver.feed(b"STAT\r\n").startswith(b"+OK 1200 ")
    assert jobs == [500, 500, 100]
    driver.feed(b"LIST\r\nSTAT\r\n")
    assert len(jobs) == 3


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_what_follows_stls_in_the_clear_is_never_executed() -> None:
    driver = Driver(greeting("starttls always"))
    answer = driver.feed(b"STLS\r\nUSER alice\r\nPASS secret\r\n")
    assert answer == b"-ERR Nothing may follow STLS before the TLS handshake\r\n"
    assert (driver.tls, driver.ended) == (0, "injected-before-tls")


@pytest.mark.parametrize("early", [b"U", b"USER alice\r\n"])
def test_what_comes_before_the_handshake_ends_the_connection(early: bytes) -> None:
    driver = Driver(greeting("starttls"))

    def inject(step: Step) -> None:
        if isinstance(step, StartTls):
            driver.engine.receive(early)

    driver.meanwhile = inject
    assert driver.feed(b"STLS\r\n") == b"+OK Begin TLS negotiation\r\n"
    assert driver.ended == "injected-before-tls"


def test_what_comes_between_answer_and_handshake_ends_the_connection() -> None:
    driver = Driver(greeting("starttls"))
    driver.meanwhile = lambda step: driver.engine.receive(b"NOOP\r\n") if isinstance(step, Send) else None
    driver.feed(b"STLS\r\n")
    assert (driver.tls, driver.ended) == (0, "injected-before-tls")


def test_nothing_said_before_tls_counts_after_it() -> None:
    driver = Driver(greeting("starttls always"))
    driver.feed(b"USER alice\r\n")
    driver.feed(b"STLS\r\n")
    assert driver.feed(b"PASS secret\r\n") == b"-ERR USER comes first\r\n"


def test_a_handshake_that_fails_ends_the_connection() -> None:
    driver = Driver(greeting("starttls"))
    driver.engine.receive(b"STLS\r\n")
    assert isinstance(driver.engine.next_step(), Send)
    assert isinstance(driver.engine.next_step(), StartTls)
    driver.engine.fail(OSError("handshake"))
    assert driver.engine.next_step() == Close("tls-failed")


def test_stls_is_not_offered_where_there_is_no_certificate() -> None:
    driver = Driver(greeting("always"))
    assert driver.feed(b"STLS\r\n") == b"-ERR TLS is not offered\r\n"
    assert b"STLS" not in driver.feed(b"CAPA\r\n")


# --- endings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(8))
def test_a_lost_connection_leaves_nothing_open(after: int) -> None:
    """Whichever step was the last, and whether or not its answer still came."""
    for answered in (False, True):
        mail = account(400_000)
        driver = Driver(greeting("tls"), mail)
        driver.engine.receive(b"USER alice\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        waiting = [step for step in _steps(driver, after) if isinstance(step, Blocking)]
        if answered and waiting:
            driver.engine.resume(waiting[-1].call())
        driver.engine.close()
        driver.engine.close()
        assert (mail.box.locked, mail.box.views, mail.box.open_files) == (False, 0, 0)
        assert 1 in mail.box.messages


def _steps(driver: Driver, count: int) -> list[Step]:
    """Run `count` steps, all of them answered but the last."""
    last: list[Step] = []
    for number in range(count):
        step = driver.engine.next_step()
        last = [step]
        if number < count - 1:
            if isinstance(step, Blocking):
                driver.engine.resume(step.call())
            elif isinstance(step, SaslStart):
                driver.engine.resume(driver._sasl(step))
    return last


def test_the_lock_is_gone_before_quit_is_answered() -> None:
    mail = account(100)
    driver = logged_in(mail)
    states: list[bool] = []
    driver.meanwhile = lambda step: states.append(mail.box.locked) if isinstance(step, Send) else None
    driver.feed(b"DELE 1\r\nQUIT\r\n")
    assert states == [True, False]


def test_quit_reports_what_was_done() -> None:
    driver = logged_in(account(100, 100, 100))
    driver.feed(b"RETR 1\r\nTOP 2 0\r\nDELE 1\r\nDELE 3\r\nQUIT\r\n")
    (entry,) = driver.logs
    assert entry.event == "command"
    assert entry.fields.items() >= {"command": "QUIT", "retrieved": 1, "topped": 1, "deleted": 2}.items()


def test_a_bug_is_told_with_the_name_of_the_connection() -> None:
    driver = logged_in(account(100))
    driver.engine.receive(b"RETR 1\r\n")
    assert isinstance(driver.engine.next_step(), Blocking)
    driver.engine.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        driver.engine.next_step()
    assert driver.engine.bug() == b"-ERR [SYS/TEMP] Internal error, reported as c0ffee\r\n"


def test_a_bug_inside_a_message_says_nothing_into_it() -> None:
    driver = logged_in(account(400_000))
    driver.engine.receive(b"RETR 1\r\n")
    step = driver.engine.next_step()
    assert isinstance(step, Blocking)
    driver.engine.resume(step.call())
    assert isinstance(driver.engine.next_step(), Send)
    assert isinstance(driver.engine.next_step(), Blocking)
    driver.engine.fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        driver.engine.next_step()
    assert driver.engine.bug() == b""


def test_wake_tells_the_host() -> None:
    driver = logged_in()
    driver.engine.wake()
    calls: list[int] = []
    driver.engine.on_wake = lambda: calls.append(1)
    driver.engine.wake()
    assert calls == [1]


def test_no_other_servers_name_and_no_apop() -> None:
    driver = Driver(greeting("tls"))
    said = bytes(driver.sent) + driver.feed(b"CAPA\r\n")
    assert b"<" not in said
    assert b"IMPLEMENTATION Culverhouse\r\n" in said
    assert b"ovecot" not in said
