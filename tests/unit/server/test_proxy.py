"""PROXY protocol headers."""

import ipaddress
import struct

import pytest

from culverhouse.server.proxy import BadHeader, ProxyHeader, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + struct.pack(">H", len(body)) + body


PORTS = struct.pack(">HH", 5000, 143)
IPV4 = ipaddress.ip_address("192.0.2.7").packed + ipaddress.ip_address("10.0.0.1").packed + PORTS
IPV6 = ipaddress.ip_address("2001:db8::7").packed + ipaddress.ip_address("::1").packed + PORTS

GOOD = {
    b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 143\r\n": ("192.0.2.7", 5000),
    b"PROXY TCP6 2001:db8::7 ::1 5000 143\r\n": ("2001:db8::7", 5000),
    b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5000 143\r\n": ("192.0.2.7", 5000),
    b"PROXY UNKNOWN\r\n": ("", 0),
    b"PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\n": ("", 0),
    v2(0x21, 0x11, IPV4): ("192.0.2.7", 5000),
    v2(0x21, 0x11, IPV4 + b"\x04\x00\x01x"): ("192.0.2.7", 5000),
    v2(0x21, 0x21, IPV6): ("2001:db8::7", 5000),
    v2(0x20, 0x00, b""): ("", 0),
    v2(0x21, 0x00, b""): ("", 0),
}


@pytest.mark.parametrize(("header", "expected"), GOOD.items())
def test_good_headers_in_any_pieces(header: bytes, expected: tuple[str, int]) -> None:
    for end in range(len(header)):
        assert parse(header[:end]) is None
    assert parse(header + b"a LOGIN") == ProxyHeader(len(header), *expected)


@pytest.mark.parametrize("data", [
    b"a LOGIN x y\r\n",
    b"\r\n\r\n\0\r\nQUIX",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 5000\r\n",
    b"PROXY TCP4 2001:db8::7 ::1 5000 143\r\n",
    b"PROXY TCP4 192.0.2.300 10.0.0.1 5000 143\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 143\r\n",
    b"PROXY TCP4  192.0.2.7 10.0.0.1 5000 143\r\n",
    b"PROXY UDP4 192.0.2.7 10.0.0.1 5000 143\r\n",
    b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 143\n\r\n",
    b"PROXY " + b"x" * 102,
    v2(0x31, 0x11, IPV4),
    v2(0x22, 0x11, IPV4),
    v2(0x21, 0x12, IPV4),
    v2(0x21, 0x11, IPV4[:-1]),
    v2(0x21, 0x21, IPV4),
    v2(0x21, 0x11, b"x" * 5000),
])
def test_everything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeader):
        parse(data)
