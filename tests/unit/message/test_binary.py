"""Binary messages in the form in which they are stored."""

from culverhouse.message import parts, section
from culverhouse.message.binary import storable


def binary(data: bytes, *path: int) -> bytes | None:
    return section.binary(data, parts.parse(data), path)


def test_a_binary_message_becomes_base64_and_reads_back() -> None:
    content = b"\0-\xe4\n\r\n\n"
    data = (
        b"From: user@domain.org\r\nMime-Version: 1.0\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: binary\r\n\r\n" + content
    )
    stored = storable(data)
    assert b"\0" not in stored
    assert parts.parse(stored).encoding == b"base64"
    assert stored.count(b"ncoding:") == 1
    assert b"From: user@domain.org\r\n" in stored
    assert binary(stored, 1) == content


def test_only_what_is_binary_changes() -> None:
    first = b"--x\r\nContent-Type: text/plain\r\n\r\nbare\nline feed\r\n"
    third = b"--x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--x--\r\n"
    head = b"Content-Type: multipart/mixed; boundary=x\r\n"
    data = (
        head + b"Content-Transfer-Encoding: binary\r\n\r\n" + first
        + b"--x\r\nX: y\r\n\r\na\0b\r\n" + third
    )  # fmt: skip
    stored = storable(data)
    assert stored == (
        b"Content-Transfer-Encoding: 8bit\r\n" + head + b"\r\n" + first
        + b"--x\r\nContent-Transfer-Encoding: base64\r\nX: y\r\n\r\nYQBi\r\n\r\n" + third
    )  # fmt: skip
    assert binary(stored, 2) == b"a\0b"
    assert storable(stored) == stored


def test_a_part_without_header() -> None:
    data = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n\0\r\n--x--\r\n"
    assert binary(storable(data), 1) == b"\0"
    assert binary(storable(b"\r\n\0"), 1) == b"\0"


def test_inside_an_embedded_message() -> None:
    data = b"Content-Type: message/rfc822\r\n\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\0"
    stored = storable(data)
    assert b"\0" not in stored
    assert binary(stored, 1, 1) == b"\0\0"
