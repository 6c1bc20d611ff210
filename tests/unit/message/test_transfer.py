"""Content-Transfer-Encodings, also where they are broken."""

import base64
import binascii

import pytest

from culverhouse.message import transfer


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"aGVsbG8=", b"hello"),
        (b"aGVs\r\nbG8=\r\n", b"hello"),
        (b" a G\tV s*b-G8= ", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVsb", b"hel"),
        (b"=", b""),
        (b"====", b""),
        (b"\x80\xff", b""),
        # two encoded pieces, one behind the other
        (b"aGVsbG8=\r\naGVsbG8=\r\n", b"hellohello"),
        (b"YQ==YQ==", b"aa"),
        (b"YQ==YQ", b"aa"),
        # a mailing list's footer
        (b"aGVsbG8=\r\n_____\r\nlist mailing list, see http://example.org/\r\n", b"hello"),
    ],
)
def test_base64(data: bytes, wanted: bytes) -> None:
    assert transfer.base64(data) == wanted


def test_base64_with_more_seams_than_anyone_needs() -> None:
    assert transfer.base64(b"YQ==" * 20_000)[:10_000] == b"a" * 10_000


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"a=3Db", b"a=b"),
        (b"a=3db", b"a=b"),
        (b"soft=\r\nbreak", b"softbreak"),
        (b"soft= \t\r\nbreak", b"softbreak"),
        (b"trailing \t\r\nline  ", b"trailing\r\nline"),
        (b"kept=20\r\n", b"kept \r\n"),
        (b"bad=XYescape=", b"bad=XYescape"),
        (b"==41", b"=41"),
        (b"=\xff", b"=\xff"),
        (b"under_score", b"under_score"),
        (b"\r\n\r\n", b"\r\n\r\n"),
    ],
)
def test_quoted_printable(data: bytes, wanted: bytes) -> None:
    assert transfer.quoted_printable(data) == wanted


def test_long_bodies_are_decoded_in_pieces_without_a_seam() -> None:
    line = b"J=C3=B6rg =\r\nand some words  \r\n"
    assert transfer.quoted_printable(line * 9000) == "J\u00f6rg and some words\r\n".encode() * 9000
    assert transfer.quoted_printable(b"x" * 200_000) == b"x" * 200_000
    plain = bytes(range(256)) * 900
    assert transfer.base64(base64.encodebytes(plain)) == plain
    assert transfer.quoted_printable(binascii.b2a_qp(plain, quotetabs=True)) == plain


def test_uuencode() -> None:
    plain = bytes(range(100))
    lines = b"".join(binascii.b2a_uu(plain[at : at + 45]) for at in range(0, 100, 45))
    body = b"some text\r\nbegin 644 file.bin\r\n" + lines.replace(b"\n", b"\r\n") + b"`\r\nend\r\nmore\r\n"
    assert transfer.decode(body, b"x-uuencode") == plain
    assert transfer.decode(body.rstrip(b"end\r\nmore`"), b"uuencode") == plain
    assert transfer.decode(b"no file in it", b"x-uue") == b"no file in it"
    assert transfer.decode(b"begin 644 x\r\n", b"x-uue") == b""
    assert transfer.decode(b"begin 644 x\r\n#\xff\xff\xff\xff\r\n", b"x-uue") == b""


def test_which_encodings_are_known() -> None:
    for name in (b"", b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable", b"x-uuencode"):
        assert transfer.known(name)
    assert not transfer.known(b"x-unknown")
    assert transfer.decode(b"kept", b"x-unknown") == b"kept"
