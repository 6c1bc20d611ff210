"""Listening sockets, bound once by the supervisor. Knows nothing of Twisted."""

import os
import socket
import stat

from ..config.schema import Listener

BACKLOG = 1024


def bind(listener: Listener) -> socket.socket:
    """A listening socket; raises OSError."""
    if listener.path:
        return bind_path(listener.path, listener.mode)
    family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `[::]` and `0.0.0.0` are two entries of the configuration.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((listener.host, listener.port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def bind_path(path: str, mode: int, uid: int = -1, gid: int = -1) -> socket.socket:
    """A listening UNIX socket; one that a dead server left is replaced, one that answers is not."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
    except FileNotFoundError:
        pass
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        old = os.umask(0o177)
        try:
            made.bind(path)
        finally:
            os.umask(old)
        if uid != -1 or gid != -1:
            os.chown(path, uid, gid)
        os.chmod(path, mode)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made
