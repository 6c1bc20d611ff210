"""Who is logged in, on all workers: the sessions' registry, with the limit per user and address.

When a user has as many sessions from one address as are allowed, the one that was idle for the longest time gives
way to the new one: a phone that lost its connection again and again must not lock its user out. POP3 sessions are
kept as long as there is another, since an unfinished one deletes nothing and would begin anew.

Times are handed in. A session belongs to the worker that holds its connection; all of them go when it goes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Session:
    """One logged-in connection."""

    connection: str
    user: str
    service: str
    address: str
    tls: bool
    since: float
    """Seconds since 1970."""
    worker: str
    active: float
    """When it last had a command, by the clock of the caller."""

    def public(self) -> dict[str, Any]:
        """For `culverhouse who`."""
        return {
            "connection": self.connection,
            "user": self.user,
            "service": self.service,
            "address": self.address,
            "tls": self.tls,
            "since": int(self.since),
        }


class Sessions:
    """All sessions. `limit` per user and address; 0: none."""

    def __init__(self, limit: int = 50) -> None:
        self.limit = limit
        self._by_connection: dict[str, Session] = {}
        self._by_origin: dict[tuple[str, str], dict[str, Session]] = {}

    def __len__(self) -> int:
        return len(self._by_connection)

    def admit(self, session: Session) -> list[Session]:
        """Adds the session; those that have to give way to it are taken out and returned: they are to be kicked."""
        self.close(session.connection)
        origin = self._by_origin.setdefault((session.user, session.address), {})
        leaving = []
        while self.limit and len(origin) >= self.limit:
            stalest = min(origin.values(), key=lambda other: (other.service == "pop3", other.active))
            del origin[stalest.connection], self._by_connection[stalest.connection]
            leaving.append(stalest)
        origin[session.connection] = session
        self._by_connection[session.connection] = session
        return leaving

    def close(self, connection: str, worker: str | None = None) -> None:
        """The connection is gone. A worker can only close its own."""
        session = self._by_connection.get(connection)
        if session is None or (worker is not None and session.worker != worker):
            return
        del self._by_connection[connection]
        origin = self._by_origin[(session.user, session.address)]
        del origin[connection]
        if not origin:
            del self._by_origin[(session.user, session.address)]

    def active(self, connections: Iterable[str], worker: str, now: float) -> None:
        """These had a command."""
        for connection in connections:
            session = self._by_connection.get(connection)
            if session is not None and session.worker == worker:
                session.active = now

    def worker_gone(self, worker: str) -> None:
        """All sessions of a worker are over."""
        for session in [found for found in self._by_connection.values() if found.worker == worker]:
            self.close(session.connection)

    def find(self, *, user: str | None = None, connection: str | None = None) -> list[Session]:
        """Sessions of a user, or the one of a connection; all without either."""
        if connection is not None:
            session = self._by_connection.get(connection)
            return [session] if session is not None else []
        return [session for session in self._by_connection.values() if user is None or session.user == user]
