"""Octets of large messages: any range of them is what the whole message would give."""

import io
import random

import pytest

from culverhouse.message.lines import normalise
from culverhouse.protocols.imap4 import octets
from culverhouse.protocols.imap4.octets import InMemory, Layout, OnDisk, Spilled, Torn, pieces, without_nul


def mixed(size: int, seed: int) -> bytes:
    """Octets with all kinds of line ends, also across the blocks' borders."""
    chosen = random.Random(seed)
    data = b"".join(chosen.choices((b"\n", b"\r\n", b"\r", b"ab", b"c\0", b"\r\r\n"), k=size // 2))
    border = octets.PIECE
    for position in range(border, len(data), border):
        data = data[: position - 1] + chosen.choice((b"\r\n", b"\n\n", b"\r\r", b"a\n")) + data[position + 1 :]
    return data


@pytest.mark.parametrize("seed", range(6))
def test_any_range_of_a_large_message(seed: int) -> None:
    data = mixed(400_000, seed)
    whole = normalise(data)
    file = io.BytesIO(data)
    made = OnDisk(file, Layout(file))
    assert made.size == len(whole)
    assert made.layout.file_size == len(data)
    chosen = random.Random(seed)
    for _ in range(60):
        start, end = sorted(chosen.randrange(made.size + 10) for _ in range(2))
        assert made.read(start, end) == whole[start:end]
    assert b"".join(pieces(made, 0, made.size, plain=False)) == whole


def test_a_message_with_crlf_is_read_as_it_lies() -> None:
    file = io.BytesIO(b"a: b\r\n\r\n" + b"line\r\n" * 100_000)
    layout = Layout(file)
    assert layout.clean
    assert OnDisk(file, layout).read(5, 12) == b"\n\r\nline"


def test_nothing_is_cut_short_or_padded() -> None:
    for ending in (b"\n", b"\r\n"):
        file = io.BytesIO((b"line" + ending) * 100_000)
        made = OnDisk(file, Layout(file))
        file.truncate(1000)
        with pytest.raises(Torn):
            made.read(0, made.size)


def test_no_nul_in_a_plain_literal_and_sizes_stay() -> None:
    assert without_nul(b"a\0b\0") == b"a\x80b\x80"
    assert b"".join(pieces(InMemory(b"\0" * 100_000), 0, 100_000, plain=True)) == b"\x80" * 100_000
    assert b"".join(pieces(InMemory(b"a\0"), 0, 2, plain=False)) == b"a\0"


def test_what_was_made_is_kept_in_a_file() -> None:
    made = Spilled(b"0123456789")
    assert made.read(2, 5) == b"234"
    assert made.read(8, 50) == b"89"
    assert made.read(50, 60) == b""
    made.close()
