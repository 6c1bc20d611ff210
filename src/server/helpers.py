"""The owner's side of the helper processes: starts them when there is work, hands out jobs, survives their deaths.

Rules that keep it right:

1. A helper has one job at a time. Which account goes next is decided by turns, so that one user's long search does
   not hold up another's.
2. A helper that dies with a job costs one retry; the second death is the job's fault and fails it with
   MailError(UNAVAILABLE). A job over its time counts as a death.
3. A helper that dies as one does on a damaged index (process.CRASHES) has its job's index reported, before the job is
   tried again: reading it once more might kill the next.
4. Idle helpers end after a while. Helpers die with their owner (helper_main.py).
5. Everything here is for the reactor thread, which is the thread that starts processes.
"""

import pickle
import socket
import subprocess
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from ..model.errors import Kind, MailError
from . import events
from .channel import Channel
from .events import EventLog
from .helper_main import Setup
from .process import CRASHES, command, environment

Done = Callable[[Any, BaseException | None], None]

JOB_SECONDS = 600.0
IDLE_SECONDS = 60.0
BURIAL, BURIALS = 0.05, 100
RETRY = 0.2
"""Seconds before the job of a helper that died is tried again."""


class Job:
    """One submitted task."""

    __slots__ = ("done", "index", "key", "pool", "state", "task", "tried")

    QUEUED, RUNNING, OVER = range(3)

    def __init__(self, pool: "HelperPool", key: str, task: bytes, done: Done, index: str) -> None:
        self.pool = pool
        self.index = index
        self.key = key
        self.task = task
        self.done = done
        self.tried = 0
        self.state = self.QUEUED

    def cancel(self) -> bool:
        """True: it has not begun, will not run, and `done` is not called."""
        if self.state != self.QUEUED:
            return False
        self.pool.withdraw(self)
        return True


class Helper:
    """One process."""

    __slots__ = ("channel", "idle_since", "job", "overdue", "process")

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.channel: Channel | None = None
        self.job: Job | None = None
        self.overdue: Any = None
        self.idle_since = 0.0


class HelperPool:
    """Up to `size` helpers that run what `setup` says."""

    def __init__(
        self, reactor: Any, size: int, setup: Setup, log: EventLog,
        reports: Callable[[list[Any]], None] = lambda reports: None,
        crashed: Callable[[str], None] = lambda index: None,
        job_seconds: float = JOB_SECONDS, idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._reactor = reactor
        self._size = size
        self._setup = pickle.dumps(setup)
        self._log = log
        self._reports = reports
        self._crashed = crashed
        self._job_seconds = job_seconds
        self._idle_seconds = idle_seconds
        self._helpers: list[Helper] = []
        self._queues: OrderedDict[str, deque[Job]] = OrderedDict()
        self._ending: list[subprocess.Popen[bytes]] = []
        self._sweeping: Any = None
        self._stopped = False

    @property
    def queued(self) -> int:
        """Jobs that wait for a helper."""
        return sum(map(len, self._queues.values()))

    @property
    def running(self) -> int:
        """Jobs that are being done."""
        return sum(helper.job is not None for helper in self._helpers)

    def submit(self, job: Any, done: Done) -> Job:
        """Run an account's job; `done(value, error)` follows, never at once."""
        return self.submit_keyed(job.spec.user, job, done, job.spec.index)

    def submit_keyed(self, key: str, task: Any, done: Done, index: str = "") -> Job:
        """Run a task; those with other keys get their turn in between. `index`: what it may read."""
        job = Job(self, key, pickle.dumps(task, pickle.HIGHEST_PROTOCOL), done, index)
        self._queues.setdefault(key, deque()).append(job)
        self._reactor.callLater(0, self._assign)
        return job

    def withdraw(self, job: Job) -> None:
        """Take a queued job back."""
        queue = self._queues.get(job.key)
        if queue is not None and job in queue:
            queue.remove(job)
            if not queue:
                del self._queues[job.key]
        job.state = Job.OVER

    def stop(self) -> None:
        """End all helpers now; what is queued or running fails."""
        self._stopped = True
        for helper in list(self._helpers):
            helper.process.kill()
            self._part(helper)
        jobs = [job for queue in self._queues.values() for job in queue]
        self._queues.clear()
        for job in jobs:
            self._finish(job, None, _unavailable())
        for process in self._ending:
            process.wait()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    # --- inside -----------------------------------------------------------------------------------------------------

    def _assign(self) -> None:
        while self._queues and not self._stopped:
            helper = next((helper for helper in self._helpers if helper.job is None), None)
            if helper is None:
                if len(self._helpers) >= self._size:
                    return
                try:
                    helper = self._start()
                except OSError as error:
                    self._log.emit(events.HELPER_ENDED, reason=f"cannot be started: {error.strerror}")
                    for key in list(self._queues):
                        for job in self._queues.pop(key):
                            self._finish(job, None, _unavailable())
                    return
            key, queue = next(iter(self._queues.items()))
            job = queue.popleft()
            if queue:
                self._queues.move_to_end(key)
            else:
                del self._queues[key]
            self._give(helper, job)

    def _start(self) -> Helper:
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                command("helper", theirs.fileno()), pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment(),
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        helper = Helper(process)
        helper.channel = Channel(
            self._reactor, ours, lambda frame: self._answered(helper, frame), lambda: self._died(helper)
        )
        helper.channel.send(self._setup)
        self._helpers.append(helper)
        if self._sweeping is None:
            self._sweeping = self._reactor.callLater(self._idle_seconds, self._sweep)
        return helper

    def _give(self, helper: Helper, job: Job) -> None:
        job.state = Job.RUNNING
        job.tried += 1
        helper.job = job
        helper.overdue = self._reactor.callLater(self._job_seconds, self._overdue, helper)
        if helper.channel is not None:
            helper.channel.send(job.task)

    def _answered(self, helper: Helper, frame: bytes) -> None:
        job, helper.job = helper.job, None
        helper.overdue.cancel()
        helper.idle_since = self._reactor.seconds()
        try:
            good, value, reports, last = pickle.loads(frame)  # noqa: S301 - both ends are ours
        except Exception as error:
            good, value, reports, last = False, error, [], True
        if last:
            self._part(helper)
        if reports:
            self._reports(reports)
        if self._queues:
            self._reactor.callLater(0, self._assign)
        if job is not None:
            self._finish(job, value if good else None, None if good else value)

    def _overdue(self, helper: Helper) -> None:
        self._log.emit(events.HELPER_ENDED, reason="its job took too long", pid=helper.process.pid)
        if helper.job is not None:
            helper.job.tried = 2
        helper.process.kill()

    def _died(self, helper: Helper) -> None:
        job = helper.job
        self._part(helper)
        if job is not None:
            self._bury(helper, job, BURIALS)
        elif self._queues:
            self._reactor.callLater(0, self._assign)

    def _bury(self, helper: Helper, job: Job, patience: int) -> None:
        """How it died is known a moment after its link has closed."""
        status = helper.process.poll()
        if status is None and patience and not self._stopped:
            self._reactor.callLater(BURIAL, self._bury, helper, job, patience - 1)
            return
        self._log.emit(events.HELPER_ENDED, reason="died with a job", pid=helper.process.pid, status=status)
        if status is not None and -status in CRASHES and job.index:
            self._crashed(job.index)
        if job.tried < 2 and not self._stopped:
            job.state = Job.QUEUED
            self._queues.setdefault(job.key, deque()).appendleft(job)
        else:
            self._finish(job, None, _unavailable())
        self._reactor.callLater(RETRY, self._assign)

    def _part(self, helper: Helper) -> None:
        """It is gone, or to go."""
        if helper.overdue is not None and helper.overdue.active():
            helper.overdue.cancel()
        if helper.channel is not None:
            helper.channel.close()
        if helper in self._helpers:
            self._helpers.remove(helper)
        if helper.process.poll() is None:
            self._ending.append(helper.process)

    def _finish(self, job: Job, value: Any, error: BaseException | None) -> None:
        if job.state != Job.OVER:
            job.state = Job.OVER
            try:
                job.done(value, error)
            except Exception as fault:  # one submitter's fault must not cost another its answer
                self._log.bug(fault)

    def _sweep(self) -> None:
        """Reap what has ended, end what was idle for long."""
        self._sweeping = None
        self._ending = [process for process in self._ending if process.poll() is None]
        limit = self._reactor.seconds() - self._idle_seconds
        for helper in [one for one in self._helpers if one.job is None and one.idle_since <= limit]:
            self._part(helper)
        if self._helpers or self._ending:
            self._sweeping = self._reactor.callLater(self._idle_seconds, self._sweep)


def _unavailable() -> MailError:
    return MailError(Kind.UNAVAILABLE, "The server could not finish this; please try again later")
