"""A worker: one reactor, all services, any user.

It gets everything from the supervisor over one link (orders.py): settings, listening sockets, certificates with
their keys; it opens no configuration file. It ends when that link does. Rules that keep it right:

1. It accepts connections once the auth process has said what it offers, so that the first greeting is right.
2. Retiring and stopping are the same but for their patience: no more connections, then the sessions end.
3. Every other second it says that it is alive, and how long its oldest write transaction has been running.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..config import Config
from ..index.env import Environments
from ..protocols.engine import Engine, Greeting
from . import events
from .accounts import Accounts
from .authclient import AuthClient
from .channel import Channel
from .doorbell import Bell
from .endpoint import Endpoint
from .events import EventLog
from .helper_main import Setup
from .helpers import HelperPool
from .hosting import Host, Service
from .limits import Gate
from .listen import Port, Transport
from .metrics import Counters
from .notes import Notes
from .offload import Offload
from .orders import NewCertificates, Retire, Stop, Suspect, Word, WorkerSetup, order, spoken
from .rawlog import RawLog
from .running import prepare
from .runtime import AUTH, DOORBELL, METRICS
from .timers import Turns, Wheel
from .tls import Certificates

ALIVE_SECONDS = 2.0
READY_SECONDS = 2.0
"""Without a word of the auth process until then, clients are let in all the same and wait at their login."""
KEEPALIVE_IDLE, KEEPALIVE_EVERY, KEEPALIVE_TIMES = 600, 60, 5


def imap_builder(config: Config) -> Callable[[Greeting], Engine]:
    """Makes IMAP engines under the configured limits."""
    from ..protocols.imap4.engine import ImapEngine, Limits

    limits, timeouts = config.limits, config.timeouts
    plain = Limits()
    given = replace(
        plain,
        line=limits.line,
        line_before_login=min(limits.line, plain.line_before_login),
        literal=limits.literal,
        literal_before_login=limits.literal_before_login,
        command=limits.command,
        command_before_login=min(limits.command, plain.command_before_login),
        bad_commands=limits.bad_commands,
        commands_before_login=limits.commands_before_login,
        idle=float(timeouts.imap),
        idle_before_login=float(timeouts.login),
    )
    return lambda greeting: ImapEngine(greeting, given)


def pop3_builder(config: Config) -> Callable[[Greeting], Engine]:
    """Makes POP3 engines under the configured limits."""
    from ..protocols.pop3.engine import Limits, Pop3Engine

    given = replace(
        Limits(), bad_commands=config.limits.bad_commands, commands_before_login=config.limits.commands_before_login,
        idle=float(config.timeouts.pop3),
    )
    return lambda greeting: Pop3Engine(greeting, given)


BUILDERS: dict[str, Callable[[Config], Callable[[Greeting], Engine]]] = {"imap": imap_builder, "pop3": pop3_builder}
REFUSALS = {
    "imap": b"* BYE [UNAVAILABLE] Too many connections\r\n",
    "pop3": b"-ERR [SYS/TEMP] Too many connections\r\n",
}


class Worker:
    """Everything of one process."""

    def __init__(self, reactor: Any, setup: WorkerSetup, log: EventLog, link: Channel) -> None:
        config = setup.config
        self.reactor = reactor
        self.config = config
        self.log = log
        self.link = link
        self.certificates = Certificates(setup.pems, config.tls.minimum, config.tls.ciphers) if setup.pems else None
        self.counters = {name: Counters() for name in BUILDERS}
        self.metrics: Any = None
        self.ending = False
        self._finished = False
        self._connections = 0
        self._prefix = f"{os.getpid():x}{int(time.time()) & 0xFFFFF:05x}"

        runtime = config.server.runtime_dir
        offload = Offload(reactor, config.server.threads)
        wheel, turns = Wheel(reactor), Turns(reactor)
        self.environments = Environments(
            config.index.open_limit, config.index.map_size, Notes(setup.notes) if setup.notes >= 0 else None
        )
        from .watcher import FolderWatcher

        self.watcher = FolderWatcher(reactor, offload, log)
        self.accounts = Accounts(reactor, offload, self.watcher, self.environments, log, self._reported)
        self.bell = Bell(reactor, os.path.join(runtime, DOORBELL), self.accounts.rung)
        self.accounts.bell = self.bell
        self.helpers = HelperPool(
            reactor, config.server.helpers or os.cpu_count() or 1,
            Setup(f"{__package__}.helper_main:accounts_runner", (config.index.open_limit, config.index.map_size)),
            log, self.accounts.report, self.accounts.suspect,
        )
        sessions: dict[str, Endpoint] = {}
        self.auth = AuthClient(
            reactor, config, setup.name, os.path.join(runtime, AUTH), self.accounts, wheel, log, sessions
        )
        limits = config.limits
        self.host = Host(
            reactor=reactor, offload=offload, helpers=self.helpers, sasl=self.auth,
            gate=Gate(-(-limits.max_connections // setup.workers), limits.connections_before_login_per_address),
            wheel=wheel, turns=turns, log=log, sessions=sessions, raw=self._raw_log,
            write_timeout=float(config.timeouts.write), handshake_timeout=float(config.timeouts.tls_handshake),
            login_timeout=float(config.timeouts.login),
        )
        self.ports = self._listen(setup)
        self._accepting = False

    def start(self) -> None:
        """Begin."""
        self.auth.on_ready = self._ready
        self.auth.start_link()
        self.auth.watch_activity()
        self.reactor.callLater(READY_SECONDS, self._ready)
        self._alive()

    def _ready(self) -> None:
        if not self._accepting and not self.ending:
            self._accepting = True
            for port in self.ports:
                port.start()
            self.link.send(spoken(Word("ready")))

    def _alive(self) -> None:
        started = self.environments.write_started
        age = 0.0 if started is None else time.monotonic() - started
        self.link.send(spoken(Word("alive", age, len(self.host.sessions))))
        self.reactor.callLater(ALIVE_SECONDS, self._alive)

    # --- connections ------------------------------------------------------------------------------------------------

    def _listen(self, setup: WorkerSetup) -> list[Port]:
        config = self.config
        served = {name.removesuffix("s") for name, _, _ in setup.sockets} & BUILDERS.keys()
        builders = {name: BUILDERS[name](config) for name in served}
        ports = []
        for name, number, descriptor in setup.sockets:
            listening = socket.socket(fileno=descriptor)
            if name == "metrics":
                ports.append(self._metrics_port(listening))
                continue
            protocol = name.removesuffix("s")
            service = Service(
                name=protocol,
                build=builders[protocol],
                cleartext=config.auth.cleartext == "always",
                mechanisms=self.auth.mechanisms,
                counters=self.counters[protocol],
                refusal=REFUSALS[protocol],
                implicit_tls=name.endswith("s"),
                certificates=lambda: self.certificates,
            )
            proxies = getattr(config.listen, name)[number].proxy
            ports.append(Port(self.reactor, listening, self._connector(service, proxies, listening.family)))
        return ports

    def _connector(
        self, service: Service, proxies: tuple[Any, ...], family: int
    ) -> Callable[[socket.socket, Any], None]:
        from ipaddress import ip_address

        from .proxy import normal

        local = family == socket.AF_UNIX

        def connected(accepted: socket.socket, address: Any) -> None:
            self._connections += 1
            host, port, proxied = "", 0, False
            try:
                if not local:
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TIMES)
                    host, port = address[0].partition("%")[0], address[1]
                    if ":" in host or proxies:
                        parsed = ip_address(host)
                        host = normal(parsed)
                        proxied = any(ip_address(host) in network for network in proxies)
            except OSError:  # it is gone already
                accepted.close()
                return
            endpoint = Endpoint(self.host, service, f"{self._prefix}-{self._connections:x}", host, port, proxied)
            transport = Transport(accepted, endpoint, (host, port), None, 0, self.reactor)  # type: ignore[arg-type]
            endpoint.makeConnection(transport)

        return connected

    def _metrics_port(self, listening: socket.socket) -> Port:
        from .metrics import FLUSH_SECONDS, Metrics
        from .scrape import Scrape

        if self.metrics is None:
            self.metrics = Metrics(os.path.join(self.config.server.runtime_dir, METRICS), self.counters, {
                "open_connections": lambda: len(self.host.sessions),
                "open_accounts": lambda: len(self.accounts),
                "queued_jobs": lambda: self.helpers.queued,
                "busy_threads": lambda: self.host.offload.busy,
            })

            def flush() -> None:
                self.metrics.flush()
                self.reactor.callLater(FLUSH_SECONDS, flush)

            flush()

        def connected(accepted: socket.socket, address: Any) -> None:
            scrape = Scrape(self.reactor, self.metrics, self.host.offload)
            scrape.makeConnection(Transport(
                accepted, scrape, ("", 0), None, 0, self.reactor  # type: ignore[arg-type]  # all that Twisted asks for
            ))

        return Port(self.reactor, listening, connected)

    def _raw_log(self, endpoint: Endpoint, user: str) -> RawLog | None:
        directory = self.config.server.rawlog.get(user)
        if directory is None:
            return None
        try:
            return RawLog(directory, user, endpoint.id)
        except OSError as error:
            self.log.emit(events.RAWLOG, **endpoint.facts(), reason=error.strerror, path=directory)
            return None

    def _reported(self, event: str) -> None:
        if self.metrics is not None:
            self.metrics.event(event)

    # --- orders -----------------------------------------------------------------------------------------------------

    def certify(self, said: NewCertificates) -> None:
        """New certificates for new connections."""
        self.certificates = (
            Certificates(said.pems, self.config.tls.minimum, self.config.tls.ciphers) if said.pems else None
        )

    def end(self, seconds: float, goodbye: str | None) -> None:
        """Accept no more and end when the last session has; with a goodbye they are asked to. Ends in any case when
        the time is over."""
        if not self.ending:
            for port in self.ports:
                port.stop()
        self.ending = True
        if goodbye is not None:
            for endpoint in list(self.host.sessions.values()):
                endpoint.shutdown(goodbye)
        self.reactor.callLater(seconds, self.finish)
        self._until_empty()

    def _until_empty(self) -> None:
        if not self.host.sessions and not self.host.offload.busy:
            self.finish()
        elif not self._finished:
            self.reactor.callLater(0.05, self._until_empty)

    def finish(self) -> None:
        """Everything is over."""
        if self._finished:
            return
        self._finished = True
        for endpoint in list(self.host.sessions.values()):
            endpoint.abort("the server stops")
        self.accounts.close()
        self.auth.stop()
        self.bell.close()
        self.watcher.close()
        self.helpers.stop()
        if self.metrics is not None:
            self.metrics.flush()
        self.host.offload.run(self.environments.close, None, lambda value, error: self._stop())

    def _stop(self) -> None:
        if self.reactor.running:
            self.reactor.stop()


def main(descriptor: int) -> None:
    """The process; `descriptor` is the link to the supervisor."""
    from twisted.internet import epollreactor

    epollreactor.install()  # type: ignore[no-untyped-call]
    from twisted.internet import reactor as installed

    reactor: Any = installed
    workers: list[Worker] = []

    def ordered(frame: bytes) -> None:
        said = order(frame)
        if isinstance(said, WorkerSetup):
            log = prepare(reactor, said.name, said.config)
            try:
                workers.append(Worker(reactor, said, log, link))
                workers[0].start()
            except Exception as error:
                log.bug(error)
                os._exit(1)
        elif isinstance(said, NewCertificates):
            workers[0].certify(said)
        elif isinstance(said, Retire):
            workers[0].end(said.seconds, None)
        elif isinstance(said, Stop):
            workers[0].end(said.seconds, "The server is shutting down")
        elif isinstance(said, Suspect):
            workers[0].accounts.suspect(said.path)

    link = Channel(reactor, socket.socket(fileno=descriptor), ordered, lambda: os._exit(1))
    reactor.run(installSignalHandlers=False)
    # Threads that wait for a disk that hangs must not keep a stopped process.
    os._exit(0)
