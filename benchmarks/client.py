"""Raw-socket clients that cost little themselves: large reads, no parsing beyond finding the tagged line."""

import socket
import ssl
import time


class Imap:
    """One IMAP connection. `command` sends a line and reads to its tagged answer."""

    def __init__(self, port: int, user: str | None = None, password: str = "secret", *, tls: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.number = 0
        self.received = 0
        self.read_line()
        if user:
            self.command(f"LOGIN {user} {password}".encode())

    def read_line(self) -> bytes:
        """One untagged line at a time; only for greetings and continuations."""
        line = b""
        while not line.endswith(b"\r\n"):
            data = self.socket.recv(1)
            if not data:
                raise ConnectionError("closed")
            line += data
        return line

    def until(self, tag: bytes) -> bytes:
        """Everything up to the line that begins with the tag; that line must say OK."""
        parts: list[bytes] = []
        tail = b""
        mark = b"\r\n" + tag + b" "
        while True:
            data = self.socket.recv(1 << 18)
            if not data:
                raise ConnectionError("closed")
            parts.append(data)
            self.received += len(data)
            tail = (tail + data)[-600:]
            if tail.endswith(b"\r\n"):
                place = (b"\r\n" + tail).rfind(mark)
                if place >= 0 and tail.find(b"\r\n", place) == len(tail) - 2:
                    if not (b"\r\n" + tail)[place + len(mark) :].startswith(b"OK"):
                        raise RuntimeError(tail[-300:].decode(errors="replace"))
                    return b"".join(parts)

    def command(self, line: bytes) -> bytes:
        self.number += 1
        tag = b"a%d" % self.number
        self.socket.sendall(tag + b" " + line + b"\r\n")
        return self.until(tag)

    def append(self, mailbox: bytes, message: bytes) -> None:
        self.number += 1
        tag = b"a%d" % self.number
        self.socket.sendall(b"%s APPEND %s {%d+}\r\n" % (tag, mailbox, len(message)) + message + b"\r\n")
        self.until(tag)

    def idle(self) -> None:
        self.number += 1
        self.socket.sendall(b"a%d IDLE\r\n" % self.number)
        while not self.read_line().startswith(b"+"):
            pass

    def wait_for(self, word: bytes, limit: float = 30) -> float:
        """Seconds on the monotonic clock at which an untagged line with this word arrived."""
        self.socket.settimeout(limit)
        data = b""
        while word not in data:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            data += more
        now = time.monotonic()
        self.socket.settimeout(None)
        return now

    def done(self) -> None:
        self.socket.sendall(b"DONE\r\n")
        self.until(b"a%d" % self.number)

    def close(self) -> None:
        self.socket.close()


class Pop3:
    """One POP3 connection."""

    def __init__(self, port: int, user: str, password: str = "secret") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = 0
        self.line()
        self.command(b"USER " + user.encode())
        self.command(b"PASS " + password.encode())

    def line(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n"):
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed")
            data += more
        if not data.startswith(b"+OK"):
            raise RuntimeError(data[:200].decode(errors="replace"))
        self.received += len(data)
        return data

    def command(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.line()

    def multiline(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        data = b""
        while not data.endswith(b"\r\n.\r\n"):
            more = self.socket.recv(1 << 18)
            if not more:
                raise ConnectionError("closed")
            data += more
        self.received += len(data)
        return data

    def quit(self) -> None:
        self.socket.sendall(b"QUIT\r\n")
        self.line()
        self.socket.close()
