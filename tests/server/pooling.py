"""Jobs for the helper tests, and a driver that runs a pool of helpers in a reactor of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from culverhouse.model.errors import Kind, MailError


def runner(argument: Any) -> Callable[[Any], tuple[Any, list[Any]]]:
    """What a helper does with a task."""
    kept = {"argument": argument, "jobs": 0}

    def run(task: tuple[str, Any]) -> tuple[Any, list[Any]]:
        kind, value = task
        kept["jobs"] += 1
        if kind == "echo":
            return (value, kept["argument"], os.getpid(), kept["jobs"]), []
        if kind == "fail":
            raise MailError(Kind.CANNOT, value)
        if kind == "odd":
            raise type("Odd", (Exception,), {})(value)
        if kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "die-once" and not Path(value).exists():
            Path(value).touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "sleep":
            time.sleep(value)
        if kind == "grow":
            kept["ballast"] = os.urandom(value)
        return (kind, os.nice(0)), [kind]

    return run


def drive(size: int, tasks: list[tuple[str, Any]], wait: float, **options: Any) -> None:
    """Run the tasks, print each outcome, then the reports; with a `wait` stay that long."""
    from twisted.internet import epollreactor

    epollreactor.install()
    from twisted.internet import reactor

    from culverhouse.server.events import EventLog
    from culverhouse.server.helper_main import Setup
    from culverhouse.server.helpers import HelperPool

    reports: list[Any] = []
    left = [len(tasks)]
    pool = HelperPool(
        reactor, size, Setup("tests.server.pooling:runner", "argument"), EventLog("t"), reports.extend,
        lambda index: print(repr(("crashed", index, None)), flush=True), **options
    )

    def done(number: int, value: Any, error: Any) -> None:
        print(repr((number, value, f"{type(error).__name__}: {error}" if error is not None else None)), flush=True)
        left[0] -= 1
        if not left[0]:
            reactor.callLater(wait, end)

    def end() -> None:
        print(repr(("helpers", len(pool._helpers), sorted(reports))), flush=True)
        pool.stop()
        reactor.stop()

    for number, task in enumerate(tasks):
        pool.submit_keyed(
            str(task[1]) if task[0] == "echo" else "k", task, lambda v, e, n=number: done(n, v, e), "/index"
        )
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    import ast

    size, tasks, wait, options = (ast.literal_eval(argument) for argument in sys.argv[1:])
    drive(size, tasks, wait, **options)
