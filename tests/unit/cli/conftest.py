"""A configuration in a directory of its own, and the command run as a function."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from culverhouse.cli.main import run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "culverhouse.toml"
    path.write_text(
        f"""\
[listen]
imap = ["127.0.0.1:1143"]
[auth]
cleartext = "always"
[[auth.backend]]
kind = "passwd-file"
path = "{tmp_path}/users"
[mail]
home = "{tmp_path}/mail/{{user}}"
[index]
path = "{tmp_path}/index/{{user}}"
[server]
runtime_dir = "{tmp_path}/run"
"""
    )
    return path


@pytest.fixture
def culverhouse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`culverhouse("user", "list")` → (exit code, stdout, stderr); `stdin` is what is piped in."""

    def call(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call
