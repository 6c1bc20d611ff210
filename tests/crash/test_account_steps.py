"""SIGKILL, ENOSPC and EIO at every step of every operation that makes something durable."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .cases import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_is_lost_and_nothing_is_half_visible(operation: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.cases", operation, str(tmp_path / "crash")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(cases) >= 3, done.stdout
    bad = [case for case in cases if case["wrong"]]
    assert not bad, "\n".join(json.dumps(case) for case in bad[:10]) + done.stderr[-2000:]
