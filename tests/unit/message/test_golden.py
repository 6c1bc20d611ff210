"""Whole messages and everything that FETCH shows of them: tests/golden/mime/NNN.eml with its NNN.txt.

A .txt holds one block for each item: a line `== ITEM`, then the value. A value is NIL or its lines, each behind `|`
when a CRLF ends it and behind `>` when none does; octets that are no printable ASCII are written \\xNN, a backslash
as \\\\. BINARY of an encoding that nobody knows is UNKNOWN-CTE. To add a case, write both files by hand, from the RFCs.
"""

import re
from pathlib import Path

import pytest

from culverhouse.message import bodystructure, envelope, parts, section
from culverhouse.message.lines import normalise
from culverhouse.message.section import Section
from culverhouse.model.errors import MailError

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "mime"
ITEM = re.compile(r"(BODY|BINARY)\[([0-9.]*?)\.?([A-Z][A-Z.]*)?(?: \(([^)]*)\))?\]")


def shown(value: bytes | None) -> str:
    if value is None:
        return "NIL\n"
    *lines, rest = value.split(b"\r\n")
    text = "".join(f"|{written(line)}\n" for line in lines)
    return text + (f">{written(rest)}\n" if rest else "")


def written(line: bytes) -> str:
    return "".join(
        "\\\\" if octet == 0x5C else chr(octet) if 0x20 <= octet < 0x7F else f"\\x{octet:02x}" for octet in line
    )


def value_of(item: str, data: bytes) -> str:
    root = parts.parse(data)
    if item == "ENVELOPE":
        return shown(envelope.envelope(data[: root.body_start]))
    if item == "BODY":
        return shown(bodystructure.body(root, data))
    if item == "BODYSTRUCTURE":
        return shown(bodystructure.bodystructure(root, data))
    found = ITEM.fullmatch(item)
    assert found, item
    path = tuple(int(number) for number in found[2].split(".") if number)
    if found[1] == "BODY":
        names = tuple(name.lower().encode() for name in (found[4] or "").split())
        return shown(section.extract(data, root, Section(path, found[3] or "", names)))
    try:
        return shown(section.binary(data, root, path))
    except MailError:
        return "UNKNOWN-CTE\n"


def blocks(golden: str) -> list[tuple[str, str]]:
    first, *rest = re.split(r"^== (.*)\n", golden, flags=re.M)
    assert not first
    return list(zip(rest[::2], rest[1::2], strict=True))


NAMES = sorted(path.stem for path in FOLDER.glob("*.eml"))


@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str) -> None:
    data = normalise((FOLDER / f"{name}.eml").read_bytes())
    wanted = blocks((FOLDER / f"{name}.txt").read_text("ascii"))
    assert {"ENVELOPE", "BODY", "BODYSTRUCTURE"} <= {item for item, _ in wanted}
    for item, value in wanted:
        assert value_of(item, data) == value, item


def test_the_goldens_are_there() -> None:
    assert len(NAMES) >= 16
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(NAMES)
