"""fetchmail over POP3 with --uidl and over IMAP, handing each message to a program."""

import os
import subprocess
from pathlib import Path

from tests.serving import PASSWORD, Served, peer, serving

from .conftest import fill


def run(folder: Path, protocol: str, port: int, options: str, *, uidl: str = "") -> None:
    box = folder / "got"
    box.mkdir(exist_ok=True)
    script = folder / "mda"
    script.write_text(f'#!/bin/sh\nf=$(mktemp {box}/XXXXXX); cat > "$f"\n')
    script.chmod(0o755)
    config = folder / "fetchmailrc"
    config.write_text(
        f'poll 127.0.0.1 protocol {protocol} port {port} auth password {uidl}\n'
        f'  user "alice" password "{PASSWORD}" {options} mda "{script}"\n'
    )
    config.chmod(0o700)
    environment = {**os.environ, "HOME": str(folder), "FETCHMAILHOME": str(folder)}
    done = subprocess.run(
        [peer("fetchmail"), "-f", str(config), "--nosyslog", "--sslproto", "", "-v"],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: no new mail


def got(folder: Path) -> int:
    return len(list((folder / "got").iterdir()))


def subjects(server: Served) -> int:
    return sum(1 for sub in ("cur", "new") for _ in (server.maildir() / sub).iterdir())


def test_pop3_with_uidl_fetches_once_and_keeps(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        sent = fill(server)
        run(tmp_path, "pop3", server.pop3, "keep", uidl="uidl")
        assert got(tmp_path) == len(sent)
        run(tmp_path, "pop3", server.pop3, "keep", uidl="uidl")
        assert got(tmp_path) == len(sent)
        assert subjects(server) == len(sent)


def test_imap_fetches_and_deletes(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        sent = fill(server)
        run(tmp_path, "imap", server.imap, "nokeep fetchall")
        assert got(tmp_path) == len(sent)
        assert subjects(server) == 0
