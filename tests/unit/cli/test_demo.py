"""The demo's directory: made once, kept afterwards, and never made over something else."""

import socket
import stat
from pathlib import Path

import pytest
from cryptography import x509

from culverhouse.auth.passwords import scram_keys_of, verify
from culverhouse.cli import demo as demo_module
from culverhouse.cli.demo import USERS, demo, free_ports
from culverhouse.cli.output import Failed
from culverhouse.cli.sample_desk import Sample
from culverhouse.config import load

from .conftest import Run


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    mail = [
        Sample(folder, b"Subject: %d\n\nx\n" % n, 1_700_000_000 + n, n % 2, ("$label1",) if n else ())
        for n, folder in enumerate(("INBOX", "INBOX", "Sent", "Archive/2024", "Reisen & Ausflüge"))
    ]
    monkeypatch.setattr(demo_module, "samples", lambda user: mail[: 3 if user == "bob" else 5])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_demo_is_made_and_kept(tmp_path: Path, culverhouse: Run) -> None:
    folder = tmp_path / "demo"
    code, out, err = culverhouse("demo", "--dir", folder, "--no-serve")
    assert (code, err) == (0, "")
    for user, password in USERS.items():
        assert user in out
        assert password in out
    for word in ("Thunderbird", "neomutt", "curl --cacert", "STARTTLS"):
        assert word in out
    config = load(str(folder / "culverhouse.toml"))
    assert config.listen.imap[0].host == "127.0.0.1"
    stored = dict(line.split(":")[:2] for line in (folder / "users").read_text().splitlines())
    assert all(
        verify(stored[user], password.encode()) and scram_keys_of(stored[user]) for user, password in USERS.items()
    )
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    names = (
        x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
    )
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    alice = folder / "mail" / "alice" / "Maildir"
    assert len([*alice.glob("cur/*"), *alice.glob("new/*")]) == 2
    assert len([*alice.glob(".Archive.2024/cur/*"), *alice.glob(".Archive.2024/new/*")]) == 1
    assert (alice / ".Reisen &- Ausfl&APw-ge").is_dir()
    assert not list(folder.glob(".unfinished*"))

    before = files(folder / "mail")
    (alice / "new" / "1.mine").write_bytes(b"Subject: mine\n\n")
    assert culverhouse("demo", "--dir", folder, "--no-serve")[0] == 0
    after = files(folder / "mail")
    assert after.pop("alice/Maildir/new/1.mine") == b"Subject: mine\n\n"
    assert after == before


def test_something_else_is_left_alone(tmp_path: Path, culverhouse: Run) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    code, _, err = culverhouse("demo", "--dir", tmp_path, "--no-serve")
    assert code == 1
    assert "holds something else" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_half_made_demo_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "demo"
    real = demo_module.deliver
    calls = []

    def stopped(settings: object, user: str) -> None:
        calls.append(user)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(settings, user)  # type: ignore[arg-type]

    monkeypatch.setattr(demo_module, "deliver", stopped)
    with pytest.raises(KeyboardInterrupt):
        demo(str(folder), serving=False)
    assert not (folder / "culverhouse.toml").exists()
    monkeypatch.setattr(demo_module, "deliver", real)
    assert demo(str(folder), serving=False) == 0
    for user, expected in (("alice", 2), ("bob", 2)):
        maildir = folder / "mail" / user / "Maildir"
        assert len([*maildir.glob("cur/*"), *maildir.glob("new/*")]) == expected


def test_names_a_configuration_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="cannot hold"):
        demo(str(tmp_path / 'a "quoted" {name}'), serving=False)


def test_taken_ports_are_replaced(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        first, second = free_ports([port, port])
        assert port < first < second
        folder = tmp_path / "demo"
        demo(str(folder), serving=False)
        config = folder / "culverhouse.toml"
        old = load(str(config)).listen.imap[0].port
        config.write_text(config.read_text().replace(f":{old}", f":{port}").replace("workers = 2", "workers = 3"))
        demo(str(folder), serving=False)
        assert load(str(config)).listen.imap[0].port > port
        assert load(str(config)).server.workers == 3


def test_a_certificate_that_ends_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo(str(folder), serving=False)
    before = (folder / "cert.pem").read_bytes()
    demo(str(folder), serving=False)
    assert (folder / "cert.pem").read_bytes() == before
    (folder / "key.pem").unlink()
    demo(str(folder), serving=False)
    assert (folder / "cert.pem").read_bytes() != before


def test_a_long_path_still_has_room_for_sockets(tmp_path: Path) -> None:
    runtime = demo_module._runtime(tmp_path / ("x" * 100))
    assert len(str(runtime)) < 90
    assert demo_module._runtime(Path("/tmp/demo")) == Path("/tmp/demo/run")
