"""Raw logs hold what was said, and no password."""

from pathlib import Path

import pytest

from culverhouse.server.rawlog import RawLog


def logged(tmp_path: Path, *said: tuple[str, bytes]) -> str:
    log = RawLog(str(tmp_path), "bob/../x", "c1")
    for side, data in said:
        (log.client if side == "C" else log.server)(data)
    log.close()
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    return "\n".join(line.split(" ", 1)[1] for line in path.read_text().splitlines())


def test_lines_of_both_sides_in_order(tmp_path: Path) -> None:
    text = logged(tmp_path, ("C", b"a NO"), ("C", b"OP\r\nb "), ("S", b"a OK\r\n"), ("C", b"IDLE\r\n"), ("S", b"+ idl"))
    assert text == "C: a NOOP\nS: a OK\nC: b IDLE\nS: + idl"


@pytest.mark.parametrize("said", [
    [b"a LOGIN bob geheim\r\n"],
    [b"a login bob {6}\r\n", b"geheim\r\n"],
    [b"a LOGIN bob {6+}\r\ngehe", b"im\r\n"],
    [b"a AUTHENTICATE PLAIN geheim\r\n"],
    [b"a AUTHENTICATE PLAIN\r\n", b"geheim\r\n"],
    [b"PASS geheim\r\n"],
    [b"AUTH PLAIN\r\n", b"geheim\r\n"],
    [b"a LOG", b"IN bob geh", b"eim\r\n"],
    [b"x " * 40_000 + b"\r\na LOGIN bob geheim\r\n"],
])
def test_credentials_are_left_out_until_the_server_has_answered(tmp_path: Path, said: list[bytes]) -> None:
    text = logged(tmp_path, *(("C", data) for data in said), ("S", b"a BAD no\r\n"), ("S", b"-ERR no\r\n"),
                  ("C", b"b NOOP\r\n"))
    assert "geheim" not in text
    assert text.endswith("C: b NOOP")
