"""SIGKILL, ENOSPC and EIO at every step of every operation of a bare store."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .store_cases import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]
BY_LAYOUT = ("create", "delete", "rename")
"""Operations that each layout does in its own way."""


@pytest.fixture
def quick_disk() -> Iterator[Path]:
    """A place where a few thousand fsyncs cost nothing; the order of the steps is what is tested."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    place = Path(tempfile.mkdtemp(dir=memory))
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize(
    ("operation", "layout"),
    [(operation, "maildir++") for operation in OPERATIONS] + [(operation, "fs") for operation in BY_LAYOUT],
)
def test_a_broken_operation_is_seen_wholly_or_not_at_all(operation: str, layout: str, quick_disk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.store_cases", operation, layout, str(quick_disk / "crash")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert {case["outcome"] for case in cases} >= {"acknowledged", "killed"}, done.stdout[-3000:]
    bad = [case for case in cases if case["wrong"]]
    assert not bad, "\n".join(json.dumps(case) for case in bad[:10]) + done.stderr[-2000:]
