"""The thread pool: order per key, one wake-up for many outcomes, cancellation."""

import threading
from collections import deque
from typing import Any

import pytest

from culverhouse.server.offload import Offload


class ThreadReactor:
    """Collects calls from threads and runs them here."""

    def __init__(self) -> None:
        self.calls: deque[Any] = deque()
        self.came = threading.Semaphore(0)
        self.wakeups = 0

    def callFromThread(self, call: Any, *args: Any) -> None:
        self.wakeups += 1
        self.calls.append((call, args))
        self.came.release()

    def run_until(self, condition: Any) -> None:
        while not condition():
            assert self.came.acquire(timeout=10), "nothing came back"
            call, args = self.calls.popleft()
            call(*args)


@pytest.fixture
def pool() -> Any:
    reactor = ThreadReactor()
    made = Offload(reactor, threads=4)
    yield reactor, made
    made.stop()


def test_values_and_exceptions_come_back(pool: Any) -> None:
    reactor, offload = pool
    outcomes: list[Any] = []
    offload.run(lambda: 7, None, lambda value, error: outcomes.append((value, error)))
    offload.run(lambda: 1 // 0, None, lambda value, error: outcomes.append((value, type(error))))
    reactor.run_until(lambda: len(outcomes) == 2)
    assert sorted(outcomes, key=str) == sorted([(7, None), (None, ZeroDivisionError)], key=str)
    assert offload.busy == 0


def test_equal_keys_keep_their_order_and_never_overlap(pool: Any) -> None:
    reactor, offload = pool
    running: dict[str, int] = {"a": 0, "b": 0}
    seen: dict[str, list[int]] = {"a": [], "b": []}
    ended: list[Any] = []

    def call(key: str, number: int) -> None:
        running[key] += 1
        assert running[key] == 1
        seen[key].append(number)
        threading.Event().wait(0.001)
        running[key] -= 1

    for number in range(20):
        for key in ("a", "b"):
            offload.run(lambda k=key, n=number: call(k, n), key, lambda value, error: ended.append(error))
    reactor.run_until(lambda: len(ended) == 40)
    assert seen == {"a": list(range(20)), "b": list(range(20))}
    assert ended == [None] * 40


def test_other_keys_go_on_while_one_waits(pool: Any) -> None:
    reactor, offload = pool
    gate = threading.Event()
    ended: list[str] = []
    offload.run(lambda: gate.wait(10), "slow", lambda value, error: ended.append("slow"))
    offload.run(lambda: None, "slow", lambda value, error: ended.append("behind"))
    offload.run(lambda: None, "fast", lambda value, error: ended.append("fast"))
    reactor.run_until(lambda: ended == ["fast"])
    gate.set()
    reactor.run_until(lambda: ended == ["fast", "slow", "behind"])


def test_a_call_that_has_not_begun_can_be_cancelled_and_one_that_has_cannot(pool: Any) -> None:
    reactor, offload = pool
    gate, begun = threading.Event(), threading.Event()
    ended: list[str] = []

    def first() -> None:
        begun.set()
        gate.wait(10)

    running = offload.run(first, "k", lambda value, error: ended.append("first"))
    waiting = offload.run(lambda: ended.append("never"), "k", lambda value, error: ended.append("never"))
    last = offload.run(lambda: None, "k", lambda value, error: ended.append("last"))
    assert begun.wait(10)
    assert running.cancel() is False
    assert waiting.cancel() is True
    gate.set()
    reactor.run_until(lambda: "last" in ended)
    assert ended == ["first", "last"]
    assert last.begun


def test_many_outcomes_wake_the_reactor_once(pool: Any) -> None:
    reactor, offload = pool
    gate = threading.Barrier(5)
    ended: list[int] = []
    for _ in range(4):
        offload.run(lambda: gate.wait(10), None, lambda value, error: ended.append(1))
    gate.wait(10)
    while len(offload._outcomes) < 4:
        pass
    assert reactor.wakeups == 1
    reactor.run_until(lambda: len(ended) == 4)


def test_there_are_never_more_threads_than_allowed(pool: Any) -> None:
    reactor, offload = pool
    peak, now, lock = [0], [0], threading.Lock()
    ended: list[int] = []

    def call() -> None:
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        threading.Event().wait(0.002)
        with lock:
            now[0] -= 1

    for _ in range(40):
        offload.run(call, None, lambda value, error: ended.append(1))
    reactor.run_until(lambda: len(ended) == 40)
    assert peak[0] == 4


def test_a_failing_receiver_does_not_cost_others_their_outcome(pool: Any) -> None:
    reactor, offload = pool
    ended: list[int] = []
    for number in range(3):
        offload.run(lambda: None, "k", lambda value, error, n=number: ended.append(n) if n != 1 else 1 / 0)
    reactor.run_until(lambda: len(ended) == 2)
    assert ended == [0, 2]
