"""Counters that cost an addition, and OpenMetrics made from them for all workers together.

Hot paths add to plain integers (`Counters`). A few times a minute, and before each scrape, a worker carries the
differences over into prometheus_client, which in its multiprocess mode keeps them in files in the runtime directory;
whichever worker is asked answers for all. prometheus_client is imported only where metrics are listened for, and
only after its directory is set: it decides at import how it counts.
"""

import glob
import os
from collections.abc import Callable
from typing import Any

FLUSH_SECONDS = 5.0


class Counters:
    """What one service of one worker has counted since it started."""

    __slots__ = ("bugs", "bytes_in", "bytes_out", "connections", "faults", "login_failures", "logins", "logouts",
                 "refused", "tls_failures")

    def __init__(self) -> None:
        self.connections = 0
        self.refused = 0
        self.logins = 0
        self.login_failures = 0
        self.logouts = 0
        self.tls_failures = 0
        self.faults = 0
        self.bugs = 0
        self.bytes_in = 0
        self.bytes_out = 0


_HELP = {
    "connections": "Connections accepted",
    "refused": "Connections refused by a limit or a wrong PROXY header",
    "logins": "Successful logins",
    "login_failures": "Refused logins",
    "logouts": "Ended sessions of users",
    "tls_failures": "Failed TLS handshakes",
    "faults": "Connections closed because the client broke the protocol",
    "bugs": "Exceptions that nobody expected",
    "bytes_in": "Octets from clients, without TLS",
    "bytes_out": "Octets to clients, without TLS",
}


class Metrics:
    """One worker's part of the metrics."""

    def __init__(self, directory: str, services: dict[str, Counters], gauges: dict[str, Callable[[], float]]) -> None:
        """`gauges`: names of this worker's present figures, summed over live workers."""
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        import prometheus_client
        from prometheus_client import multiprocess, openmetrics

        self._client = prometheus_client
        self._multiprocess = multiprocess
        self._openmetrics: Any = openmetrics
        self._directory = directory
        self._services = services
        registry = prometheus_client.CollectorRegistry()
        self._counters = {
            name: prometheus_client.Counter(f"culverhouse_{name}", _HELP[name], ["service"], registry=registry)
            for name in Counters.__slots__
        }
        self._last = {service: dict.fromkeys(Counters.__slots__, 0) for service in services}
        self._events = prometheus_client.Counter(
            "culverhouse_events", "Repairs and other reports of the mail store and the index", ["event"],
            registry=registry,
        )
        self._gauges = [
            (prometheus_client.Gauge(f"culverhouse_{name}", name.replace("_", " ").capitalize(), registry=registry,
                                     multiprocess_mode="livesum"), read)
            for name, read in gauges.items()
        ]
        for service in services:
            for counter in self._counters.values():
                counter.labels(service)

    def event(self, name: str) -> None:
        """Count a report."""
        self._events.labels(name).inc()

    def flush(self) -> None:
        """Carry over what was counted since the last call."""
        for service, counters in self._services.items():
            last = self._last[service]
            for name, counter in self._counters.items():
                value = getattr(counters, name)
                if value != last[name]:
                    counter.labels(service).inc(value - last[name])
                    last[name] = value
        for gauge, read in self._gauges:
            gauge.set(read())

    def render(self) -> bytes:
        """The answer to a scrape. Reads files: call it off the reactor."""
        from prometheus_client.openmetrics.exposition import generate_latest

        registry = self._client.CollectorRegistry()
        self._multiprocess.MultiProcessCollector(registry, self._directory)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))  # type: ignore[no-untyped-call]


CONTENT_TYPE = b"application/openmetrics-text; version=1.0.0; charset=utf-8"


def clean(directory: str) -> None:
    """Remove what an earlier run left; before any worker starts."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for path in glob.glob(os.path.join(glob.escape(directory), "*.db")):
        os.unlink(path)


def forget(directory: str, pid: int) -> None:
    """A worker died: its present figures no longer count."""
    for path in glob.glob(os.path.join(glob.escape(directory), f"gauge_live*_{pid}.db")):
        os.unlink(path)
