"""A real server for tests: its own directory, loopback ports, users and certificate; ended by its process id."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PASSWORD = "secret"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A self-signed certificate and its key, mode 0600."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    return cert, key


class Served:
    """A running Culverhouse with users that all have the password `secret`."""

    def __init__(self, folder: Path, users: Sequence[str] = ("alice",), *, workers: int = 1, extra: str = "",
                 mail: str = "", layout: str = "maildir++") -> None:  # fmt: skip
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.mail = folder / "mail"
        self.index = folder / "index"
        self.imap, self.imaps, self.pop3, self.pop3s = (free_port() for _ in range(4))
        self.cert, self.key = make_certificate(folder)
        (folder / "users").write_text("".join(f"{user}:{{PLAIN}}{PASSWORD}::::::\n" for user in users))
        self.config = folder / "culverhouse.toml"
        self.config.write_text(
            f"""
[listen]
imap = ["127.0.0.1:{self.imap}"]
imaps = ["127.0.0.1:{self.imaps}"]
pop3 = ["127.0.0.1:{self.pop3}"]
pop3s = ["127.0.0.1:{self.pop3s}"]
[tls]
certificate = "{self.cert}"
key = "{self.key}"
[auth]
cleartext = "always"
[[auth.backend]]
kind = "passwd-file"
path = "{folder}/users"
[mail]
home = "{self.mail}/{{user}}"
layout = "{layout}"
{mail}
[index]
path = "{self.index}/{{user}}"
[server]
workers = {workers}
runtime_dir = "{folder}/run"
{extra}
"""
        )
        (folder / "run").mkdir(exist_ok=True)
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def maildir(self, user: str = "alice") -> Path:
        return self.mail / user / "Maildir"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "culverhouse", "serve", "--config", str(self.config)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + 30
        waiting = [self.imap, self.imaps, self.pop3, self.pop3s]
        while waiting:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
            if time.monotonic() > end:
                raise RuntimeError(f"nothing listens on {waiting}:\n{self.log.read_text()[-4000:]}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", waiting[0]), timeout=1).close()
                waiting.pop(0)
                continue
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError("the server did not end within 20 s of SIGTERM") from None
        finally:
            self.process = None


@contextlib.contextmanager
def serving(folder: Path, users: Sequence[str] = ("alice",), **options: object) -> Iterator[Served]:
    """`with serving(tmp_path) as server:` — started, and stopped at the end."""
    server = Served(folder, users, **options)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.stop()


def deliver(maildir: Path, message: bytes, *, number: int | None = None) -> str:
    """Deliver as an MTA does, from tmp/ into new/; returns the base name."""
    deliver.count += 1  # type: ignore[attr-defined]
    name = f"{time.time():.6f}.M{deliver.count if number is None else number}P{os.getpid()}.mta"  # type: ignore[attr-defined]
    (maildir / "tmp" / name).write_bytes(message)
    os.rename(maildir / "tmp" / name, maildir / "new" / name)
    return name


deliver.count = 0  # type: ignore[attr-defined]


def peer(program: str) -> str:
    """The path of a program that a test talks to. Missing: a skip, but a failure under CULVERHOUSE_CI."""
    import shutil

    import pytest

    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CULVERHOUSE_CI"):
            pytest.fail(f"{program} is not installed, and CI must have it")
        pytest.skip(f"{program} is not installed")
    return found
