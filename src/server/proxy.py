"""The PROXY protocol, versions 1 and 2: who the client behind a load balancer is.

Strict, because whoever may say this decides which address the limits, penalties and logs see: a header is taken only
from trusted networks (the caller's business), must come first and whole, and anything that is not exactly a header
is an error. Additional fields (TLVs) of version 2 are skipped. Nothing is read beyond the header.
"""

import ipaddress
import re
from dataclasses import dataclass

_V1_LONGEST = 107
_V1 = re.compile(
    rb"PROXY (?:(TCP4|TCP6) ([0-9A-Fa-f.:]{2,45}) ([0-9A-Fa-f.:]{2,45}) (\d{1,5}) (\d{1,5})|UNKNOWN[^\r\n]*)\r\n"
)
_V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V2_LONGEST = 16 + 4096


class BadHeader(Exception):
    """Not a PROXY header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """A complete header."""

    size: int
    """Its octets; the client's own bytes follow."""
    address: str = ""
    """The client's IP address; "" when the proxy speaks for itself (health checks)."""
    port: int = 0


def parse(data: bytes) -> ProxyHeader | None:
    """The header at the start of `data`, None while it may still become one. Raises BadHeader."""
    if data.startswith(_V2_SIGNATURE):
        return _version2(data)
    if data.startswith(b"PROXY "):
        return _version1(data)
    if _V2_SIGNATURE.startswith(data) or b"PROXY ".startswith(data):
        return None
    raise BadHeader("the connection does not begin with one")


def _version1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST:
            raise BadHeader("version 1: too long")
        return None
    match = _V1.fullmatch(data, 0, end + 2)
    if match is None:
        raise BadHeader("version 1: malformed")
    family, source, destination, port, other = match.groups()
    if family is None:
        return ProxyHeader(end + 2)
    try:
        kind = ipaddress.IPv4Address if family == b"TCP4" else ipaddress.IPv6Address
        address = kind(source.decode())
        kind(destination.decode())
    except ValueError:
        raise BadHeader("version 1: not an address") from None
    if int(port) > 65535 or int(other) > 65535:
        raise BadHeader("version 1: not a port")
    return ProxyHeader(end + 2, normal(address), int(port))


def _version2(data: bytes) -> ProxyHeader | None:
    if len(data) < 16:
        return None
    command, family = data[12], data[13]
    if command >> 4 != 2 or command & 15 > 1:
        raise BadHeader("version 2: unknown version or command")
    size = 16 + int.from_bytes(data[14:16], "big")
    if size > _V2_LONGEST:
        raise BadHeader("version 2: too long")
    if len(data) < size:
        return None
    if command & 15 == 0:  # LOCAL
        return ProxyHeader(size)
    # Address families and transports of section 2.2; only streams make sense here.
    if family == 0x11:
        if size < 16 + 12:
            raise BadHeader("version 2: too short for IPv4")
        return ProxyHeader(size, normal(ipaddress.IPv4Address(data[16:20])), int.from_bytes(data[24:26], "big"))
    if family == 0x21:
        if size < 16 + 36:
            raise BadHeader("version 2: too short for IPv6")
        return ProxyHeader(size, normal(ipaddress.IPv6Address(data[16:32])), int.from_bytes(data[48:50], "big"))
    if family in (0x00, 0x31):
        return ProxyHeader(size)
    raise BadHeader("version 2: not a stream")


def normal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An address as logs and limits know it: IPv4 in IPv6's clothes is IPv4."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
