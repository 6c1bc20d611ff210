"""curl over imap:// and pop3://, with and without STARTTLS."""

import subprocess

from tests.serving import PASSWORD, Served, peer

from .conftest import messages


def curl(server: Served, *arguments: str, user: str = "alice") -> bytes:
    done = subprocess.run(
        [peer("curl"), "--silent", "--show-error", "--max-time", "30", "--cacert", str(server.cert),
         "--user", f"{user}:{PASSWORD}", *arguments],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def lines(message: bytes) -> list[bytes]:
    return message.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")


def test_imap_lists_and_fetches(server: Served) -> None:
    assert b"INBOX" in curl(server, f"imap://127.0.0.1:{server.imap}/")
    assert lines(curl(server, f"imap://127.0.0.1:{server.imap}/INBOX;MAILINDEX=1")) == lines(messages()[0])


def test_imap_starttls_fetches_one_section(server: Served) -> None:
    found = curl(server, "--ssl-reqd", f"imap://localhost:{server.imap}/INBOX;MAILINDEX=3;SECTION=1")
    assert found.strip() == b"text"


def test_imap_uploads(server: Served, tmp_path: object) -> None:
    path = f"{tmp_path}/message"
    with open(path, "wb") as file:
        file.write(b"Subject: uploaded\r\n\r\nby curl\r\n")
    curl(server, "--upload-file", path, f"imap://127.0.0.1:{server.imap}/INBOX", user="bob")
    found = curl(server, "--request", "SEARCH SUBJECT uploaded", f"imap://127.0.0.1:{server.imap}/INBOX", user="bob")
    assert found.split()[2:]


def test_imaps(server: Served) -> None:
    assert b"INBOX" in curl(server, f"imaps://localhost:{server.imaps}/")


def test_pop3_with_and_without_starttls(server: Served) -> None:
    plain = curl(server, f"pop3://127.0.0.1:{server.pop3}/")
    assert len(plain.splitlines()) == len(messages())
    assert curl(server, "--ssl-reqd", f"pop3://localhost:{server.pop3}/") == plain
    assert lines(curl(server, f"pop3s://localhost:{server.pop3s}/2")) == lines(messages()[1])
