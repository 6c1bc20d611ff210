"""The POP3 transcripts, each played with lines in one piece and byte by byte."""

from pathlib import Path

import pytest

from tests.golden.pop3_driver import Player

TRANSCRIPTS = sorted((Path(__file__).parent / "pop3").glob("*.txt"))


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 15


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, bytewise: bool) -> None:
    Player(path, bytewise=bytewise).play()
