"""Just enough HTTP to be scraped: `GET /metrics` on the metrics listener, one request per connection."""

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from .metrics import CONTENT_TYPE, Metrics
from .offload import Offload

LONGEST_HEAD = 16_384
SECONDS = 10.0


class Scrape:
    """One connection."""

    def __init__(self, reactor: Any, metrics: Metrics, offload: Offload) -> None:
        self._reactor = reactor
        self._metrics = metrics
        self._offload = offload
        self._head = b""
        self._transport: Any = None
        self._late: Any = None

    def makeConnection(self, transport: Any) -> None:
        """For Twisted."""
        self._transport = transport
        self._late = self._reactor.callLater(SECONDS, transport.abortConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """For Twisted."""
        self._transport = None
        if self._late.active():
            self._late.cancel()

    def dataReceived(self, data: bytes) -> None:
        """For Twisted."""
        if self._head is None:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head and b"\n\n" not in self._head:
            if len(self._head) > LONGEST_HEAD:
                self._transport.abortConnection()
            return
        method, _, rest = self._head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        self._head = b""
        self._transport.pauseProducing()
        if method not in (b"GET", b"HEAD"):
            self._answer(b"405 Method Not Allowed", b"text/plain", b"")
        elif path not in (b"/metrics", b"/"):
            self._answer(b"404 Not Found", b"text/plain", b"")
        else:
            self._metrics.flush()
            self._offload.run(self._metrics.render, None, self._rendered)

    def _rendered(self, value: bytes | None, error: BaseException | None) -> None:
        if error is not None or value is None:
            self._answer(b"500 Internal Server Error", b"text/plain", b"")
        else:
            self._answer(b"200 OK", CONTENT_TYPE, value)

    def _answer(self, status: bytes, kind: bytes, body: bytes) -> None:
        if self._transport is None:
            return
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        self._transport.write(head % (status, kind, len(body)) + body)
        self._transport.loseConnection()
