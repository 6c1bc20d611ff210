"""Time for many connections at once: a wheel for their time-outs and a queue of those that want a turn soon.

Thousands of idle sessions each re-arm a time-out after every command. A timer of the reactor costs a heap operation
and an object each time; here re-arming only writes the new deadline into the item. The wheel looks at an item when
the slot in which it was filed has passed, and files it again if its deadline has moved on. Time-outs are therefore
late by up to a slot and never early.
"""

import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Protocol

NEVER = float("inf")
UNFILED = 1 << 62


class Later(Protocol):
    """A pending call of the reactor."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """The reactor, as far as this module knows it."""

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> Any:
        """Call after some seconds."""


class Timed(Protocol):
    """What can be filed in the wheel: start with `deadline = NEVER`, `slot = UNFILED`."""

    deadline: float
    slot: int

    def expire(self) -> None:
        """The deadline has passed."""


class Wheel:
    """Time-outs of `Timed` items."""

    def __init__(self, reactor: Clock, grain: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        self._reactor = reactor
        self._grain = grain
        self._clock = clock
        self._slots: dict[int, set[Timed]] = {}
        self._order: list[int] = []
        self._call: Any = None
        self._call_slot = UNFILED

    def now(self) -> float:
        """The wheel's own time."""
        return self._clock()

    def arm(self, item: Timed, seconds: float) -> None:
        """Expire the item after so many seconds instead of whenever it was to expire before."""
        deadline = item.deadline = self._clock() + seconds
        slot = int(deadline / self._grain) + 1
        if slot < item.slot:
            self._file(item, slot)

    def disarm(self, item: Timed) -> None:
        """Do not expire it until it is armed again."""
        item.deadline = NEVER

    def drop(self, item: Timed) -> None:
        """Forget the item altogether."""
        item.deadline = NEVER
        if item.slot != UNFILED:
            self._slots[item.slot].discard(item)
            item.slot = UNFILED

    def _file(self, item: Timed, slot: int) -> None:
        if item.slot != UNFILED:
            self._slots[item.slot].discard(item)
        item.slot = slot
        items = self._slots.get(slot)
        if items is None:
            items = self._slots[slot] = set()
            heappush(self._order, slot)
            if slot < self._call_slot:
                self._schedule()
        items.add(item)

    def _schedule(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._call_slot = UNFILED
        if self._order:
            self._call_slot = self._order[0]
            wait = max(0.0, self._call_slot * self._grain - self._clock())
            self._call = self._reactor.callLater(wait, self._tick)

    def _tick(self) -> None:
        self._call = None
        self._call_slot = -1  # nothing files ahead of the slots that are being worked off
        now = self._clock()
        current = int(now / self._grain)
        expired: list[Timed] = []
        while self._order and self._order[0] <= current:
            for item in self._slots.pop(heappop(self._order)):
                item.slot = UNFILED
                if item.deadline <= now:
                    item.deadline = NEVER
                    expired.append(item)
                elif item.deadline != NEVER:
                    self._file(item, int(item.deadline / self._grain) + 1)
        self._schedule()
        for item in expired:
            item.expire()


class Turns:
    """Callables that want to go on soon but not now: each gets its turn, in order, some per round of the reactor."""

    def __init__(self, reactor: Clock, budget: float = 0.01, clock: Callable[[], float] = time.perf_counter) -> None:
        self._reactor = reactor
        self._budget = budget
        self._clock = clock
        self._queue: deque[Callable[[], None]] = deque()
        self._called = False

    def add(self, turn: Callable[[], None]) -> None:
        """Call `turn()` in one of the next rounds. It must not raise."""
        self._queue.append(turn)
        if not self._called:
            self._called = True
            self._reactor.callLater(0, self._round)

    def _round(self) -> None:
        queue = self._queue
        # What is added meanwhile waits for the next round, so that sockets are looked at in between.
        rest = len(queue)
        stop = self._clock() + self._budget
        while rest:
            queue.popleft()()
            rest -= 1
            if self._clock() > stop:
                break
        self._called = False
        if queue:
            self._called = True
            self._reactor.callLater(0, self._round)
