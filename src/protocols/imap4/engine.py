"""The IMAP4 engine: bytes in, steps out (../engine.py has the contract with the host).

The framer cuts the stream into commands; each command is a generator (command.py) that runs to its end before the
next frame is looked at, so that pipelined commands are answered in order and at the client's pace. Rules that keep it
right:

1. Nothing is parsed while a command runs, but what the command itself asks for; no more than `Limits.buffer` is read
   ahead of it.
2. Output is gathered and leaves in pieces of 16 to 64 kB, and before anything that makes the client wait.
3. What arrived behind STARTTLS in the clear is dropped, and the connection with it: a client that waits for the
   answer, as RFC 2595 3.1 demands, loses nothing, and whoever injects commands gains nothing.
4. Whoever speaks another protocol, or nothing but nonsense, before the login is closed out: a browser can be made to
   say the rest.
5. A generator is closed exactly once, after its outstanding answer was handed to it, so that it releases what the
   answer holds.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from ...model.errors import MailError, ProtocolFault
from ..engine import (
    Blocking,
    Close,
    Compute,
    Greeting,
    Log,
    Need,
    SaslCancel,
    SaslRespond,
    SaslStart,
    Send,
    StartTls,
    Step,
)
from ..framing import Announced, Frame, Framer, Line, Overlong
from . import codes
from .command import Command, Heard, Listen, NextFrame, Run
from .commands import CAPABILITIES
from .dispatch import Named, can_begin, named, tag_of
from .limits import Limits
from .octets import Torn
from .reader import Reader
from .render import render
from .responses import BAD, BYE, NO, OK, Continuation, Status
from .session import Session

__all__ = ("ImapEngine", "Limits")

_FLUSH = 32_768
"""Output is handed over when it is as much as this."""
_BURST = 50
"""Pipelined commands that are answered in one step."""


class ImapEngine:
    """One IMAP connection."""

    __slots__ = (
        "_answer",
        "_bad",
        "_before_login",
        "_burst",
        "_closing",
        "_command",
        "_error",
        "_goodbye",
        "_heard",
        "_held",
        "_injected",
        "_limits",
        "_out",
        "_out_size",
        "_run",
        "_session",
        "_silent",
        "_starved",
        "_tls_starts",
        "_waits",
        "_wants",
        "on_wake",
    )

    def __init__(self, greeting: Greeting, limits: Limits | None = None) -> None:
        self.on_wake: Callable[[], None] | None = None
        self._limits = limits or Limits()
        framer = Framer(self._limits.line_before_login, self._limits.drop_before_login)
        self._session = Session(greeting, framer, CAPABILITIES, self.wake)
        self._run: Run | None = None
        self._command: Command | None = None
        self._answer: Any = None
        self._error: BaseException | None = None
        self._waits = False
        """For the host's answer."""
        self._wants: NextFrame | Listen | None = None
        """What the running command wants to hear from the client."""
        self._heard: Heard | None = None
        self._out: list[bytes] = []
        self._out_size = 0
        self._held: Step | None = None
        """The step that comes once the output has left."""
        self._silent = False
        self._starved = False
        """There is no whole frame: the framer needs more octets."""
        self._tls_starts = False
        self._injected = False
        self._burst = 0
        self._bad = 0
        self._before_login = 0
        self._goodbye: str | None = None
        self._closing: Close | None = None
        capability = " ".join(CAPABILITIES.of(self._session))
        self._say(render(Status(OK, "Culverhouse ready", f"CAPABILITY {capability}")))

    # --- what the host calls ----------------------------------------------------------------------------------------

    @property
    def hungry(self) -> bool:
        """See the contract. Whatever the limits are, a command that is not complete yet is read on."""
        return self._starved or self._closing is not None or self._session.framer.buffered < self._limits.buffer

    def receive(self, data: bytes) -> None:
        """Bytes from the peer."""
        if self._closing is not None:
            return
        if self._tls_starts:
            self._injected = True
            return
        framer = self._session.framer
        if not self._starved and framer.buffered > 16 * self._limits.buffer:
            raise ProtocolFault("Too much was sent ahead", fatal=True)
        framer.feed(data)

    def next_step(self) -> Step:
        """What the host is to do now."""
        self._burst = 0
        while True:
            if self._out_size >= _FLUSH:
                return self._flush()
            step = self._held
            if step is None:
                if self._waits:
                    return Need(self._limits.idle)
                if self._closing is not None:
                    step = self._closing
                elif self._run is None:
                    step = self._between_commands()
                else:
                    step = self._advance(self._run)
                if step is None:
                    continue
            if self._out:
                # `Need` and `Close` are found again; anything else must not be lost.
                self._held = None if isinstance(step, (Need, Close)) else step
                return self._flush()
            self._held = None
            return step

    def resume(self, value: Any) -> None:
        """The answer to the last step."""
        self._waits = False
        self._answer = value
        if self._tls_starts:
            self._tls_starts = False
            if self._injected:
                self._leave("injected before TLS")

    def fail(self, error: BaseException) -> None:
        """The last step's call raised."""
        self._waits = False
        self._error = error
        if self._tls_starts:
            self._leave("TLS failed")

    def wake(self) -> None:
        """The selected mailbox changed."""
        self._session.woken = True
        if isinstance(self._wants, Listen):
            self._heard = Heard.WOKEN
            if self.on_wake is not None:
                self.on_wake()

    def timer(self) -> None:
        """The last `Need` timed out."""
        if self._waits or self._closing is not None:
            return
        if isinstance(self._wants, Listen):
            self._heard = self._heard or Heard.SILENCE
        else:
            self._silent = True

    def shutdown(self, text: str) -> None:
        """Say goodbye, once the present command is over if it is one that should not be cut off."""
        self._goodbye = text

    def bug(self) -> bytes:
        """What to tell the client of a bug; the host closes after it."""
        connection = self._session.greeting.connection
        text = "Internal error" + (f", reported as {connection}" if connection else "")
        tagged = b""
        if self._run is not None or self._command is not None:
            tagged = render(Status(NO, text, "SERVERBUG", self._session.tag))
        return tagged + render(Status(BYE, text))

    def close(self) -> None:
        """The connection is gone."""
        self._leave("closed")

    # --- endings ----------------------------------------------------------------------------------------------------

    def _leave(self, reason: str) -> None:
        """Close, and let go of everything. What was said before still leaves."""
        if self._closing is None:
            self._closing = Close(reason)
        self._session.framer.clear()
        run, self._run = self._run, None
        self._command = None
        self._wants = None
        self._held = None
        if run is not None:
            self._release(run)
        self._session.end()

    def _release(self, run: Run) -> None:
        """Close a command's generator. An answer that has come and was not taken is handed over first: only the
        command knows what to release of it."""
        answer, self._answer = self._answer, None
        with contextlib.suppress(Exception):
            if answer is not None and not self._waits:
                run.send(answer)
        with contextlib.suppress(Exception):
            run.close()

    def _bye(self, text: str, reason: str) -> None:
        self._say(render(Status(BYE, text)))
        self._leave(reason)

    # --- output -----------------------------------------------------------------------------------------------------

    def _say(self, data: bytes) -> None:
        self._out.append(data)
        self._out_size += len(data)

    def _flush(self) -> Send:
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._out_size = 0
        return Send(data)

    # --- between commands -------------------------------------------------------------------------------------------

    def _between_commands(self) -> Step | None:
        """Begin the next command. None: look again."""
        session, limits = self._session, self._limits
        self._command = None
        before = session.account is None
        if self._goodbye is not None:
            self._bye(self._goodbye, "shutdown")
            return None
        if self._silent:
            self._bye("No command came for too long", "idle")
            return None
        view = session.view
        if view is not None and view.gone:
            self._bye("The selected mailbox was deleted", "mailbox deleted")
            return None
        if self._bad >= (limits.bad_commands_before_login if before else limits.bad_commands):
            self._bye("Too many commands that are none", "bad commands")
            return None
        if session.failures >= limits.failed_logins:
            self._bye("Too many logins failed", "failed logins")
            return None
        if self._burst >= _BURST and self._out:
            return self._flush()
        try:
            return self._next_command(before)
        except ProtocolFault:
            self._bye("A command is too long to be skipped", "too long")
            return None

    def _next_command(self, before: bool) -> Step | None:
        session, limits = self._session, self._limits
        frame = session.framer.next()
        self._starved = frame is None
        if frame is None:
            if before and not can_begin(session.framer.first):
                self._bye("This is IMAP", "another protocol")
                return None
            return Need(limits.idle_before_login if before else limits.idle)
        self._burst += 1
        if before:
            self._before_login += 1
            if self._before_login > limits.commands_before_login:
                self._bye("Too many commands before the login", "commands before login")
                return None
        self._begin(frame)
        return None

    def _begin(self, frame: Frame) -> None:
        """A command begins, or goes on up to its next literal."""
        session = self._session
        if isinstance(frame, Line):
            if frame.text:
                self._start(frame.text)
        elif isinstance(frame, Announced):
            self._literal(frame)
        elif isinstance(frame, Overlong):
            session.tag = tag_of(frame.text) or b"*"
            self._refuse(Status(BAD, "The command line is too long", "LIMIT"))

    def _literal(self, asked: Announced) -> None:
        """A literal is announced while no command runs yet."""
        session, limits, framer = self._session, self._limits, self._session.framer
        before = session.account is None
        found = self._name(asked.head)
        if found is None:
            framer.refuse()
            return
        command = found.command
        if command.streams:
            try:
                arguments = command.parse(Reader(framer.so_far(), found.start))
            except ProtocolFault as fault:
                framer.refuse()
                self._refuse(Status(BAD, fault.text))
                return
            except MailError as error:
                framer.refuse()
                self._refuse(codes.refusal(error))
                return
            if arguments is not None:
                self._run_command(command, arguments)
                return
        most = limits.literal_before_login if before else limits.literal
        whole = limits.command_before_login if before else limits.command
        if asked.size > most or framer.held + asked.size > whole:
            framer.refuse()
            self._refuse(Status(NO, f"A literal may have {most} octets here, a command {whole}", "TOOBIG"))
            return
        framer.keep()
        if asked.synchronising:
            self._say(render(Continuation(b"OK")))

    def _start(self, text: bytes) -> None:
        """Run a complete command."""
        found = self._name(text)
        if found is None:
            return
        command = found.command
        try:
            arguments = command.parse(Reader(text, found.start))
        except ProtocolFault as fault:
            self._command = command
            self._refuse(Status(BAD, fault.text))
        except MailError as error:
            self._command = command
            self._refuse(codes.refusal(error))
        else:
            self._run_command(command, arguments)

    def _name(self, text: bytes) -> Named | None:
        """The command that a line begins; None: it was answered that there is none."""
        found = named(text, self._session.state)
        self._session.tag = found.tag
        if isinstance(found, Named):
            return found
        if found.alien:
            self._bad = self._limits.bad_commands
        self._refuse(Status(BAD, found.reason))
        return None

    def _run_command(self, command: Command, arguments: Any) -> None:
        self._command = command
        self._run = self._perform(command, arguments)

    def _refuse(self, status: Status) -> None:
        """Answer what never became a command."""
        self._bad += 1
        self._conclude(status)

    # --- a command --------------------------------------------------------------------------------------------------

    def _perform(self, command: Command, arguments: Any) -> Run:
        """A command and, at its end, the news of the selected mailbox."""
        session = self._session
        try:
            status = yield from command.run(session, arguments)
        except MailError as error:
            status = codes.refusal(error)
        except ProtocolFault as fault:
            if fault.fatal:
                raise
            status = Status(BAD, fault.text)
        if session.view is not None and not session.leaving:
            if session.woken or command.asks_for_news:
                # When the folder cannot be looked at now, the command's own answer stands.
                with contextlib.suppress(MailError):
                    yield from session.catch_up()
            yield from session.news(expunges=not command.uses_sequence_numbers)
        return status

    def _advance(self, run: Run) -> Step | None:
        """Go on with the running command. None: look again."""
        if self._wants is not None:
            if not self._hear():
                return self._pause()
            if self._run is None:
                return None
        if self._goodbye is not None and self._command is not None and self._command.abandonable:
            self._bye(self._goodbye, "shutdown")
            return None
        answer, self._answer = self._answer, None
        error, self._error = self._error, None
        try:
            said = run.send(answer) if error is None else run.throw(error)
        except StopIteration as end:
            self._run = None
            self._bad = 0
            self._conclude(end.value)
            return None
        except Torn as fault:
            # Inside a literal nothing more can be said.
            self._run = None
            self._leave(fault.text)
            return None
        except ProtocolFault as fault:
            self._run = None
            self._bye(fault.text, "protocol fault")
            return None
        kind = type(said)
        if kind is bytes:
            self._say(said)  # type: ignore[arg-type]  # `kind` is checked instead of isinstance: speed
            return None
        if isinstance(said, (NextFrame, Listen)):
            self._wants = said
            if isinstance(said, Listen) and self._session.woken:
                self._heard = Heard.WOKEN
            return None
        if isinstance(said, (Log, Send)):
            return said
        if isinstance(said, Close):
            self._leave(said.reason)
            return None
        if isinstance(said, _STEPS):
            if isinstance(said, StartTls):
                if self._session.framer.clear():
                    self._leave("injected before TLS")
                    return None
                self._tls_starts = True
            self._waits = True
            return said
        self._say(render(said))  # type: ignore[arg-type]  # what is left is a Response
        return None

    def _hear(self) -> bool:
        """What the running command wants to hear has come."""
        try:
            frame = self._session.framer.next()
            self._starved = frame is None
        except ProtocolFault:
            self._bye("A command is too long to be skipped", "too long")
            return True
        heard, self._heard = self._heard, None
        if frame is not None:
            self._answer = frame
        elif heard is not None:
            self._answer = heard
        else:
            return False
        self._wants = None
        return True

    def _pause(self) -> Step | None:
        """The client has to say something first."""
        if self._goodbye is not None:
            self._bye(self._goodbye, "shutdown")
            return None
        if self._silent:
            self._bye("Nothing came for too long", "idle")
            return None
        if isinstance(self._wants, Listen):
            return Need(self._wants.seconds)
        return Need(self._limits.idle_before_login if self._session.account is None else self._limits.idle)

    def _conclude(self, status: Status | None) -> None:
        """The tagged answer, unless it was given before (STARTTLS)."""
        session = self._session
        self._wants = self._heard = None
        if status is None:
            return
        self._say(render(Status(status.condition, status.text, status.code, session.tag)))
        if status.condition != OK:
            name = self._command.name if self._command is not None else ""
            fields = {"command": name or None, "condition": status.condition, "code": status.code or None,
                      "text": status.text}
            self._held = Log("command", fields)
        if session.leaving:
            self._leave("logout")
        if session.account is not None and session.framer.line_limit != self._limits.line:
            session.framer.line_limit = self._limits.line
            session.framer.drop_limit = self._limits.drop


_STEPS = (Blocking, Compute, SaslStart, SaslRespond, SaslCancel, StartTls)
