"""Every event that the server logs, declared once, and the log that writes them: one line each, plain or JSON.

Rules that keep it right:

1. An event is a constant of this file; its name and its fields are what administrators grep for and feed to other
   programs, so they change only together with the documentation.
2. Values come from strangers: control characters, line ends and everything else that does not print is escaped, and
   long values are cut. A `Secret` prints as nothing.
3. A line is one `write` to standard error, so that lines of several processes do not mix. Logging never raises.
"""

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}
_LEVEL_NAMES = {number: name for name, number in LEVELS.items()}

_LONGEST_VALUE = 600
_LONGEST_TRACEBACK = 8000


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of event: its name in the log, how urgent it is, and what it means."""

    name: str
    level: int
    meaning: str


EVENTS: dict[str, Event] = {}


def _event(name: str, level: int, meaning: str) -> Event:
    event = Event(name, level, meaning)
    if name in EVENTS:
        raise ValueError(f"event {name} is declared twice")
    EVENTS[name] = event
    return event


# The server and its processes
READY = _event("ready", INFO, "all listeners accept connections")
STARTED = _event("started", INFO, "the supervisor runs")
STOPPING = _event("stopping", INFO, "a graceful stop began")
STOPPED = _event("stopped", INFO, "the last process has ended")
LISTENING = _event("listening", INFO, "an address is bound")
CONFIG_ERROR = _event("config-error", ERROR, "an error in the configuration; the old one, if any, stays in force")
CONFIG_WARNING = _event("config-warning", WARNING, "something in the configuration that may be meant otherwise")
RELOADED = _event("reloaded", INFO, "the configuration or the certificates were read again and are in force")
PROCESS_STARTED = _event("process-started", INFO, "a worker or the auth process was started")
PROCESS_ENDED = _event("process-ended", WARNING, "a process ended that should not have; it is started again")
PROCESS_HUNG = _event("process-hung", ERROR, "a process gave no sign of life and was killed")
PROCESS_RETIRED = _event("process-retired", INFO, "a process of an older configuration has ended")
HELPER_ENDED = _event("helper-ended", WARNING, "a helper process died; its job is tried once more")
CERTIFICATE_EXPIRES = _event("certificate-expires", WARNING, "a certificate is invalid soon or already")
NOT_LISTENING = _event("not-listening", WARNING, "a configured service that is still to come")
BUG = _event("bug", ERROR, "an exception that nobody expected; please report it")

# Connections
CONNECTED = _event("connected", DEBUG, "a client connected")
REFUSED = _event("refused", WARNING, "a connection was refused by a limit or a wrong PROXY header")
TLS_FAILED = _event("tls-failed", INFO, "a TLS handshake failed or TLS was broken")
LOGIN = _event("login", INFO, "a user logged in")
LOGIN_FAILED = _event("login-failed", INFO, "a login was refused")
LOGOUT = _event("logout", INFO, "a logged-in session ended")
DISCONNECTED = _event("disconnected", DEBUG, "a connection ended without a login")
FAULT = _event("fault", INFO, "the client broke the protocol and was disconnected")
KICKED = _event("kicked", INFO, "an administrator or a limit ended a session")
COMMAND = _event("command", DEBUG, "a command was answered")
SELECT = _event("select", DEBUG, "a mailbox was selected")

# Authentication
AUTH_LOST = _event("auth-lost", WARNING, "a worker lost its link to the auth process")
AUTH_BACK = _event("auth-back", INFO, "a worker has its link to the auth process again")
AUTH_BACKEND = _event("auth-backend", ERROR, "a password backend cannot be used")
CONTROL = _event("control", INFO, "a command came over the control socket")

# Mail
STORE = _event("store", WARNING, "the mail store or the index mended something, or could not read it")
WATCH_DEGRADED = _event("watch-degraded", WARNING, "changes by other programs are found by polling from now on")
INDEX_SUSPECT = _event("index-suspect", WARNING, "a worker died while it was reading this index")
RAWLOG = _event("rawlog", WARNING, "a raw log could not be written")
ACCOUNT_UNUSABLE = _event("account-unusable", ERROR, "a user logged in whose mail cannot be served")


class EventLog:
    """Writes events; shared by everything in a process."""

    def __init__(
        self, process: str, form: str = "plain", level: str = "info", write: Callable[[bytes], None] | None = None
    ) -> None:
        """`process` names this process in each line; `form` is `plain` or `json`."""
        self._process = f"{process}[{os.getpid()}]"
        self._json = form == "json"
        self._level = LEVELS[level]
        self._write = write or _standard_error
        self._second = -1
        self._stamp = ""

    def enabled(self, event: Event) -> bool:
        """Whether an event of this kind is written at all."""
        return event.level >= self._level

    def emit(self, event: Event, /, **fields: Any) -> None:
        """Write one event; fields that are None are left out."""
        if event.level >= self._level:
            self._line(event.name, event.level, fields)

    def named(self, name: str, fields: Mapping[str, Any]) -> None:
        """An event that another room asks for by its name."""
        event = EVENTS.get(name)
        level = INFO if event is None else event.level
        if level >= self._level:
            self._line(name, level, fields)

    def wanted(self, name: str) -> bool:
        """Whether `named` would write this."""
        event = EVENTS.get(name)
        return (INFO if event is None else event.level) >= self._level

    def bug(self, error: BaseException, /, **fields: Any) -> None:
        """An exception that nobody expected, with its traceback."""
        trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]
        self.emit(BUG, **fields, error=repr(error), traceback=trace)

    def _line(self, name: str, level: int, fields: Mapping[str, Any]) -> None:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        stamp = f"{self._stamp}.{int(now * 1000) % 1000:03d}Z"
        if self._json:
            record: dict[str, Any] = {
                "time": stamp, "level": _LEVEL_NAMES.get(level, "info"), "process": self._process, "event": name,
            }
            for key, value in fields.items():
                if value is not None:
                    record.setdefault(key, value if isinstance(value, (int, float)) else _cut(key, _text(value)))
            line = json.dumps(record)
        else:
            parts = [f"{stamp} {_LEVEL_NAMES.get(level, 'info')} {self._process} {_bare(name)}"]
            parts += [f"{_bare(key)}={plain(_cut(key, _text(v)))}" for key, v in fields.items() if v is not None]
            line = " ".join(parts)
        self._write(line.encode("utf-8", "backslashreplace") + b"\n")


def plain(text: str) -> str:
    """One word of a plain line: quoted when it has blanks, escaped when it has anything that does not print."""
    if text.isprintable():
        if text and not set(text) & set(' "=\\'):
            return text
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    escaped = []
    for character in text:
        if character in '"\\':
            escaped.append("\\" + character)
        elif character.isprintable():
            escaped.append(character)
        elif character == "\n":
            escaped.append("\\n")
        else:
            escaped.append(character.encode("unicode_escape").decode("ascii"))
    return '"' + "".join(escaped) + '"'


def _bare(name: str) -> str:
    return name if name.isprintable() and " " not in name else plain(name)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (tuple, list, frozenset, set)):
        return ",".join(_text(one) for one in value)
    return str(value)


def _cut(key: str, text: str) -> str:
    longest = _LONGEST_TRACEBACK if key == "traceback" else _LONGEST_VALUE
    return text if len(text) <= longest else text[:longest] + "…"


def _standard_error(line: bytes) -> None:
    # A log that cannot be written must not take the server with it.
    try:
        while line:
            line = line[os.write(2, line) :]
    except OSError:
        return
