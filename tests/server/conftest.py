"""Real servers, shared by the tests of a file where they leave nothing behind."""

import poplib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.serving import PASSWORD, Served

T = TypeVar("T")


class Running(Served):
    """A server with what tests of the processes need to know of it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        while True:  # two of the ports that were free a moment ago may be one
            super().__init__(*arguments, **options)
            if len({self.imap, self.imaps, self.pop3, self.pop3s}) == 4:
                return

    def pids(self, role: str) -> list[int]:
        """Processes of a role (`worker`, `auth`, `helper`) that descend from this server."""
        command = ["ps", "-ww", "-eo", "pid=,ppid=,args="]
        table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in table.splitlines()]
        family = {self.process.pid} if self.process else set()
        found = []
        for _ in range(3):
            family |= {int(pid) for pid, parent, _ in rows if int(parent) in family}
        for pid, _, args in rows:
            if int(pid) in family and f"server.child {role} " in args:
                found.append(int(pid))
        return found

    def lines(self, event: str) -> list[str]:
        """Log lines of an event."""
        return [line for line in self.log.read_text().splitlines() if re.match(rf"\S+ \w+ \S+ {event}( |$)", line)]

    def wait_for(self, event: str, count: int = 1, seconds: float = 15) -> list[str]:
        """Until the log has so many lines of an event."""
        return until(lambda: found if len(found := self.lines(event)) >= count else None, seconds, f"no {event}")

    def pop(self, user: str = "alice", password: str = PASSWORD, port: int | None = None) -> poplib.POP3:
        """A logged-in POP3 session."""
        client = poplib.POP3("127.0.0.1", port or self.pop3, timeout=20)
        try:
            client.user(user)
            client.pass_(password)
        except BaseException:
            client.close()
            raise
        return client


def until(condition: Callable[[], T | None], seconds: float, otherwise: str) -> T:
    """The condition's value as soon as it is not None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value is not None:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{otherwise} within {seconds} s")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    made: list[Running] = []

    def starting(**options: object) -> Running:
        server = Running(tmp_path / "s", ("alice", "bob"), **options)  # type: ignore[arg-type]
        made.append(server)
        server.start()
        server.wait_for("ready")
        return server

    yield starting
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests that leave it as it was."""
    server = Running(tmp_path_factory.mktemp("shared"), ("alice", "bob"))
    server.start()
    server.wait_for("ready")
    yield server
    server.stop()
