"""`dovecot-uidlist`: whatever is in the file, what can be trusted of it survives, and what is written is read again."""

import os
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from culverhouse.mailstore.maildir import uidlist
from culverhouse.mailstore.maildir.uidlist import Origin, UidList
from culverhouse.mailstore.maildir.uidlist_text import MAX_UID, RECORD, Header, Row, parse, parse_header, render

GUID = "0123456789abcdef0123456789abcdef"
FRESH = 2_000_000_000

word = st.text("abcXYZ0189.-_=&", min_size=1, max_size=12).map(str.encode)
extensions = st.lists(
    st.tuples(st.sampled_from(b"SWPOGZ"), word | st.just(b"with:colon")).map(lambda pair: bytes([pair[0]]) + pair[1]),
    max_size=3,
).map(lambda words: b"".join(b" " + one for one in words))
rest = st.sampled_from([b"", b",S=12", b",S=12,W=13", b",U=7"])


@st.composite
def lists(draw: st.DrawFn) -> tuple[Header, list[Row]]:
    uids = sorted(draw(st.sets(st.integers(1, 1 << 31), max_size=12)))
    names = draw(st.lists(word, min_size=len(uids), max_size=len(uids), unique=True))
    rows = [(b"%d" % uid, draw(extensions), name, draw(rest)) for uid, name in zip(uids, names, strict=True)]
    header = Header(3, draw(st.integers(1, 0xFFFFFFFF)), draw(st.integers(1, 1 << 31)), GUID,
                    tuple(draw(st.lists(word.map(lambda one: b"X" + one), max_size=2))))  # fmt: skip
    return header, rows


def origin(present: set[bytes] | None = None, remembered: Header | None = None) -> tuple[Origin, list[str]]:
    reports: list[str] = []
    return Origin(
        lambda above: max(above + 1, FRESH), lambda: remembered, lambda: present or set(),
        lambda event, path, detail: reports.append(event),
    ), reports  # fmt: skip


@given(lists())
def test_what_is_written_is_read(content: tuple[Header, list[Row]]) -> None:
    header, rows = content
    found = parse(render(header, rows))
    assert (found.header, found.rows) == (header, rows)
    assert not found.problems
    assert not found.lost


@given(lists(), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_damage_costs_no_whole_line(content: tuple[Header, list[Row]], data: st.DataObject) -> None:
    header, rows = content
    lines = render(header, rows).splitlines(keepends=True)
    garbage = data.draw(st.lists(st.binary(max_size=40).map(lambda one: one.replace(b"\n", b"") + b"\n"), max_size=3))
    for line in garbage:
        if not RECORD.fullmatch(line[:-1]):
            lines.insert(data.draw(st.integers(1, len(lines))), line)
    order = [lines[0], *data.draw(st.permutations(lines[1:]))]
    found = parse(b"".join(order))
    assert found.rows == rows
    assert found.header == header


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    for text in (data, b"3 V5 N6 G%s\n" % GUID.encode() + data, b"1 5 6\n" + data):
        found = parse(text)
        uids = [int(row[0]) for row in found.rows]
        assert uids == sorted(set(uids))
        assert all(0 < uid <= MAX_UID for uid in uids)
        assert len({row[2] for row in found.rows}) == len(uids)
        again = parse(render(Header(3, 5, 6, GUID), found.rows))
        assert [row[:3] for row in again.rows] == [row[:3] for row in found.rows]
        assert not again.problems


@given(lists(), st.data())
def test_a_file_cut_off_anywhere_gives_no_uid_twice(content: tuple[Header, list[Row]], data: st.DataObject) -> None:
    header, rows = content
    text = render(header, rows)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    found = parse(cut)
    assert found.rows == rows[: len(found.rows)]
    assert found.problems or cut.endswith(b"\n")


@given(st.binary(max_size=80))
def test_a_header_is_whole_or_mended(line: bytes) -> None:
    header = parse_header(line)
    assert 0 <= header.uidvalidity <= 0xFFFFFFFF
    assert header.guid == "" or len(bytes.fromhex(header.guid)) == 16


def _directory(path: Path) -> bytes:
    number = len(list(path.iterdir()))
    directory = path / str(number)
    directory.mkdir()
    return os.fsencode(directory)


steps = st.lists(
    st.sampled_from(["append", "append-3", "foreign", "rewrite", "reload", "fresh", "damage", "torn"]), max_size=12
)


@given(lists(), steps)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_in_use_never_gives_a_uid_twice(
    tmp_path: Path, content: tuple[Header, list[Row]], work: list[str]
) -> None:
    """Appending, other programs' appending and rewriting, damage: UIDs that were given stay or go, and never return."""
    header, rows = content
    directory = _directory(tmp_path)
    file = os.path.join(directory, uidlist.NAME)
    Path(os.fsdecode(file)).write_bytes(render(header, rows))
    model = {row[2]: int(row[0]) for row in rows}
    given_out = set(model.values())
    reached = max([header.uidnext - 1, *given_out])
    source, _ = origin(set(model))
    uids = UidList(directory, 0o600, source)
    uids.load()

    def added(names: list[bytes], numbers: list[int]) -> None:
        nonlocal reached
        assert all(number > reached for number in numbers)
        assert numbers == sorted(set(numbers))
        model.update(zip(names, numbers, strict=True))
        given_out.update(numbers)
        reached = numbers[-1]

    actions: dict[str, Callable[[], None]] = {
        "reload": uids.load,
        "rewrite": lambda: uids.rewrite(lambda row: row),
    }
    for serial, step in enumerate(work):
        names = [b"new-%d-%d" % (serial, number) for number in range(3 if step == "append-3" else 1)]
        if step.startswith("append"):
            uids.load()
            added(names, uids.append(names))
        elif step == "foreign":
            with open(file, "ab") as other:
                other.write(b"%d G%s :%s,S=4\n" % (reached + 2, GUID.encode(), names[0]))
            added(names, [reached + 2])
        elif step == "fresh":
            uids = UidList(directory, 0o600, source)
            uids.load()
        elif step == "damage":
            with open(file, "ab") as other:
                other.write(b"garbage\n")
            uids.load()
            reached = uids.header.uidnext - 1
        elif step == "torn":
            with open(file, "ab") as other:
                other.write(b"%d :cut of" % (reached + 1))
            uids.load()
            reached = uids.header.uidnext - 1
        else:
            actions[step]()
        uids.load()
        assert uids.uid_map() == model
        assert uids.find([*model, b"unknown"]) == model
        assert uids.header.uidnext > reached or step == "foreign"
        assert uids.header.uidvalidity == header.uidvalidity
        assert uids.peek() == uids.header
