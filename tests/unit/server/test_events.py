"""Log lines: one each, whatever strangers put into them."""

import json
from typing import Any

import pytest

from culverhouse.model.secret import Secret
from culverhouse.server import events
from culverhouse.server.events import EVENTS, EventLog, plain

NASTY = "bob\r\n2026 info forged\x1b[2J\u202e\u2028\x00\"\\ \ud800"


def line(form: str, **fields: Any) -> bytes:
    lines: list[bytes] = []
    EventLog("worker-1", form, "debug", lines.append).emit(events.LOGIN, **fields)
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("form", ["plain", "json"])
def test_a_value_never_breaks_its_line(form: str) -> None:
    written = line(form, user=NASTY, connection=NASTY.encode("utf-8", "surrogatepass"))
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    text = written[:-1].decode()
    assert text.isprintable()
    assert "\u202e" not in text


def test_plain_lines_have_time_level_process_event_and_fields() -> None:
    stamp, level, process, name, *fields = line("plain", user="bob", tls="none", empty=None, n=3).decode().split()
    assert (stamp[10], stamp[-1], level, name) == ("T", "Z", "info", "login")
    assert process.startswith("worker-1[")
    assert fields == ["user=bob", "tls=none", "n=3"]


def test_json_lines_are_objects_with_the_same_fields() -> None:
    record = json.loads(line("json", user=NASTY, bytes_in=5))
    assert record["event"] == "login"
    assert record["bytes_in"] == 5
    assert record["user"] == NASTY


def test_fields_cannot_replace_the_lines_own() -> None:
    assert json.loads(line("json", event="forged"))["event"] == "login"


def test_secrets_do_not_print_and_long_values_are_cut() -> None:
    written = line("plain", password=Secret(b"hunter2"), text="x" * 10_000)
    assert b"hunter2" not in written
    assert len(written) < 1000


def test_levels_below_the_configured_one_are_not_written() -> None:
    lines: list[bytes] = []
    log = EventLog("x", "plain", "warning", lines.append)
    log.emit(events.LOGIN, user="bob")
    log.named("login", {"user": "bob"})
    assert not lines
    assert not log.wanted("login")
    log.emit(events.BUG)
    assert len(lines) == 1


def test_a_bug_is_one_line_with_its_traceback() -> None:
    lines: list[bytes] = []
    try:
        raise ValueError("what\nnow")
    except ValueError as error:
        EventLog("x", "plain", "info", lines.append).bug(error, connection="c1")
    assert len(lines) == 1
    assert b"test_events.py" in lines[0]
    assert lines[0].count(b"\n") == 1


@pytest.mark.parametrize(("text", "word"), [
    ("bob", "bob"), ("", '""'), ("a b", '"a b"'), ('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'), ("a=b", '"a=b"'),
    ("a\nb", '"a\\nb"'), ("\x07", '"\\x07"'), ("grüße", "grüße"),
])
def test_words_of_plain_lines(text: str, word: str) -> None:
    assert plain(text) == word


def test_every_event_has_a_meaning() -> None:
    assert all(event.meaning and name == event.name for name, event in EVENTS.items())


def test_every_event_of_the_engines_is_declared() -> None:
    import re
    from pathlib import Path

    import culverhouse.protocols

    sources = Path(culverhouse.protocols.__path__[0]).rglob("*.py")
    named = {name for path in sources for name in re.findall(r'\bLog\("([^"]+)"', path.read_text())}
    assert named
    assert named <= set(EVENTS)
