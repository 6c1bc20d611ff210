"""A minute of stress: ten sessions, four workers, another program, and the index deleted every ten seconds."""

from pathlib import Path

from .run import stress


def test_ten_sessions_agree_while_everything_happens(tmp_path: Path) -> None:
    tally = stress(tmp_path, 60)
    assert tally.errors == []
    assert tally.unreadable <= 5
    assert tally.checkpoints >= 5
    assert tally.commands > 1000
    assert tally.delivered > 20
    assert tally.wipes >= 4
