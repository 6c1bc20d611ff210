"""Started as root: the others drop their rights, and a key that only root can read is served and reloaded."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.conftest import Running, until
from tests.server.test_processes import logs_in, shown_certificate
from tests.serving import make_certificate

WORKER, AUTH = "daemon", "games"
ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT / "typings"), sysconfig.get_path("purelib")])


def interpreter() -> str | None:
    """One of this version that others can run as well, with our packages."""
    entry = pwd.getpwnam(WORKER)
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            subprocess.run(
                [candidate, "-c", "import twisted, lmdb, culverhouse.server.process"], check=True, capture_output=True,
                user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], env={**os.environ, "PYTHONPATH": PATHS},
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return candidate
    return None


@pytest.fixture
def server() -> Iterator[Running]:
    if os.geteuid() != 0:
        pytest.skip("only root can drop rights")
    python = interpreter()
    if python is None:
        pytest.skip("no interpreter here can be run by other users")
    folder = Path(tempfile.mkdtemp(prefix="culverhouse-root-"))
    folder.chmod(0o755)
    made = Running(folder, ("alice",), workers=2, extra=f'user = "{WORKER}"')
    text = made.config.read_text().replace("[auth]\n", f'[auth]\nuser = "{AUTH}"\n')
    made.config.write_text(text)
    made.config.chmod(0o600)
    (folder / "users").chmod(0o600)
    shutil.chown(folder / "users", AUTH)
    made.mail.mkdir()
    shutil.chown(made.mail, WORKER)
    with made.log.open("ab") as log:
        made.process = subprocess.Popen(
            [python, "-m", "culverhouse", "serve", "--config", str(made.config)], stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": PATHS}, start_new_session=True,
        )
    try:
        made.wait_for("ready")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


def user_of(pid: int) -> str:
    return pwd.getpwuid(os.stat(f"/proc/{pid}").st_uid).pw_name


def capabilities(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)


def test_rights_are_dropped_and_a_root_only_key_is_reloaded_and_deaths_are_survived(server: Running) -> None:
    assert server.process is not None
    workers, (auth,) = server.pids("worker"), server.pids("auth")
    assert user_of(server.process.pid) == "root"
    assert {user_of(pid) for pid in workers} == {WORKER}
    assert user_of(auth) == AUTH
    assert [capabilities(pid) for pid in (*workers, auth)] == [0, 0, 0]
    assert server.key.stat().st_mode & 0o777 == 0o600
    assert server.key.owner() == "root"

    server.pop().quit()
    assert server.maildir().owner() == WORKER

    old = shown_certificate(server.imaps)
    make_certificate(server.folder)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("reloaded")
    until(lambda: True if shown_certificate(server.imaps) != old else None, 10, "the old certificate is shown")

    for victim in (auth, *workers):
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()

        until(lambda: True if logs_in(server) else None, 10, "no login")
        assert time.monotonic() - began < 5
    assert shown_certificate(server.imaps) != old
