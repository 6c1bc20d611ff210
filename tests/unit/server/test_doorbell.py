"""Rings between the workers of one server: none is lost, none waits."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from culverhouse.server import doorbell
from culverhouse.server.doorbell import Bell


@pytest.fixture
def bells(reactor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made: list[Bell] = []

    def make(name: str) -> tuple[Bell, list[tuple[str, str]]]:
        rung: list[tuple[str, str]] = []
        monkeypatch.setattr(doorbell.os, "getpid", lambda: name)
        made.append(Bell(reactor, str(tmp_path), lambda account, mailbox: rung.append((account, mailbox))))
        return made[-1], rung

    yield make
    for bell in made:
        bell.close()


Make = Callable[[str], tuple[Bell, list[tuple[str, str]]]]


def test_a_ring_reaches_all_and_its_own_worker(reactor: Any, bells: Make) -> None:
    (one, rung_one), (two, rung_two), (three, rung_three) = bells("1"), bells("2"), bells("3")
    one.ring("bob@example", "guid")
    for bell in (two, three):
        bell.doRead()
    reactor.advance(0)
    assert rung_one == rung_two == rung_three == [("bob@example", "guid")]


def test_names_that_are_not_utf8_survive(bells: Make) -> None:
    (one, _), (two, rung) = bells("1"), bells("2")
    name = os.fsdecode(b"b\xf6b")
    one.ring(name, "x")
    two.doRead()
    assert rung == [(name, "x")]


def test_a_worker_whose_queue_is_full_hears_of_everything_later(reactor: Any, bells: Make) -> None:
    (one, _), (two, rung) = bells("1"), bells("2")
    for number in range(2000):
        one.ring("bob", str(number % 700))
    assert one._undelivered
    for _ in range(2000):
        two.doRead()
        reactor.advance(0.02)
        if not one._undelivered:
            break
    two.doRead()
    assert {mailbox for _, mailbox in rung} == {str(number) for number in range(700)}


def test_a_dead_workers_socket_is_removed(bells: Make, tmp_path: Path) -> None:
    one, _ = bells("1")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(tmp_path / "999"))
    dead.close()
    one.ring("bob", "x")
    assert os.listdir(tmp_path) == ["1"]


def test_a_worker_that_comes_later_is_rung_too(bells: Make) -> None:
    one, _ = bells("1")
    one.ring("bob", "x")
    two, rung = bells("2")
    one.ring("bob", "y")
    two.doRead()
    assert rung == [("bob", "y")]


def test_a_closed_bell_hears_nothing_and_leaves_no_socket(bells: Make, tmp_path: Path) -> None:
    (one, _), (two, rung) = bells("1"), bells("2")
    two.close()
    one.ring("bob", "x")
    assert rung == []
    assert os.listdir(tmp_path) == ["1"]
