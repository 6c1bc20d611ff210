"""Helper processes: they answer, they die, they are bounded."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.server.test_processes import gone

ROOT = Path(__file__).resolve().parents[2]


def driven(size: int, tasks: list[Any], wait: float = 0.0, **options: Any) -> tuple[dict[Any, Any], str]:
    """Outcomes by number of the task, and `helpers` → (count, reports); and what was logged."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.server.pooling", repr(size), repr(tasks), repr(wait), repr(options)],
        capture_output=True, text=True, timeout=60, check=True, env=environment, cwd=ROOT,
    )
    outcomes = {}
    for line in ended.stdout.splitlines():
        number, value, error = ast.literal_eval(line)
        outcomes[number] = (value, error)
    return outcomes, ended.stderr


def test_jobs_are_answered_by_at_most_so_many_processes_that_know_their_setup() -> None:
    outcomes, _ = driven(2, [("echo", number) for number in range(12)])
    values = [outcomes[number][0] for number in range(12)]
    assert [value[0] for value in values] == list(range(12))
    assert {value[1] for value in values} == {"argument"}
    assert len({value[2] for value in values}) <= 2
    assert outcomes["helpers"][0] <= 2


def test_failures_travel_and_what_cannot_travel_becomes_text() -> None:
    outcomes, log = driven(1, [("fail", "no"), ("odd", "strange"), ("echo", 1)])
    assert outcomes[0] == (None, "MailError: cannot: no")
    assert outcomes[1][1].startswith("HelperFailed: ")
    assert "strange" in outcomes[1][1]
    assert outcomes[2][0][0] == 1
    assert log == ""


def test_a_job_that_kills_its_helper_is_tried_twice_and_others_go_on(tmp_path: Path) -> None:
    outcomes, log = driven(1, [("die", 0), ("die-once", str(tmp_path / "once")), ("echo", 1)])
    assert outcomes[0][1].startswith("MailError: unavailable")
    assert outcomes[1][0] == ("die-once", 5)
    assert outcomes[2][0][0] == 1
    assert log.count("helper-ended") == 3
    assert outcomes["crashed"] == ("/index", None)


def test_a_killed_helper_accuses_no_index() -> None:
    outcomes, _ = driven(1, [("die", 0)])
    assert "crashed" not in outcomes


def test_a_job_that_takes_too_long_is_ended_and_not_tried_again() -> None:
    began = time.monotonic()
    outcomes, log = driven(1, [("sleep", 60), ("echo", 1)], job_seconds=1.5)
    assert outcomes[0][1].startswith("MailError: unavailable")
    assert outcomes[1][0][0] == 1
    assert time.monotonic() - began < 30
    assert "took too long" in log


def test_a_helper_that_has_grown_is_replaced_and_one_cannot_grow_without_bound() -> None:
    outcomes, log = driven(1, [("echo", 1), ("grow", 300 * 2**20), ("echo", 2), ("grow", 2**31), ("echo", 3)])
    assert outcomes[1][0][0] == "grow"
    assert outcomes[2][0][2] != outcomes[0][0][2]
    assert outcomes[3][1].startswith("MemoryError")
    assert outcomes[4][0][0] == 3
    assert "died" not in log


def test_idle_helpers_end() -> None:
    outcomes, _ = driven(2, [("echo", 1), ("echo", 2)], wait=2.0, idle_seconds=0.4)
    assert outcomes["helpers"][0] == 0


def test_reports_come_back_with_the_answers() -> None:
    outcomes, _ = driven(1, [("note", 1), ("note", 2)])
    assert outcomes["helpers"][1] == ["note", "note"]


def test_helpers_do_not_outlive_a_killed_owner() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    tasks = [("echo", 1), ("sleep", 60)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.server.pooling", "1", repr(tasks), "0", "{}"],
        stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    ) as owner:
        assert owner.stdout is not None
        helper = ast.literal_eval(owner.stdout.readline())[1][2]
        owner.kill()
    end = time.monotonic() + 10
    while not gone(helper):
        assert time.monotonic() < end
        time.sleep(0.02)
