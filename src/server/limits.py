"""How many connections there may be: all together, and from one address before it has logged in.

One worker counts its own; the numbers of the configuration are for all workers, so each worker is given its share of
the total, and of the per-address limit enough that an unlucky distribution does not refuse what is allowed. A
network of one customer counts as one address (IPv6: /64), as in the penalties of the auth process.
"""

import ipaddress
from typing import Protocol


class Counted(Protocol):
    """A connection, as far as this module knows it."""

    address: str
    counted: str | None
    """Under which key it counts as a stranger; kept here."""
    admitted: bool


class Gate:
    """Lets connections in, or says why not."""

    def __init__(self, connections: int, strangers_per_address: int) -> None:
        self.connections = connections
        self.strangers_per_address = strangers_per_address
        self.open = 0
        self._strangers: dict[str, int] = {}

    def enter(self, connection: Counted) -> str | None:
        """Count a connection in; the reason when it must go instead."""
        if self.open >= self.connections:
            return "too many connections"
        key = group(connection.address)
        if key is not None:
            count = self._strangers.get(key, 0)
            if count >= self.strangers_per_address:
                return "too many connections from this address that have not logged in"
            self._strangers[key] = count + 1
        self.open += 1
        connection.admitted = True
        connection.counted = key
        return None

    def logged_in(self, connection: Counted) -> None:
        """No stranger any more."""
        key, connection.counted = connection.counted, None
        if key is None:
            return
        count = self._strangers[key] - 1
        if count:
            self._strangers[key] = count
        else:
            del self._strangers[key]

    def left(self, connection: Counted) -> None:
        """Gone; harmless for one that never came in."""
        self.logged_in(connection)
        if connection.admitted:
            connection.admitted = False
            self.open -= 1


def group(address: str) -> str | None:
    """The key under which an address is counted; None for local connections, which are not."""
    if not address:
        return None
    if ":" in address:
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return address
