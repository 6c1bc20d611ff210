"""The runtime directory: sockets and small shared files of one running server, made and locked by the supervisor.

    auth        workers connect to the auth process here; mode 0600, of the workers' user
    control     administrators connect here; mode 0600, of whoever started the server
    doorbell/   one datagram socket per worker; mode 0700, of the workers' user
    metrics/    counters of the workers; mode 0700, of the workers' user
    lock        held by the supervisor: two servers in one directory would take each other's sockets

The directory itself belongs to whoever started the server and nobody else can write to it, so that a worker that was
taken over cannot put its own sockets in the place of others.
"""

import fcntl
import os
import socket
import stat

from . import control
from .binding import bind_path
from .process import Identity

AUTH = "auth"
DOORBELL = "doorbell"
METRICS = "metrics"
LOCK = "lock"


class Unusable(Exception):
    """The directory cannot be used; the text is for the administrator."""


class Runtime:
    """The directory of this server."""

    def __init__(self, path: str, worker: Identity | None) -> None:
        """Make and lock it. Raises Unusable."""
        self.path = path
        self._uid, self._gid = (worker.uid, worker.gid) if worker is not None else (-1, -1)
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
            found = os.stat(path)
            if found.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(found.st_mode) & 0o022:
                raise Unusable(f"{path}: others can write there; it must belong to the user who starts the server")
            self._lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unusable(f"{path}: another server is running there") from None
            os.ftruncate(self._lock, 0)
            os.write(self._lock, b"%d\n" % os.getpid())
            for name in (DOORBELL, METRICS):
                self._folder(os.path.join(path, name))
            self.auth = self._socket(os.path.join(path, AUTH), self._uid, self._gid)
            self.control = self._socket(control.path(path), -1, -1)
        except OSError as error:
            raise Unusable(f"{error.filename or path}: {error.strerror}") from None

    def own(self, path: str) -> None:
        """A folder for the workers to keep things in, made when it is missing and its parent is there."""
        if not os.path.lexists(path) and os.path.isdir(os.path.dirname(path)):
            os.mkdir(path, 0o700)
            os.chown(path, self._uid, self._gid)

    def close(self) -> None:
        """Remove what only a running server has."""
        for name in (AUTH, control.NAME):
            try:
                os.unlink(os.path.join(self.path, name))
            except OSError:
                continue
        self.auth.close()
        self.control.close()
        os.close(self._lock)

    def _folder(self, path: str) -> None:
        os.makedirs(path, mode=0o700, exist_ok=True)
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.chown(path, self._uid, self._gid)
        os.chmod(path, 0o700)

    def _socket(self, path: str, uid: int, gid: int) -> socket.socket:
        # The lock is ours, so whatever lies there was left by a dead server.
        if os.path.lexists(path):
            os.unlink(path)
        return bind_path(path, 0o600, uid, gid)
