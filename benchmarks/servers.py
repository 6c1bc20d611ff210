"""Starts the servers that are measured: Culverhouse and a private Dovecot, default and tuned, each on loopback ports
in a directory of its own. Ends them by their process ids."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

USERS = 1000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, limit: float = 30) -> None:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"server ended with {process.returncode}:\n{log.read_text()[-3000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}:\n{log.read_text()[-3000:]}")


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        one = queue.pop()
        found.append(one)
        queue += children.get(one, [])
    return found


def certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )
    return cert, key


class Server:
    """A running server: `imap`, `imaps` and `pop3` are ports, `mail` is the directory of the users' homes."""

    name = "server"

    def __init__(self, folder: Path, owner: str | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.mail = folder / "mail"
        self.mail.mkdir(exist_ok=True)
        self.imap, self.imaps, self.pop3 = free_port(), free_port(), free_port()
        self.log = folder / "log"
        self.owner = owner
        self.process: subprocess.Popen[bytes] | None = None
        self.cert, self.key = certificate(folder)

    def users(self) -> list[str]:
        return ["bench", *(f"user{n}" for n in range(USERS))]

    def maildir(self, user: str) -> Path:
        return self.mail / user / "Maildir"

    def give(self, path: Path) -> None:
        """Let the server's user own a path."""
        if self.owner and os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{self.owner}:", str(path)], check=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def forget_index(self) -> None:
        """Drop what the server has indexed, as on a first start."""
        raise NotImplementedError

    def start(self) -> None:
        self.give(self.mail)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        wait_for_port(self.imap, self.process, self.log)
        wait_for_port(self.pop3, self.process, self.log)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def cpu(self) -> float:
        """Seconds of CPU the whole process tree has used, ended children included."""
        assert self.process
        ticks = 0
        for pid in tree(self.process.pid):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += sum(map(int, fields[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def pss(self) -> int:
        """Proportional memory of the whole process tree in kB."""
        assert self.process
        total = 0
        for pid in tree(self.process.pid):
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total


class Culverhouse(Server):
    name = "culverhouse"

    def __init__(self, folder: Path, workers: int = 2) -> None:
        super().__init__(folder)
        (folder / "users").write_text("".join(f"{u}:{{PLAIN}}secret::::{self.mail}/{u}::\n" for u in self.users()))
        (folder / "run").mkdir(exist_ok=True)
        (folder / "culverhouse.toml").write_text(
            f"""
[listen]
imap = ["127.0.0.1:{self.imap}"]
imaps = ["127.0.0.1:{self.imaps}"]
pop3 = ["127.0.0.1:{self.pop3}"]
pop3s = []
metrics = []
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
store = "maildir:{{home}}/Maildir"
max_message_size = "100 MB"
[index]
path = "{folder}/index/{{user}}"
[limits]
sessions_per_user_and_address = 5000
max_connections = 10000
connections_before_login_per_address = 5000
[server]
workers = {workers}
runtime_dir = "{folder}/run"
"""
        )

    def command(self) -> list[str]:
        return [sys.executable, "-m", "culverhouse", "serve", "--config", str(self.folder / "culverhouse.toml")]

    def forget_index(self) -> None:
        shutil.rmtree(self.folder / "index", ignore_errors=True)


class Dovecot(Server):
    """Debian's Dovecot as it comes, but for paths, ports and limits that would stop the benchmark itself."""

    name = "dovecot"
    extra = ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "dovebench" if os.geteuid() == 0 else None)
        if os.geteuid() != 0:
            raise RuntimeError("the private Dovecot of the benchmarks needs root")
        try:
            account = pwd.getpwnam("dovebench")
        except KeyError:
            subprocess.run(["useradd", "--system", "--no-create-home", "dovebench"], check=True)
            account = pwd.getpwnam("dovebench")
        (folder / "users").write_text(
            "".join(f"{u}:{{PLAIN}}secret:{account.pw_uid}:{account.pw_gid}::{self.mail}/{u}::\n" for u in self.users())
        )
        (folder / "dovecot.conf").write_text(
            f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{self.cert}
ssl_key = <{self.key}
disable_plaintext_auth = no
mail_location = maildir:~/Maildir
mail_max_userip_connections = 5000
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
service imap-login {{
  process_limit = 2000
  inet_listener imap {{
    port = {self.imap}
  }}
  inet_listener imaps {{
    port = {self.imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service imap {{
  process_limit = 3000
}}
service anvil {{
  client_limit = 8000
}}
service auth {{
  client_limit = 8000
}}
{self.extra}
"""
        )

    def command(self) -> list[str]:
        return ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]

    def forget_index(self) -> None:
        for pattern in ("dovecot.index*", "dovecot.list*", ".*/dovecot.index*"):
            for path in self.mail.glob(f"*/Maildir/{pattern}"):
                path.unlink()


class TunedDovecot(Dovecot):
    """The settings an administrator would choose for speed: reused processes, very dirty syncs."""

    name = "dovecot tuned"
    extra = """
maildir_very_dirty_syncs = yes
service imap-login {
  service_count = 0
  process_min_avail = 2
}
service imap {
  service_count = 1000
  process_min_avail = 2
}
service pop3-login {
  service_count = 0
}
service pop3 {
  service_count = 1000
}
"""
