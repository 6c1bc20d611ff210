"""The POP3 engine: bytes in, steps out (protocols/engine.py has the contract with the host).

The stream is cut into lines under hard limits; each line starts one command, a generator that runs to its end before
the next line is looked at, so that pipelined commands (RFC 2449 6.6) are answered in order and at the client's pace.
Rules that keep it right:

1. Nothing is parsed while a command runs, and no more than `Limits.buffer` is asked for ahead of it.
2. What arrived behind STLS in the clear is dropped, and the connection with it: a client that waits for the answer,
   as RFC 2595 4 demands, loses nothing by it, and whoever injects commands gains nothing.
3. A line that is too long is skipped to its end and refused, so that the stream stays in step.
4. Leaving by any other door than QUIT changes nothing in the mailbox (RFC 1939 6).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from ...model.errors import MailError, ProtocolFault
from ..engine import Close, Greeting, Log, Need, Send, StartTls, Step
from . import authorization, commands
from .codes import TEMPORARY, err, ok, refusal
from .commands import ANY, AUTHORIZATION, TRANSACTION, AwaitLine, BadArgument, Command, Run
from .session import Session

COMMANDS = {
    command.name: command
    for command in (
        Command(b"CAPA", ANY, commands.capa),
        Command(b"STLS", AUTHORIZATION, authorization.stls),
        Command(b"AUTH", AUTHORIZATION, authorization.auth),
        Command(b"USER", AUTHORIZATION, authorization.user),
        Command(b"PASS", AUTHORIZATION, authorization.pass_),
        Command(b"STAT", TRANSACTION, commands.stat),
        Command(b"LIST", TRANSACTION, commands.list_),
        Command(b"UIDL", TRANSACTION, commands.uidl),
        Command(b"RETR", TRANSACTION, commands.retr),
        Command(b"TOP", TRANSACTION, commands.top),
        Command(b"DELE", TRANSACTION, commands.dele),
        Command(b"RSET", TRANSACTION, commands.rset),
        Command(b"NOOP", TRANSACTION, commands.noop),
        Command(b"QUIT", ANY, commands.quit_),
    )
}

OTHER_PROTOCOLS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"OPTIONS", b"CONNECT", b"PRI", b"EHLO", b"HELO"))
"""Words with which a client of another protocol begins: nobody who says them before the login is to be talked to, for
a browser can be made to say the rest."""

TOO_LONG = b"\n"
"""What `_line` returns for a line over the limit; no line can be it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost."""

    line: int = 1024
    """Octets of a command line without its end; RFC 2449 4 asks for at least 255."""
    sasl_line: int = 12288
    """Octets of a line inside an AUTH exchange (RFC 5034 4)."""
    buffer: int = 64 * 1024
    """Octets read ahead while a command runs."""
    skip: int = 1024 * 1024
    """Octets of one line that are skipped before the connection is closed."""
    bad_commands: int = 10
    """Wrong commands in a row."""
    failed_logins: int = 5
    commands_before_login: int = 50
    idle: float = 600.0
    """Seconds without a command (RFC 1939 3: at least 10 minutes)."""


class Pop3Engine:
    """One POP3 connection."""

    def __init__(self, greeting: Greeting, limits: Limits | None = None) -> None:
        self.hungry = True
        self.on_wake: Callable[[], None] | None = None
        self._session = Session(greeting)
        self._limits = limits or Limits()
        self._buffer = bytearray()
        self._skipped = 0
        """Octets of an overlong line that were dropped so far; its end is still to come when not 0."""
        self._command: Generator[Step | AwaitLine, Any, None] | None = _greet()
        self._value: Any = None
        self._error: BaseException | None = None
        self._awaits_host = False
        self._awaits_line = False
        self._tls_starts = False
        self._injected = False
        self._spoke = False
        """The present command has sent something."""
        self._bad = 0
        self._before_login = 0
        self._goodbye: str | None = None
        self._closing: Close | None = None

    # --- what the host calls ---------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self._closing is not None:
            return
        if self._tls_starts:
            self._injected = True
            return
        if not self.hungry and len(self._buffer) > 16 * self._limits.buffer:
            raise ProtocolFault("Too much was sent ahead", fatal=True)
        self._buffer += data
        self.hungry = len(self._buffer) < self._limits.buffer

    def next_step(self) -> Step:
        """What the host is to do now."""
        while self._closing is None:
            if self._awaits_host:
                return Need(self._limits.idle)
            if self._command is None:
                step = self._between_commands()
            elif self._awaits_line:
                step = self._continue_exchange()
            else:
                step = self._advance(self._command)
            if step is not None:
                return step
        return self._closing

    def resume(self, value: Any) -> None:
        """The answer to the last step."""
        self._awaits_host = False
        self._value = value
        if self._tls_starts:
            self._tls_starts = False
            if self._injected:
                self._leave("injected-before-tls")

    def fail(self, error: BaseException) -> None:
        """The last step's call raised."""
        self._awaits_host = False
        self._error = error
        if self._tls_starts:
            self._leave("tls-failed")

    def wake(self) -> None:
        """A maildrop does not change while it is open: nothing but a goodbye can be the reason."""
        if self.on_wake is not None:
            self.on_wake()

    def timer(self) -> None:
        """RFC 1939 3: on a time-out the session ends without a word and without an update."""
        if not self._awaits_host:
            self._leave("idle")

    def shutdown(self, text: str) -> None:
        """Say goodbye when the present command has ended."""
        self._goodbye = text

    def bug(self) -> bytes:
        """What to tell the client of a bug; nothing inside a response, where it would be taken for mail."""
        if self._spoke:
            return b""
        name = self._session.greeting.connection
        return err("Internal error" + (f", reported as {name}" if name else ""), TEMPORARY)

    def close(self) -> None:
        """The connection is gone."""
        self._leave("closed")

    # --- inside ----------------------------------------------------------------------------------------------------

    def _leave(self, reason: str) -> None:
        """Close with no more words, and let go of everything."""
        if self._closing is None:
            self._closing = Close(reason)
        self.hungry = True
        self._buffer.clear()
        command, self._command = self._command, None
        if command is not None:
            command.close()
        self._session.end()

    def _between_commands(self) -> Step | None:
        """Begin the next command. None: there is one now, or the connection is to be closed."""
        self._spoke = False
        session, limits = self._session, self._limits
        if self._goodbye is not None:
            goodbye = err(self._goodbye, TEMPORARY)
            self._leave("shutdown")
            return Send(goodbye)
        if self._bad >= limits.bad_commands:
            self._leave("too-many-bad-commands")
            return Send(err("Too many wrong commands"))
        if session.failures >= limits.failed_logins:
            self._leave("too-many-failed-logins")
            return None
        line = self._line(limits.line)
        if line is None:
            return None if self._closing else Need(limits.idle)
        if session.state == AUTHORIZATION:
            self._before_login += 1
            if self._before_login > limits.commands_before_login:
                self._leave("too-many-commands-before-login")
                return Send(err("Too many commands before the login"))
        return self._begin(line)

    def _begin(self, line: bytes) -> Step | None:
        """Find the command a line names and start it."""
        if line is TOO_LONG:
            return self._wrong("The line is too long")
        name, _, argument = line.partition(b" ")
        name = name.upper()
        session = self._session
        if session.state == AUTHORIZATION and name in OTHER_PROTOCOLS:
            self._leave("not-pop3")
            return None
        command = COMMANDS.get(name)
        if command is None:
            return self._wrong("Unknown command")
        if not command.states & session.state:
            return self._wrong("Log in first" if session.state == AUTHORIZATION else "You are logged in already")
        if command.run is authorization.stls and self._buffer:
            self._leave("injected-before-tls")
            return Send(err("Nothing may follow STLS before the TLS handshake"))
        self._command = command.run(session, argument)
        return None

    def _wrong(self, text: str) -> Send:
        self._bad += 1
        return Send(err(text))

    def _continue_exchange(self) -> Step | None:
        """The line a command waits for. When none may come any more, the client has given up (RFC 5034 4)."""
        line = b"*" if self._goodbye is not None else self._line(self._limits.sasl_line)
        if line is None:
            return None if self._closing else Need(self._limits.idle)
        self._awaits_line = False
        self._value = b"*" if line is TOO_LONG else line
        return None

    def _advance(self, command: Run) -> Step | None:
        """Run the present command up to its next step."""
        value, self._value = self._value, None
        error, self._error = self._error, None
        try:
            step = command.send(value) if error is None else command.throw(error)
        except StopIteration:
            self._command, self._bad = None, 0
            return None
        except BadArgument as wrong:
            self._command = None
            return self._wrong(str(wrong))
        except MailError as refused:
            self._command = None
            return Send(refusal(refused))
        if isinstance(step, AwaitLine):
            self._awaits_line = True
            return None
        if isinstance(step, Close):
            self._leave(step.reason)
            return None
        if isinstance(step, Send):
            self._spoke = True
        elif not isinstance(step, Log):
            self._awaits_host = True
            if isinstance(step, StartTls):
                if self._buffer:
                    self._leave("injected-before-tls")
                    return None
                self._tls_starts = True
        return step

    def _line(self, limit: int) -> bytes | None:
        """The next line without its end, `TOO_LONG`, or None when it isn't there yet."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if end < 0:
            if self._skipped or len(buffer) > limit + 1:
                self._skipped += len(buffer)
                buffer.clear()
                if self._skipped > self._limits.skip:
                    self._leave("line-too-long")
            self.hungry = True
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self.hungry = len(buffer) < self._limits.buffer
        skipped, self._skipped = self._skipped, 0
        line = line.removesuffix(b"\r")
        return TOO_LONG if skipped or len(line) > limit else line


def _greet() -> Run:
    """RFC 1939 4. Without `<`, which would offer APOP."""
    yield Send(ok("Culverhouse ready"))
