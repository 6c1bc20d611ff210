"""A raw log of one user's sessions, for finding out what a client really says. Never a password.

It begins when the user has logged in, so the login itself is not in it. A client may still send LOGIN, AUTHENTICATE,
PASS or AUTH later (and be refused); such a line is cut after its command, and everything that the client sends is
left out until the server's next tagged or status line, literals and SASL answers with it.
"""

import os
import re
import time

MAX_SIZE = 200_000_000
_LONGEST_LINE = 65_536
# A tag and the command of RFC 3501, or the bare command of RFC 1939 and RFC 5034.
_SECRET = re.compile(rb"(?i)((?:[^\s]{1,100}[ \t]+)?(?:LOGIN|AUTHENTICATE|PASS|USER|AUTH|APOP))(?=[\s]|\Z)")
_ANSWERED = re.compile(rb"(?:[^\s+*][^\s]* (?:OK|NO|BAD)\b|\+OK|-ERR|\* BYE)")


class RawLog:
    """One session's file; lines begin with a time and `C:` or `S:`."""

    __slots__ = ("_client", "_fd", "_hidden", "_server", "_size")

    def __init__(self, directory: str, user: str, connection: str) -> None:
        """Raises OSError."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        name = re.sub(r"[^A-Za-z0-9@._-]", "_", f"{user}-{stamp}-{connection}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(os.path.join(directory, f"{name}.log"), flags, 0o600)
        self._client = b""
        self._server = b""
        self._hidden = False
        self._size = 0

    def client(self, data: bytes) -> None:
        """Bytes from the client."""
        *lines, self._client = (self._client + data).split(b"\n")
        if len(self._client) > _LONGEST_LINE:
            lines.append(self._client)
            self._client = b""
        for line in lines:
            if self._hidden:
                continue
            secret = _SECRET.match(line)
            if secret is not None:
                self._hidden = True
                line = secret[1] + b" (hidden)"
            self._write(b"C: ", line)

    def server(self, data: bytes) -> None:
        """Bytes to the client."""
        *lines, self._server = (self._server + data).split(b"\n")
        if len(self._server) > _LONGEST_LINE:
            lines.append(self._server)
            self._server = b""
        for line in lines:
            if self._hidden and _ANSWERED.match(line):
                self._hidden = False
                self._client = b""
            self._write(b"S: ", line)

    def close(self) -> None:
        """Write what is incomplete and close."""
        if self._fd < 0:
            return
        if self._client and not self._hidden and not _SECRET.match(self._client):
            self._write(b"C: ", self._client)
        if self._server:
            self._write(b"S: ", self._server)
        os.close(self._fd)
        self._fd = -1

    def _write(self, side: bytes, line: bytes) -> None:
        if self._fd < 0 or self._size > MAX_SIZE:
            return
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.gmtime(now)).encode() + b".%03d " % (int(now * 1000) % 1000)
        try:
            self._size += os.write(self._fd, stamp + side + line.removesuffix(b"\r") + b"\n")
        except OSError:  # a full disk ends the log, not the session
            self._size = MAX_SIZE + 1
