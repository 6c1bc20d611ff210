"""imaptest's scripted cases against our server, each a test of its own; a case may be skipped only for a capability
that the server is not meant to have yet."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Served, serving

from .runner import Target, run_case
from .script import find, read

SCRIPTS = Path(os.environ.get("IMAPTEST_SCRIPTS", Path(__file__).resolve().parents[3] / "shared" / "imaptest-scripts"))

NOT_YET = {b"CATENATE", b"CONTEXT=SEARCH", b"CONTEXT=SORT", b"ESORT", b"SORT", b"SORT=DISPLAY", b"NOTIFY",
           b"THREAD=ORDEREDSUBJECT", b"THREAD=REFERENCES", b"URLAUTH", b"URLAUTH=BINARY"}  # fmt: skip
"""Capabilities of later versions. Whatever else a case asks for has to be there."""

CASES = find(SCRIPTS) if SCRIPTS.is_dir() else []


@pytest.fixture(scope="module", params=["maildir++", "fs"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("compliance"), ("alice", "bob"), workers=2, layout=request.param) as started:
        yield started


def test_the_cases_are_there() -> None:
    if not CASES:
        if os.environ.get("CULVERHOUSE_CI"):
            pytest.fail(f"{SCRIPTS} is missing")
        pytest.skip(f"imaptest's cases are not at {SCRIPTS}; IMAPTEST_SCRIPTS may name another place")
    assert len(CASES) > 50
    assert sum(read(path).base for path in CASES) > 30


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_case(server: Served, path: Path) -> None:
    target = Target("127.0.0.1", server.imap, "alice", "secret", user2="bob", password2="secret")
    outcome = run_case(path, target)
    assert not outcome.failures, "\n".join([path.name, *outcome.failures])
    wanted = {name.upper() for name in outcome.case.capabilities}
    if outcome.skipped:
        assert wanted & NOT_YET, f"{path.name} was skipped: {outcome.skipped}"
        pytest.skip(outcome.skipped)
    assert outcome.groups
