"""The supervisor: binds the ports, reads certificates and keys, starts the other processes and keeps them running.

Plain Python on purpose: it may be root and stays as small as it can. It parses the configuration, and short JSON
words of its children (orders.py), nothing else. Rules that keep it right:

1. Children never outlive it (process.py), and whatever ends is started again at once; what ends right after its
   start, a little later each time, but never later than a second.
2. The listening sockets are open here all the time: no restart of anything refuses a connection.
3. A reload is all or nothing. New certificates go to the living workers. A new configuration gets a new generation of
   workers; the old one accepts no more once the new one does, and lives until its sessions have ended.
4. A child that says nothing for too long, or whose write transaction does not end, is killed.
"""

import contextlib
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from ..config import Config, ConfigErrors, load
from ..config.checks import fixed_part
from ..config.schema import Listener
from . import events
from .binding import bind
from .certificates import read_pems
from .children import Child, Generation, Nonsense, rights
from .events import EventLog
from .metrics import forget
from .orders import (
    AuthSetup,
    NewCertificates,
    Order,
    Retire,
    Stop,
    Suspect,
    WorkerSetup,
)
from .pem import Pem
from .process import CRASHES, Identity, environment, identity
from .runtime import METRICS, Runtime, Unusable

SILENCE = 30.0
"""Seconds without a sign of life after which a child is killed."""
START = 60.0
"""The same for one that is still starting."""
WRITE = 20.0
"""Seconds that a write transaction may take."""
RETIREMENT = 3600.0
"""Seconds that sessions of an older configuration may go on."""
SHORT_LIFE = 5.0
LONGEST_DELAY = 1.0
KILL_AFTER = 3.0
"""Seconds beyond the grace of a stop."""
DESCRIPTORS = 1_048_576

SERVICES = ("imap", "imaps", "pop3", "pop3s", "metrics")
TO_COME = ("lmtp", "sasl")


class Supervisor:
    """One running server."""

    def __init__(self, config: Config, log: EventLog) -> None:
        self.log = log
        self.path = config.path
        self.config = config
        self.selector = selectors.DefaultSelector()
        self.secret = os.urandom(32)
        self.sockets: dict[tuple[str, Listener], socket.socket] = {}
        self.generation: Generation | None = None
        self.old: list[Generation] = []
        """Generations whose workers have not all ended yet."""
        self.stopping = False
        self.deadline = 0.0
        self.announced = False
        self.suspects: list[str] = []
        """Indexes that no worker was told of yet."""
        self.runtime: Runtime | None = None

    # --- starting ---------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until told to stop; the exit status."""
        config = self.config
        self._say_warnings(config)
        raise_descriptors()
        try:
            pems = self._pems(config)
            worker = self._identity(config.server.user)
            self._identity(config.auth.user)
            self.runtime = Runtime(config.server.runtime_dir, worker)
            index = fixed_part(config.index.path)
            self.runtime.own(index)
            self._bind(config)
        except (Unusable, OSError) as error:
            text = str(error)
            self.log.emit(events.CONFIG_ERROR, reason=text)
            self._unbind()
            return 2
        wake, signalled = socket.socketpair()
        wake.setblocking(False)
        signalled.setblocking(False)
        signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda number, frame: None)
        self.selector.register(wake, selectors.EVENT_READ, None)
        self.log.emit(events.STARTED, version=version(), config=self.path)
        self.generation = Generation(1, config, pems)
        try:
            self._loop(wake)
        finally:
            self._kill_all()
            self._unbind()
            if self.runtime is not None:
                self.runtime.close()
        self.log.emit(events.STOPPED)
        return 0

    def _identity(self, name: str) -> Identity | None:
        try:
            user = identity(name)
        except KeyError:
            raise Unusable(f"there is no user {name!r} on this machine") from None
        if user is not None:
            try:
                subprocess.run(
                    [sys.executable, "-P", "-c", f"import {__package__}.process"], check=True, env=environment(),
                    stdin=subprocess.DEVNULL, capture_output=True, **rights(user),
                )
            except (OSError, subprocess.SubprocessError):
                raise Unusable(
                    f"the user {name!r} cannot run {sys.executable} with this package; install it where others can read"
                ) from None
        return user

    def _pems(self, config: Config) -> tuple[Pem, ...]:
        pems, expiring = read_pems(config)
        for text in expiring:
            self.log.emit(events.CERTIFICATE_EXPIRES, reason=text)
        return pems

    def _say_warnings(self, config: Config) -> None:
        for finding in config.warnings:
            self.log.emit(events.CONFIG_WARNING, reason=str(finding))
        for name in TO_COME:
            if getattr(config.listen, name):
                self.log.emit(events.NOT_LISTENING, service=name)

    def _bind(self, config: Config) -> None:
        """Bind what is not bound yet; all or nothing. Raises Unusable with all that failed."""
        places = [(name, listener) for name, _, listener in wanted(config)]
        made: dict[tuple[str, Listener], socket.socket] = {}
        failed = []
        bound = {str(listener): key for key in self.sockets for listener in (key[1],)}
        for name, listener in places:
            if (name, listener) in self.sockets:
                continue
            same = bound.get(str(listener))
            if same is not None and same not in places:
                # The address stays, only its service or options change: the socket moves over.
                made[name, listener] = self.sockets[same].dup()
                continue
            try:
                made[name, listener] = bind(listener)
            except OSError as error:
                failed.append(f"{name}: {listener}: {error.strerror or error}")
        if failed:
            for one in made.values():
                one.close()
            raise Unusable("; ".join(failed))
        self.sockets.update(made)
        for name, listener in made:
            where = self.sockets[name, listener].getsockname()
            address = where if isinstance(where, str) else f"{where[0]}:{where[1]}"
            self.log.emit(events.LISTENING, service=name, address=address)

    def _unbind(self, keep: Config | None = None) -> None:
        kept = {(name, listener) for name, _, listener in wanted(keep)} if keep is not None else set()
        paths = {listener.path for _, listener in kept}
        for key in [key for key in self.sockets if key not in kept]:
            self.sockets.pop(key).close()
            if key[1].path and key[1].path not in paths:
                with contextlib.suppress(OSError):
                    os.unlink(key[1].path)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self, wake: socket.socket) -> None:
        while True:
            now = time.monotonic()
            self._look_after(now)
            if self.stopping and not any(child.process for child in self._all()):
                return
            for key, _ in self.selector.select(self._patience(now)):
                if key.data is None:
                    self._signalled(wake)
                else:
                    self._talk(key.data)

    def _all(self) -> list[Child]:
        generations = [*self.old, *([self.generation] if self.generation is not None else [])]
        return [child for generation in generations for child in generation.children()]

    def _patience(self, now: float) -> float:
        moments = [now + 1.0]
        for child in self._all():
            moments += [moment for moment in (child.again_at, child.kill_at) if moment is not None]
        return max(0.0, min(moments) - now)

    def _signalled(self, wake: socket.socket) -> None:
        try:
            numbers = set(wake.recv(4096))
        except BlockingIOError:
            return
        if signal.SIGCHLD in numbers:
            self._reap()
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()
        elif signal.SIGHUP in numbers and not self.stopping:
            self._reload()

    def _look_after(self, now: float) -> None:
        for child in self._all():
            if child.process is None:
                if child.again_at is not None and child.again_at <= now and not self.stopping:
                    self._start(child, now)
                continue
            if child.kill_at is not None:
                if child.kill_at <= now:
                    child.process.kill()
            elif now - child.heard > (SILENCE if child.ready else START):
                self._hung(child, "no sign of life")
        self.old = [one for one in self.old if any(child.process for child in one.children())]

    def _hung(self, child: Child, reason: str) -> None:
        if child.process is not None and child.kill_at is None:
            self.log.emit(events.PROCESS_HUNG, name=child.name, pid=child.process.pid, reason=reason)
            child.abort(time.monotonic())

    # --- children ---------------------------------------------------------------------------------------------------

    def _start(self, child: Child, now: float) -> None:
        runtime = self.runtime
        if runtime is None:
            return
        config = child.generation.config
        setup: Order
        if child.role == "auth":
            user, worker = identity(config.auth.user), identity(config.server.user)
            passed = [runtime.auth.fileno(), runtime.control.fileno()]
            uids = {os.geteuid(), *(one.uid for one in (user, worker) if one is not None)}
            setup = AuthSetup(config, passed[0], passed[1], self.secret, tuple(uids))
        else:
            user = identity(config.server.user)
            sockets = tuple(
                (name, number, self.sockets[name, listener].fileno()) for name, number, listener in wanted(config)
            )
            passed = [child.note(), *(descriptor for _, _, descriptor in sockets)]
            generation = child.generation
            setup = WorkerSetup(config, child.name, sockets, generation.pems, len(generation.workers), child.notes)
        try:
            child.launch(self.selector, user, passed, setup, now)
        except (OSError, subprocess.SubprocessError) as error:
            self.log.emit(events.PROCESS_ENDED, name=child.name, reason=f"cannot be started: {error}")
            child.forget()
            child.again_at = now + LONGEST_DELAY
            return
        if child.process is not None:
            self.log.emit(events.PROCESS_STARTED, name=child.name, pid=child.process.pid)
        self._accuse()

    def _talk(self, child: Child) -> None:
        """A child's link is readable or writable."""
        child.send(self.selector)
        try:
            for said in child.words(self.selector):
                child.heard = time.monotonic()
                if said.kind == "ready":
                    self._ready(child)
                elif said.write_age > WRITE:
                    self._hung(child, f"a write transaction is {said.write_age:.0f} s old")
        except Nonsense:
            self._hung(child, "it does not keep to the protocol")

    def _ready(self, child: Child) -> None:
        child.ready = True
        generation = child.generation
        if generation is not self.generation or not generation.ready:
            return
        for old in self.old:
            self._retire(old)
        if not self.announced:
            self.announced = True
            self.log.emit(events.READY, workers=len(generation.workers), pid=os.getpid())
            notify("READY=1")

    def _reap(self) -> None:
        for child in self._all():
            if child.process is not None and child.process.poll() is not None:
                self._ended(child, child.process.returncode)

    def _ended(self, child: Child, status: int) -> None:
        pid = child.process.pid if child.process is not None else 0
        child.process = None
        child.hang_up(self.selector)
        was_ready, child.ready = child.ready, False
        if child.role == "worker":
            forget(os.path.join(child.generation.config.server.runtime_dir, METRICS), pid)
            if -status in CRASHES and child.kill_at is None:
                self._suspect(child)
        child.forget()
        now = time.monotonic()
        if child.leaving or self.stopping:
            child.again_at = None
            if not self.stopping:
                self.log.emit(events.PROCESS_RETIRED, name=child.name, pid=pid)
            return
        reason = signal.Signals(-status).name if status < 0 else f"exit {status}"
        self.log.emit(events.PROCESS_ENDED, name=child.name, pid=pid, reason=reason)
        if child.generation is not self.generation:
            child.again_at = None
            return
        if was_ready and now - child.started > SHORT_LIFE:
            child.delay = 0.0
        child.again_at = now + child.delay
        child.delay = min(LONGEST_DELAY, child.delay * 2 or 0.1)

    def _suspect(self, child: Child) -> None:
        """Which indexes was it reading? One worker puts them aside: reading them once more might kill the next."""
        for path in child.noted():
            self.log.emit(events.INDEX_SUSPECT, path=path, name=child.name)
            self.suspects.append(path)
        self._accuse()

    def _accuse(self) -> None:
        """Tell some worker of the suspects, as soon as there is one."""
        for child in self._all():
            if child.role == "worker" and child.link is not None and self.suspects:
                for path in self.suspects:
                    child.order(self.selector, Suspect(path))
                self.suspects.clear()

    def _retire(self, generation: Generation) -> None:
        for child in generation.workers:
            child.again_at = None
            if child.process is not None and not child.leaving:
                child.leaving = True
                child.kill_at = time.monotonic() + RETIREMENT + KILL_AFTER
                child.order(self.selector, Retire(RETIREMENT))

    # --- reload and stop --------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        current = self.generation
        if current is None:
            return
        try:
            config = load(self.path)
            pems = self._pems(config)
            if config.server.runtime_dir != current.config.server.runtime_dir:
                raise Unusable("server.runtime_dir cannot change while the server runs; restart it")
            for user in (config.server.user, config.auth.user):
                self._identity(user)
            if config != current.config:
                self._bind(config)
        except ConfigErrors as errors:
            for finding in errors.errors:
                self.log.emit(events.CONFIG_ERROR, reason=str(finding))
            return
        except (Unusable, OSError) as error:
            self.log.emit(events.CONFIG_ERROR, reason=str(error))
            return
        self._say_warnings(config)
        if config == current.config:
            changed = pems != current.pems
            current.pems = pems
            if changed:
                for child in current.workers:
                    child.order(self.selector, NewCertificates(pems))
            self.log.emit(events.RELOADED, what="certificates" if changed else "nothing changed")
            return
        # What is still starting of an earlier reload never came into force.
        following = Generation(current.number + 1, config, pems)
        self.old.append(current)
        self.generation = following
        # The sockets of the auth process are handed on; two of them would share the workers between them.
        self._dismiss(current.auth)
        for child in current.workers:
            if not child.ready:
                self._dismiss(child)
        self._unbind(keep=config)
        self.log.emit(events.RELOADED, what="configuration")

    def _dismiss(self, child: Child) -> None:
        """End it now."""
        child.again_at = None
        child.leaving = True
        if child.process is not None:
            child.order(self.selector, Stop(1.0))
            child.kill_at = time.monotonic() + KILL_AFTER

    def _stop(self) -> None:
        if self.stopping:
            return
        self.stopping = True
        notify("STOPPING=1")
        grace = float(self.config.timeouts.stop if self.generation is None else self.generation.config.timeouts.stop)
        self.log.emit(events.STOPPING, seconds=grace)
        limit = time.monotonic() + grace + KILL_AFTER
        for child in self._all():
            child.again_at = None
            child.leaving = True
            if child.process is not None:
                child.kill_at = limit
                child.order(self.selector, Stop(grace))

    def _kill_all(self) -> None:
        for child in self._all():
            if child.process is not None:
                child.process.kill()
                child.process.wait()
            child.hang_up(self.selector)


def wanted(config: Config) -> Iterator[tuple[str, int, Listener]]:
    """Every place to listen on: the service, the number in its list, the listener."""
    for name in SERVICES:
        for number, listener in enumerate(getattr(config.listen, name)):
            yield name, number, listener


def raise_descriptors() -> None:
    """As many descriptors as the system allows: a connection is one, an open index three."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def notify(state: str) -> None:
    """Tell the service manager, when there is one (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.sendto(state.encode(), address)


def version() -> str:
    """Of this program."""
    from .. import __version__

    return __version__


def serve(config_path: str) -> int:
    """Run the server in the foreground; the exit status. Logs to standard error."""
    try:
        config = load(config_path)
    except ConfigErrors as errors:
        for finding in errors.errors:
            sys.stderr.write(f"{finding}\n")
        return 2
    log = EventLog("supervisor", config.server.log_format, config.server.log_level)
    return Supervisor(config, log).run()
