"""imaptest's scripted cases, read as data: the messages they deliver and the answers they want.

The scripts lie beside the repository, in ../shared/imaptest-scripts. Without them the tests are skipped, but fail where
CULVERHOUSE_CI is set: there nothing may go missing silently.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from culverhouse.message.lines import normalise

SCRIPTS = Path(__file__).resolve().parents[3].parent / "shared" / "imaptest-scripts"


@dataclass(frozen=True)
class Step:
    """One command with the untagged answers that have to come (or, `forbidden`, must not)."""

    command: str
    wanted: tuple[str, ...]
    forbidden: tuple[str, ...]


class Script:
    def __init__(self, name: str) -> None:
        self.messages = [normalise(message) for message in _split_mbox((SCRIPTS / f"{name}.mbox").read_bytes())]
        self.steps = _steps((SCRIPTS / name).read_bytes().decode("latin-1"))


def _split_mbox(mbox: bytes) -> list[bytes]:
    """imaptest keeps the blank line before the next From_ line with the message."""
    return re.split(rb"^From [^\n]*\n", mbox, flags=re.M)[1:]


def _steps(text: str) -> list[Step]:
    _, _, body = text.partition("\n\n")
    steps: list[tuple[str, list[str], list[str]]] = []
    lines = iter(body.split("\n"))
    for line in lines:
        while line.count("{{{") > line.count("}}}"):
            line += "\n" + next(lines)
        if line.startswith("ok "):
            steps.append((line[3:], [], []))
        elif line.startswith("* "):
            steps[-1][1].append(line[2:])
        elif line.startswith("! "):
            steps[-1][2].append(line[2:])
        else:
            assert not line or line.startswith("#"), line
    return [Step(command, tuple(wanted), tuple(forbidden)) for command, wanted, forbidden in steps]


@pytest.fixture(scope="session")
def imaptest() -> type[Script]:
    if not SCRIPTS.is_dir():
        if os.environ.get("CULVERHOUSE_CI") == "1":
            pytest.fail(f"imaptest's scripts are not at {SCRIPTS}")
        pytest.skip(f"imaptest's scripts are not at {SCRIPTS}")
    return Script
