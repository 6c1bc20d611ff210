"""The command line: exit codes, what goes where, and that a terminal takes no orders from strangers."""

import json
import os
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from culverhouse.auth.passwords import verify
from culverhouse.cli.output import printable

from .conftest import Run


def stored(config: Path, user: str) -> str:
    for line in (config.parent / "users").read_text().splitlines():
        if line.startswith(f"{user}:"):
            return line.split(":")[1]
    raise AssertionError(f"{user} is not there")


def test_wrong_arguments_exit_with_2(culverhouse: Run) -> None:
    for arguments in ((), ("nonsense",), ("user",), ("user", "add"), ("serve", "--what"), ("completion", "fish")):
        assert culverhouse(*arguments)[0] == 2
    code, out, _ = culverhouse("--help")
    assert code == 0
    for command in ("serve", "check-config", "demo", "user", "auth-test", "who", "kick", "index", "completion"):
        assert command in out
    assert culverhouse("--version")[1].startswith("culverhouse ")


def test_check_config(culverhouse: Run, config: Path) -> None:
    code, out, err = culverhouse("check-config", "--config", config)
    assert code == 0
    assert f"{config}: ok" in out
    assert "warning: auth.backend[0].path" in err
    config.write_text(config.read_text().replace("home =", "hoem =").replace("cleartext", "claertext"))
    code, out, err = culverhouse("check-config", "--config", config)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"{config}:4: auth.claertext: unknown key; did you mean cleartext?",
        f"{config}:8: mail.home: is missing",
        f"{config}:9: mail.hoem: unknown key; did you mean home?",
    ]


@pytest.mark.parametrize("command", [("serve",), ("user", "list"), ("who",), ("index", "status"), ("auth-test", "a")])
def test_every_command_names_a_broken_configuration(culverhouse: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    code, _, err = culverhouse(*command, "--config", tmp_path / "none.toml")
    assert code == 2
    assert "none.toml: cannot be read" in err


def test_users(culverhouse: Run, config: Path) -> None:
    option = ("--config", config)
    assert culverhouse("user", "add", *option, "Alice@Example.org", stdin=b"secret\n")[0] == 0
    assert stored(config, "alice@example.org").startswith("{ARGON2ID}")
    assert verify(stored(config, "alice@example.org"), b"secret")
    assert stat.S_IMODE((config.parent / "users").stat().st_mode) == 0o600
    code, _, err = culverhouse("user", "add", *option, "alice@example.org", stdin=b"secret\n")
    assert (code, err) == (1, "culverhouse: alice@example.org is there already\n")
    assert culverhouse("user", "add", *option, "bob", "--home", "/srv/bob", "--scheme", "PLAIN", stdin=b"b")[0] == 0
    assert culverhouse("user", "passwd", *option, "bob", "--scheme", "SCRAM-SHA-256", stdin="pä\r\n".encode())[0] == 0
    assert verify(stored(config, "bob"), "pä".encode())
    code, out, _ = culverhouse("user", "list", *option)
    assert code == 0
    assert out.splitlines()[1].split() == [
        "alice@example.org",
        "ARGON2ID",
        f"maildir:{config.parent}/mail/alice@example.org/Maildir",
    ]
    rows = json.loads(culverhouse("user", "list", "--json", *option)[1])
    assert [(row["user"], row["scheme"], row["store"]) for row in rows][1] == (
        "bob",
        "SCRAM-SHA-256",
        "maildir:/srv/bob/Maildir",
    )
    assert "secret" not in culverhouse("user", "list", "--json", *option)[1]
    code, out, _ = culverhouse("user", "delete", *option, "bob")
    assert code == 0
    assert "the mail stays at /srv/bob/Maildir" in out
    assert culverhouse("user", "delete", *option, "bob")[0] == 1
    assert culverhouse("user", "passwd", *option, "bob", stdin=b"x\n")[0] == 1


def test_it_is_told_when_scram_comes_and_goes(culverhouse: Run, config: Path) -> None:
    option = ("--config", config)
    assert "offered from now on" in culverhouse("user", "add", *option, "a", "--scheme", "PLAIN", stdin=b"x")[2]
    assert culverhouse("user", "add", *option, "b", "--scheme", "SCRAM-SHA-256", stdin=b"x")[2] == ""
    assert "not offered any more" in culverhouse("user", "add", *option, "c", stdin=b"x")[2]
    assert culverhouse("user", "passwd", *option, "c", stdin=b"y")[2] == ""
    assert "offered from now on" in culverhouse("user", "delete", *option, "c")[2]


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (("add", "../x"), b"secret\n", "in it"),
        (("add", "a", "--home", "relative"), b"secret\n", "home"),
        (("add", "a"), b"", "no password on stdin"),
        (("add", "a"), b"\n", "no password on stdin"),
        (("add", "a", "--scheme", "PLAIN"), b"a:b\n", "without a colon"),
        (("add", "a", "--file", "/etc/passwd"), b"x\n", "no passwd-file of this configuration"),
        (("list",), b"", "No such file"),
        (("delete", "a"), b"", "No such file"),
    ],
)
def test_what_a_user_cannot_be(
    culverhouse: Run, config: Path, arguments: tuple[str, ...], stdin: bytes, expected: str
) -> None:
    code, out, err = culverhouse("user", *arguments, "--config", config, stdin=stdin)
    assert (code, out) == (1, "")
    assert expected in err
    assert not (config.parent / "users").exists()


def test_several_password_files_ask_which(culverhouse: Run, config: Path, tmp_path: Path) -> None:
    config.write_text(
        config.read_text().replace(
            "[mail]", f'[[auth.backend]]\nkind = "passwd-file"\npath = "{tmp_path}/more"\n[mail]'
        )
    )
    code, _, err = culverhouse("user", "add", "--config", config, "a", stdin=b"x\n")
    assert code == 1
    assert "name one with --file" in err
    assert culverhouse("user", "add", "--config", config, "--file", tmp_path / "more", "a", stdin=b"x\n")[0] == 0
    assert (tmp_path / "more").exists()


def test_auth_test_without_a_server(culverhouse: Run, config: Path) -> None:
    culverhouse("user", "add", "--config", config, "alice", "--scheme", "PLAIN", stdin=b"secret")
    code, out, err = culverhouse("auth-test", "--config", config, "ALICE", stdin=b"secret\n")
    assert code == 0
    assert "ok, says the password files" in out
    assert f"store: maildir:{config.parent}/mail/alice/Maildir" in out
    assert "no server answers" in err
    code, out, _ = culverhouse("auth-test", "--config", config, "--json", "alice", stdin=b"wrong\n")
    assert code == 1
    (row,) = json.loads(out)
    assert (row["result"], row["detail"], row["reason"]) == ("no", "wrong password", "credentials")
    assert culverhouse("auth-test", "--config", config, "nobody", stdin=b"x\n")[0] == 1


class Control:
    """A server's control socket that answers each connection's line with the next answer."""

    def __init__(self, runtime: Path, *answers: bytes) -> None:
        runtime.mkdir(exist_ok=True)
        (runtime / "control").unlink(missing_ok=True)
        self.requests: list[object] = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(runtime / "control"))
        self.socket.listen()
        self.answers = answers
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        for answer in self.answers:
            link, _ = self.socket.accept()
            with link:
                self.requests.append(json.loads(link.makefile().readline()))
                link.sendall(answer)
        self.socket.close()

    def asked(self) -> list[object]:
        self.thread.join(10)
        return self.requests


SESSION = {
    "connection": "c7",
    "user": "alice",
    "service": "imap",
    "address": "192.0.2.1",
    "tls": True,
    "since": 1700000000,
}


def test_who_and_kick(culverhouse: Run, config: Path, tmp_path: Path) -> None:
    sessions = json.dumps(
        {"ok": True, "sessions": [SESSION, SESSION | {"user": "a\x1b[2Jb", "connection": "c8"}]}
    ).encode()
    control = Control(
        tmp_path / "run",
        sessions + b"\n",
        sessions + b"\n",
        b'{"ok":true,"kicked":2}\n',
        b'{"ok":true,"kicked":0}\n',
        b'{"ok":false,"error":"no"}\n',
        b"",
    )
    code, out, _ = culverhouse("who", "--config", config)
    assert code == 0
    assert out.splitlines()[0].split() == ["USER", "SERVICE", "ADDRESS", "TLS", "SINCE", "CONNECTION"]
    assert "\x1b" not in out
    assert "c7" in out
    assert json.loads(culverhouse("who", "--config", config, "--json", "ALICE")[1])[1]["connection"] == "c7"
    assert culverhouse("kick", "--config", config, "Alice")[:2] == (0, "2 sessions ended\n")
    assert culverhouse("kick", "--config", config, "--connection", "c7")[:2] == (1, "0 sessions ended\n")
    assert culverhouse("kick", "--config", config, "alice")[0] == 1
    assert culverhouse("who", "--config", config)[0] == 1
    assert control.asked() == [
        {"command": "who"},
        {"command": "who", "user": "alice"},
        {"command": "kick", "user": "alice"},
        {"command": "kick", "connection": "c7"},
        {"command": "kick", "user": "alice"},
        {"command": "who"},
    ]


def test_kick_wants_one_of_both(culverhouse: Run, config: Path) -> None:
    assert culverhouse("kick", "--config", config)[0] == 2
    assert culverhouse("kick", "--config", config, "alice", "--connection", "c1")[0] == 2


def test_no_server_runs(culverhouse: Run, config: Path) -> None:
    code, out, err = culverhouse("who", "--config", config)
    assert (code, out) == (1, "")
    assert "no server answers at" in err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_the_shell_accepts(culverhouse: Run, shell: str) -> None:
    code, out, _ = culverhouse("completion", shell)
    assert code == 0
    assert "check-config" in out
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=out.encode(), check=False).returncode == 0


def test_a_closed_pipe_is_no_traceback(config: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [os.sys.executable, "-m", "culverhouse", "completion", "zsh"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert b"Traceback" not in process.stderr
    assert process.returncode == 1


def test_printable() -> None:
    assert printable("Entwürfe") == "Entwürfe"
    assert printable("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"
    assert [printable(value) for value in (None, True, False, 5)] == ["-", "yes", "no", "5"]
