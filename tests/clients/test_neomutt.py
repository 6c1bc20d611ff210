"""neomutt opens the mailbox, flags a message and deletes another, driven by a macro in a pseudo terminal."""

import os
import pty
import select
import time
from pathlib import Path

from tests.serving import PASSWORD, peer, serving

from .conftest import fill


def drive(command: list[str], environment: dict[str, str], limit: float = 60) -> str:
    """Run in a terminal of its own; returns what was painted."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    painted = b""
    end = time.monotonic() + limit
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            painted += data
        else:
            os.kill(pid, 9)
    finally:
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
    assert status == 0, painted.decode(errors="replace")[-3000:]
    return painted.decode(errors="replace")


def test_reads_flags_and_deletes(tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        sent = fill(server)
        config = tmp_path / "muttrc"
        config.write_text(
            f"""
set folder = "imap://127.0.0.1:{server.imap}/"
set spoolfile = "+INBOX"
set imap_user = alice
set imap_pass = {PASSWORD}
set ssl_starttls = no
set ssl_force_tls = no
set delete = yes
set confirmappend = no
set header_cache = ""
set message_cachedir = ""
set sort = mailbox-order
set wait_key = no
push "<first-entry><flag-message><next-entry><delete-message><sync-mailbox><quit>"
"""
        )
        painted = drive(
            [peer("neomutt"), "-n", "-F", str(config)],
            {**os.environ, "HOME": str(tmp_path), "TERM": "xterm", "LANG": "C.UTF-8"},
        )
        assert "plain" in painted
        names = [p.name for p in (server.maildir() / "cur").iterdir()]
        assert len(names) == len(sent) - 1
        assert sum("F" in name.partition(":2,")[2] for name in names) == 1
