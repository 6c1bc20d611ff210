"""The administrator's socket, `<runtime_dir>/control`: one JSON object per line in, one per line out.

    {"command": "who", "user": "…" or absent}                   → {"ok": true, "sessions": […]}
    {"command": "kick", "user": "…"} or {…, "connection": "…"}  → {"ok": true, "kicked": 2}
    {"command": "auth-test", "user": "…", "password": "…"}      → {"ok": true, "user": …, "home": …, …}
                                                                  or {"ok": false, "reason": …, "error": …, "detail": …}

Anything wrong is answered by {"ok": false, "error": "…"}. The socket's mode is 0600: whoever can connect may do all
of this. `ask` is the other end, for the command line; it knows nothing of Twisted.
"""

import json
import os
import socket
from typing import Any

LONGEST_LINE = 65_536
NAME = "control"


class NotRunning(Exception):
    """No server answers; the text is for the administrator."""


def path(runtime_dir: str) -> str:
    """Where the socket is."""
    return os.path.join(runtime_dir, NAME)


def ask(runtime_dir: str, request: dict[str, Any], timeout: float = 30.0) -> dict[str, Any]:
    """Put a request to the running server. Raises NotRunning."""
    where = path(runtime_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout)
        try:
            link.connect(where)
            link.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                data = link.recv(65_536)
                if not data:
                    break
                answer += data
        except PermissionError:
            raise NotRunning(f"{where}: permission denied; run this as the user who started the server") from None
        except OSError as error:
            raise NotRunning(f"no server answers at {where} ({error.strerror or error})") from None
    try:
        tree = json.loads(answer)
    except ValueError:
        raise NotRunning(f"the server at {where} closed the connection without an answer") from None
    return tree if isinstance(tree, dict) else {"ok": False, "error": "malformed answer"}
