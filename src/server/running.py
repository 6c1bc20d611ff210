"""What the auth process and the workers do alike once they know the configuration."""

import signal
import sys
from typing import Any

from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogBeginner
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships none

from ..config import Config
from .events import BUG, EventLog

SWITCH_INTERVAL = 0.001
"""Seconds after which a thread that computes lets the reactor in; Python's own 5 ms would show in every answer."""


def prepare(reactor: Any, process: str, config: Config) -> EventLog:
    """Set up this process; gives its log."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    log = EventLog(process, config.server.log_format, config.server.log_level)
    observer: Any = _Observer(log)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
    # Terminal and service managers signal the whole group; the supervisor decides what happens when.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return log


@implementer(ILogObserver)
class _Observer:
    """What goes wrong inside Twisted is a bug of ours or of its."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("log_level", LogLevel.info) < LogLevel.error:
            return
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self._log.bug(failure.value)
        else:
            self._log.emit(BUG, error=formatEvent(event))
