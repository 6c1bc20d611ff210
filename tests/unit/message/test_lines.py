"""Line ends: whole, counted and streamed agree."""

import pytest

from culverhouse.message.lines import CrlfCounter, CrlfStream, normalise

CASES = [
    (b"", b""),
    (b"\n", b"\r\n"),
    (b"\r\n", b"\r\n"),
    (b"\r", b"\r"),
    (b"a\nb", b"a\r\nb"),
    (b"a\r\nb\n", b"a\r\nb\r\n"),
    (b"a\rb\n", b"a\rb\r\n"),
    (b"\r\r\n\n", b"\r\r\n\r\n"),
    (b"\n\r", b"\r\n\r"),
    (b"\n\r\n\n", b"\r\n\r\n\r\n"),
    (b"no line end", b"no line end"),
]


@pytest.mark.parametrize(("data", "wanted"), CASES)
def test_bare_line_feeds_become_crlf(data: bytes, wanted: bytes) -> None:
    assert normalise(data) == wanted
    assert normalise(wanted) == wanted


def test_a_message_that_has_crlf_is_not_copied() -> None:
    data = b"Subject: x\r\n\r\nbody\r\n" * 3
    assert normalise(data) is data


@pytest.mark.parametrize(("data", "wanted"), CASES)
def test_counter_and_stream_agree_however_the_message_is_cut(data: bytes, wanted: bytes) -> None:
    for cut in range(len(data) + 1):
        counter, stream = CrlfCounter(), CrlfStream()
        converted = b""
        for chunk in (data[:cut], b"", data[cut:]):
            counter.feed(chunk)
            converted += stream.feed(chunk)
        assert converted == wanted
        assert counter.size == len(wanted)


def test_octet_by_octet() -> None:
    data = b"a\r\n\n\r\r\nb\n"
    counter, stream = CrlfCounter(), CrlfStream()
    for octet in data:
        counter.feed(bytes([octet]))
    assert counter.size == len(normalise(data))
    assert b"".join(stream.feed(bytes([octet])) for octet in data) == normalise(data)
