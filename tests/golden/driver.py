"""Drives bare IMAP engines without a server: a real account over a temporary Maildir, calls and jobs run inline.

`World` is the account, `Connection` one session of it. Nothing waits and nothing runs in the background: what one
session does reaches another at its next pump, which follows every feed.
"""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from culverhouse.account.account import Account
from culverhouse.index.env import Environments
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import MailError, ProtocolFault
from culverhouse.protocols.engine import (
    Blocking,
    Close,
    Compute,
    Greeting,
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
    Step,
)
from culverhouse.protocols.imap4.engine import ImapEngine
from culverhouse.protocols.imap4.limits import Limits

PASSWORD = b"\0alice\0secret"
_NAMES = itertools.count(1)


class World:
    """One user's account and its sessions."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.mail = folder / "Maildir"
        self.mail.mkdir(parents=True)
        spec: dict[str, Any] = {
            "user": "alice", "store": f"maildir:{self.mail}", "layout": "maildir++", "separator": "/", "prefix": "",
            "index": str(folder / "index"), "max_message_size": 1_000_000,
        }  # fmt: skip
        self.environments = Environments()
        self.account = Account(AccountSpec(**(spec | settings)), None, None, self.environments)
        self.account.prepare()
        self.connections: list[Connection] = []

    def path(self, mailbox: str) -> Path:
        """The Maildir of a mailbox (layout maildir++)."""
        return self.mail if mailbox == "INBOX" else self.mail / ("." + mailbox.replace("/", "."))

    def deliver(self, mailbox: str, message: bytes, flags: str = "") -> None:
        """As an MTA does it, or with flags as another program left it."""
        name = f"{1_700_000_000 + next(_NAMES)}.M1P{os.getpid()}.test"
        path = self.path(mailbox) / ("cur" if flags else "new") / (f"{name}:2,{flags}" if flags else name)
        path.write_bytes(message)
        os.utime(path, (1_000_000_000, 1_000_000_000))

    def connect(self, *, login: bool = True, **greeting: Any) -> "Connection":
        """A new session, logged in already."""
        connection = Connection(self, **greeting)
        self.connections.append(connection)
        if login:
            answer = connection.feed(b"login LOGIN alice secret\r\n")
            assert answer.startswith(b"login OK "), answer
        return connection

    def close(self) -> None:
        """End everything."""
        for connection in self.connections:
            connection.engine.close()
        self.account.release()


class Connection:
    """One engine and what it has said."""

    def __init__(self, world: World | None, limits: Limits | None = None, **greeting: Any) -> None:
        facts: dict[str, Any] = {
            "tls": False, "starttls": True, "cleartext": True, "mechanisms": ("PLAIN", "LOGIN"),
            "mechanisms_tls": ("PLAIN", "LOGIN", "SCRAM-SHA-256-PLUS"), "connection": "c1",
        }  # fmt: skip
        self.world = world
        self.engine = ImapEngine(Greeting(**(facts | greeting)), limits)
        self.engine.on_wake = self._woken
        self.output = b""
        self.closed: str | None = None
        self.logs: list[Log] = []
        self.timeout = 0.0
        self.steps: list[Step] = []
        """All steps, Sends apart."""
        self.before: Callable[[Step], None] = lambda step: None
        """Called before a step that has an answer is done."""
        self.woken = False
        self._mechanism = ""
        self.pump()
        self.greeting, self.output = self.output, b""

    def _woken(self) -> None:
        self.woken = True

    def feed(self, data: bytes, chunk: int = 0) -> bytes:
        """Give bytes, whole or in chunks; returns what was answered."""
        for start in range(0, len(data), chunk or max(1, len(data))):
            self.engine.receive(data[start : start + (chunk or len(data))])
            self.pump()
        if self.world is not None:
            for other in self.world.connections:
                if other is not self:
                    other.pump()
        return self.taken()

    def command(self, text: bytes, chunk: int = 0) -> bytes:
        """One command with the tag `a`; its answer must come at once."""
        answer = self.feed(b"a " + text + b"\r\n", chunk)
        assert answer.startswith(b"a ") or b"\r\na " in answer, answer
        return answer

    def taken(self) -> bytes:
        """What was said since the last call."""
        said, self.output = self.output, b""
        return said

    def pump(self) -> None:
        """Do steps until the engine needs something."""
        self.woken = False
        while self.closed is None:
            step = self.engine.next_step()
            if isinstance(step, Send):
                self.output += step.data
                continue
            if isinstance(step, Log):
                self.logs.append(step)
                continue
            self.steps.append(step)
            if isinstance(step, Need):
                self.timeout = step.timeout
                return
            if isinstance(step, Close):
                self.closed = step.reason
                return
            self.before(step)
            try:
                value = self._do(step)
            except (MailError, ProtocolFault) as error:
                self.engine.fail(error)
            else:
                self.engine.resume(value)

    def _do(self, step: Step) -> Any:
        if isinstance(step, Blocking):
            return step.call()
        if isinstance(step, Compute):
            assert self.world is not None
            return step.job.run(self.world.account)
        if isinstance(step, SaslStart):
            self._mechanism = step.mechanism
            if step.initial is None:
                return SaslChallenge(b"")
            return self._judged(step.initial.reveal())
        if isinstance(step, SaslRespond):
            return self._judged(step.response.reveal())
        if isinstance(step, SaslCancel):
            return SaslFailure(SaslReason.CANCELLED, "Cancelled")
        assert isinstance(step, StartTls)
        return None

    def _judged(self, response: bytes) -> SaslSuccess | SaslFailure:
        if response == PASSWORD and self.world is not None:
            last = b"v=signature" if self._mechanism.startswith("SCRAM") else None
            return SaslSuccess(self.world.account, last)
        return SaslFailure(SaslReason.CREDENTIALS, "Authentication failed")
