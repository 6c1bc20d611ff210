"""What the supervisor and its children say to each other, in frames over a socket pair.

Downwards travel pickles: the supervisor is the most trusted process and reads nothing pickled. Upwards travels JSON,
which it checks field by field, because a worker parses what strangers send and may be taken over.
"""

import json
import pickle
from dataclasses import dataclass
from typing import Any

from ..config import Config
from .pem import Pem

LONGEST_WORD = 4096


@dataclass(frozen=True, slots=True)
class WorkerSetup:
    """To a worker, first."""

    config: Config
    name: str
    """Unique among all that run, also those of older configurations."""
    sockets: tuple[tuple[str, int, int], ...]
    """(service, number of the listener in its list, descriptor)."""
    pems: tuple[Pem, ...]
    workers: int
    """How many share the work and the limits."""
    notes: int
    """Descriptor of the memory in which it says which index it is reading; -1: none."""


@dataclass(frozen=True, slots=True)
class AuthSetup:
    """To the auth process, first."""

    config: Config
    workers: int
    """Descriptor of the listening socket for workers."""
    control: int
    """Descriptor of the listening socket for administrators."""
    secret: bytes
    """Outlives the process, so that a restart shows nowhere."""
    uids: tuple[int, ...]
    """Who may connect as a worker."""


@dataclass(frozen=True, slots=True)
class NewCertificates:
    """To a worker: for connections from now on."""

    pems: tuple[Pem, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """To a worker: accept no more, end when the last session has ended."""

    seconds: float
    """The longest that may take."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """To a worker: this index was being read when a process died; let go of it before the next read."""

    path: str


@dataclass(frozen=True, slots=True)
class Stop:
    """To any: say goodbye to the clients and end."""

    seconds: float
    """The longest that may take."""


Order = WorkerSetup | AuthSetup | NewCertificates | Retire | Suspect | Stop


def order(frame: bytes) -> Order:
    """In a child: what the supervisor said."""
    said: Order = pickle.loads(frame)  # noqa: S301 - it is our parent
    return said


def packed(said: Order) -> bytes:
    """In the supervisor."""
    return pickle.dumps(said, pickle.HIGHEST_PROTOCOL)


@dataclass(frozen=True, slots=True)
class Word:
    """Upwards: `ready` once, then `alive` every other second."""

    kind: str
    write_age: float = 0.0
    """Seconds since the oldest write transaction now running was asked for."""
    connections: int = 0


def word(frame: bytes) -> Word | None:
    """In the supervisor: what a child said; None when it is not worth anything."""
    try:
        tree: Any = json.loads(frame)
        kind, age, connections = tree["kind"], tree["write_age"], tree["connections"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if kind not in ("ready", "alive") or not isinstance(age, (int, float)) or not isinstance(connections, int):
        return None
    return Word(kind, float(age), connections)


def spoken(said: Word) -> bytes:
    """In a child."""
    return json.dumps({"kind": said.kind, "write_age": said.write_age, "connections": said.connections}).encode()
