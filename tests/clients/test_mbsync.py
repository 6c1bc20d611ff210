"""mbsync keeps a local Maildir and the server in step; a second run finds nothing to do."""

import subprocess
from pathlib import Path

from tests.serving import PASSWORD, Served, deliver, peer, serving

from .conftest import fill


def run(folder: Path, server: Served) -> str:
    (folder / "mbsyncrc").write_text(
        f"""
IMAPStore far
Host 127.0.0.1
Port {server.imap}
User alice
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {folder}/near/
Inbox {folder}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
CopyArrivalDate yes
"""
    )
    done = subprocess.run(
        [peer("mbsync"), "-V", "-c", str(folder / "mbsyncrc"), "-a"], capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def names(maildir: Path) -> list[str]:
    return sorted(p.name for sub in ("cur", "new") for p in (maildir / sub).iterdir())


def snapshot(folder: Path, server: Served) -> list[list[str]]:
    return [names(folder / "near" / "INBOX"), names(server.maildir())]


def test_two_way_and_then_a_no_op(tmp_path: Path) -> None:
    (tmp_path / "near").mkdir()
    with serving(tmp_path / "server") as server:
        sent = fill(server)
        run(tmp_path, server)
        near = tmp_path / "near" / "INBOX"
        assert len(names(near)) == len(sent)

        # Both sides change: a new message and a flag here, a deletion there.
        deliver(near, b"From: me@example.org\nSubject: from near\n\nhello\n")
        first = next(p for sub in ("new", "cur") for p in (near / sub).iterdir() if ",U=" in p.name)
        first.rename(near / "cur" / (first.name.partition(":2,")[0] + ":2,FS"))
        run(tmp_path, server)
        assert len(names(server.maildir())) == len(sent) + 1
        assert sum(name.endswith(":2,FS") for name in names(server.maildir())) == 1
        assert {p.name for p in (tmp_path / "near").iterdir()} >= {"INBOX", "Sent", "Drafts", "Junk", "Trash"}

        before = snapshot(tmp_path, server)
        run(tmp_path, server)
        assert snapshot(tmp_path, server) == before
