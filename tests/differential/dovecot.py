"""A private Dovecot for tests and comparisons: its own configuration, directories and loopback ports.

    with Dovecot(mail_root, users=("alice",)) as dovecot:
        imaplib.IMAP4("127.0.0.1", dovecot.imap_port).login("alice", dovecot.password)

Every user's home is `mail_root/USER`, the mail lies in `Maildir` in it. Rules: the machine's own Dovecot is never
touched; nothing listens but on the loopback; the instance is ended by its process id. Dovecot refuses to serve mail of
root, so that as root the tree is handed to `nobody` for the time: it must lie where `nobody` can reach it, see
`reachable_folder`.
"""

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from tests.serving import free_port, peer

_UNPRIVILEGED = """
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
"""


class Dovecot:
    """A running Dovecot, inside a `with`."""

    password = "secret"

    def __init__(
        self, mail_root: Path, users: Sequence[str] = ("alice",), *, layout: str = "maildir++", extra: str = ""
    ) -> None:
        self.binary = peer("dovecot")
        self.mail_root = mail_root
        self.users = tuple(users)
        self.imap_port, self.pop3_port = free_port(), free_port()
        self.owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._layout = "" if layout == "maildir++" else ":LAYOUT=fs"
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def maildir(self, user: str = "alice") -> Path:
        return self.mail_root / user / "Maildir"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        assert self._folder is not None
        path = self._folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> "Dovecot":
        # A short path of its own: the names of UNIX sockets are limited to 107 octets.
        self._folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self._folder.chmod(0o755)
        for user in self.users:
            self.maildir(user).mkdir(parents=True, exist_ok=True)
        self.make_writable()
        config = self._configure(self._folder)
        self._process = subprocess.Popen(
            [self.binary, "-F", "-c", str(config)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stderr is not None:
                process.stderr.close()
        if os.geteuid() == 0:
            _chown(self.mail_root, 0, 0)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def make_writable(self) -> None:
        """Hand over what somebody else has made in the tree meanwhile."""
        if os.geteuid() == 0:
            _chown(self.mail_root, self.owner.pw_uid, self.owner.pw_gid)
            closed = [above for above in self.mail_root.parents if not above.stat().st_mode & stat.S_IXOTH]
            if closed:
                raise RuntimeError(f"nobody cannot reach {closed[0]}; `reachable_folder` makes one that can be")

    def _configure(self, folder: Path) -> Path:
        (folder / "users").write_text(
            "".join(
                f"{user}:{{PLAIN}}{self.password}:{self.owner.pw_uid}:{self.owner.pw_gid}::{self.mail_root}/{user}::\n"
                for user in self.users
            )
        )
        unprivileged = ""
        if os.geteuid() != 0:
            group = os.popen("id -gn").read().strip()
            unprivileged = _UNPRIVILEGED.format(user=getpass.getuser(), group=group)
        config = folder / "dovecot.conf"
        config.write_text(
            f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:~/Maildir{self._layout}
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {self.imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.pop3_port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
{unprivileged}
{self._extra}
"""
        )
        return config

    def _wait(self) -> None:
        process = self._process
        assert process is not None
        assert process.stderr is not None
        end = time.monotonic() + 20
        for port in (self.imap_port, self.pop3_port):
            while True:
                if process.poll() is not None:
                    said = process.stderr.read().decode(errors="replace")
                    raise RuntimeError(f"dovecot ended with {process.returncode}: {said}\n{self.log}")
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                if time.monotonic() > end:
                    raise RuntimeError(f"nothing listens on {port}:\n{self.log}")
                time.sleep(0.05)


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A temporary folder that `nobody` can reach too; those of pytest are closed to all others, and closed again
    whenever another run of it begins."""
    folder = Path(tempfile.mkdtemp(prefix="culverhouse-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _chown(root: Path, uid: int, gid: int) -> None:
    os.chown(root, uid, gid)
    for path, folders, files in os.walk(root):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError):
                os.chown(os.path.join(path, name), uid, gid, follow_symlinks=False)
