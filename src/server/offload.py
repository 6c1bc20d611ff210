"""A bounded pool of threads for what waits: fsync, locks, file reads, write transactions.

Rules that keep it right:

1. All bookkeeping is on the reactor thread; a pool thread only takes a call, runs it and hands the outcome back.
2. Calls with equal keys never overlap and keep the order in which they were submitted, so at most one thread per
   account ever waits for that account's write lock.
3. Outcomes come back in batches: however many calls end at once, the reactor is woken once.
4. A call that was cancelled before it began is never run and never reported; one that has begun cannot be stopped,
   and its outcome is still reported, so that the submitter can release what the call took hold of.
"""

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from twisted.logger import Logger

log = Logger()

Done = Callable[[Any, BaseException | None], None]


class FromThread(Protocol):
    """The reactor, as far as the pool knows it."""

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Run on the reactor thread soon."""


class Ticket:
    """One submitted call."""

    __slots__ = ("begun", "call", "cancelled", "done", "error", "key", "lock", "value")

    def __init__(self, call: Callable[[], Any], key: str | None, done: Done, lock: threading.Lock) -> None:
        self.call = call
        self.key = key
        self.done = done
        self.lock = lock
        self.begun = False
        self.cancelled = False
        self.value: Any = None
        self.error: BaseException | None = None

    def cancel(self) -> bool:
        """True: it had not begun, will not run, and `done` is not called. False: `done` will be called."""
        with self.lock:
            self.cancelled = not self.begun
        return self.cancelled


class Offload:
    """The pool. Every method is for the reactor thread."""

    def __init__(self, reactor: FromThread, threads: int = 16, idle_seconds: float = 60.0) -> None:
        self._reactor = reactor
        self._limit = threads
        self._idle_seconds = idle_seconds
        self._queue: SimpleQueue[Ticket | None] = SimpleQueue()
        self._outcomes: deque[Ticket] = deque()
        self._woken = False
        self._lock = threading.Lock()
        self._threads = 0
        self._free = 0
        self._running = 0
        self._waiting: dict[str, deque[Ticket]] = {}
        self._stopped = False

    @property
    def busy(self) -> int:
        """Calls that are running or queued for a thread."""
        return self._running

    def run(self, call: Callable[[], Any], key: str | None, done: Done) -> Ticket:
        """Run `call()` in a thread; `done(value, error)` follows on the reactor thread, never at once."""
        ticket = Ticket(call, key, done, self._lock)
        if key is not None:
            line = self._waiting.get(key)
            if line is not None:
                line.append(ticket)
                return ticket
            self._waiting[key] = deque()
        self._start(ticket)
        return ticket

    def stop(self) -> None:
        """Let idle threads end; calls that run are finished, their outcomes still come."""
        self._stopped = True
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            self._queue.put(None)

    def _start(self, ticket: Ticket) -> None:
        self._running += 1
        with self._lock:
            # A free thread may be promised to several calls at once for a moment; a queue longer than the free
            # threads therefore starts another one.
            grow = self._free < self._queue.qsize() + 1 and self._threads < self._limit
            if grow:
                self._threads += 1
        self._queue.put(ticket)
        if grow:
            threading.Thread(target=self._work, name="offload", daemon=True).start()

    def _work(self) -> None:
        queue, outcomes = self._queue, self._outcomes
        while True:
            with self._lock:
                self._free += 1
            try:
                ticket = queue.get(timeout=self._idle_seconds)
            except Empty:
                with self._lock:
                    self._free -= 1
                    if queue.empty():
                        self._threads -= 1
                        return
                continue
            with self._lock:
                self._free -= 1
                if ticket is None:
                    self._threads -= 1
                    return
                ticket.begun = not ticket.cancelled
            if ticket.begun:
                try:
                    ticket.value = ticket.call()
                except BaseException as error:  # every outcome belongs to the submitter
                    ticket.error = error
            outcomes.append(ticket)
            del ticket
            with self._lock:
                wake = not self._woken
                self._woken = True
            if wake:
                self._reactor.callFromThread(self._collect)

    def _collect(self) -> None:
        # Cleared first: an outcome that is appended after this line wakes the reactor again.
        with self._lock:
            self._woken = False
        outcomes = self._outcomes
        batch = []
        while outcomes:
            batch.append(outcomes.popleft())
        for ticket in batch:
            self._running -= 1
            if ticket.key is not None:
                self._next(ticket.key)
        for ticket in batch:
            if ticket.begun:
                try:
                    ticket.done(ticket.value, ticket.error)
                except Exception:  # one submitter's fault must not cost another its answer
                    log.failure("an outcome could not be delivered")

    def _next(self, key: str) -> None:
        line = self._waiting[key]
        while line:
            ticket = line.popleft()
            if not ticket.cancelled:
                self._start(ticket)
                return
        del self._waiting[key]
