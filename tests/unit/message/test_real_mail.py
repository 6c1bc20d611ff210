"""Mail that people really sent in 1996, and the messages with which Python tests its own parser.

The first lies beside the repository, in ../shared/mail; the second comes with Python where its tests are installed.
Missing ones are skipped, but the first fails where CULVERHOUSE_CI is set.
"""

import os
import re
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from culverhouse.message import headers, parts, section, text
from culverhouse.message.bodystructure import bodystructure
from culverhouse.message.envelope import envelope
from culverhouse.message.lines import normalise
from culverhouse.message.section import Section

REAL = Path(__file__).resolve().parents[3].parent / "shared" / "mail" / "real-1996.mbox"
PYTHONS = Path(sysconfig.get_path("stdlib")) / "test" / "test_email" / "data"


def split(mbox: bytes) -> list[bytes]:
    """The messages between the From_ lines; inside of messages such lines are quoted, and Content-Length is wrong."""
    return re.split(rb"^From - [^\n]*\n", mbox, flags=re.M)[1:]


@pytest.fixture(scope="module")
def real() -> list[bytes]:
    if not REAL.is_file():
        if os.environ.get("CULVERHOUSE_CI") == "1":
            pytest.fail(f"no real mail at {REAL}")
        pytest.skip(f"no real mail at {REAL}")
    return [normalise(message) for message in split(REAL.read_bytes())]


def check(data: bytes) -> parts.Part:
    """What holds for any message; returns its tree."""
    root = parts.parse(data)
    header = data[: root.body_start]
    assert data == header + (section.extract(data, root, Section(kind="TEXT")) or b"")
    shown = envelope(header)
    assert shown.startswith(b"(")
    assert shown.endswith(b")")
    assert bodystructure(root, data).count(b'"multipart"') == 0
    for part in root.walk():
        assert part.header_start <= part.body_start <= part.body_end <= len(data)
    for found in text.texts(data, root):
        found.encode("utf-8")
    assert headers.field_block(header, frozenset(), exclude=True) in header
    return root


def test_mail_of_1996(real: list[bytes]) -> None:
    roots = [check(data) for data in real]
    kinds = Counter(b"/".join(part.content_type) for root in roots for part in root.walk())
    assert len(real) == 29
    assert kinds == {
        b"text/plain": 23, b"message/rfc822": 15, b"image/gif": 13, b"application/x-pkcs7-mime": 11,
        b"multipart/mixed": 10, b"application/x-pkcs7-signature": 9, b"multipart/signed": 8, b"text/html": 6,
        b"multipart/related": 3, b"multipart/alternative": 1, b"image/tiff": 1, b"text/richtext": 1, b"image/jpeg": 1,
        b"multipart/report": 1, b"message/delivery-status": 1, b"application/vcard": 1,
    }  # fmt: skip
    for data, root in zip(real, roots, strict=True):
        assert not envelope(data[: root.body_start]).startswith(b"(NIL"), "each has a date"


def test_what_is_searched_in_it(real: list[bytes]) -> None:
    def holding(word: str) -> int:
        return sum(any(word in found for found in text.texts(data, parts.parse(data))) for data in real)

    assert holding("Netscape") == 9
    assert holding("no such word in it") == 0


def test_python_s_own_test_messages() -> None:
    if not PYTHONS.is_dir():
        pytest.skip(f"Python's tests are not installed at {PYTHONS}")
    messages = sorted(PYTHONS.glob("msg_*.txt"))
    assert len(messages) > 30
    for path in messages:
        check(normalise(path.read_bytes()))
