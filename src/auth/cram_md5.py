"""The stored form of {CRAM-MD5}: HMAC-MD5's two inner states after the key's block (RFC 2195, RFC 2104 4).

`hashlib` does not show a state, so MD5's compression of one block (RFC 1321 3.4) is written out here. It serves to
check passwords against files that hold such hashes; the CRAM-MD5 mechanism itself is not offered.
"""

import hashlib
import math
import struct

_SINES = tuple(int(abs(math.sin(step + 1)) * 2**32) for step in range(64))
_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))
_START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_MASK = 0xFFFFFFFF


def _state(block: bytes) -> bytes:
    """MD5's state after one block of 64 octets, little-endian."""
    words = struct.unpack("<16I", block)
    a, b, c, d = _START
    for step in range(64):
        turn = step >> 4
        if turn == 0:
            mixed, word = (b & c) | (~b & d), step
        elif turn == 1:
            mixed, word = (d & b) | (~d & c), (5 * step + 1) & 15
        elif turn == 2:
            mixed, word = b ^ c ^ d, (3 * step + 5) & 15
        else:
            mixed, word = c ^ (b | (~d & _MASK)), (7 * step) & 15
        total = (a + mixed + _SINES[step] + words[word]) & _MASK
        shift = _SHIFTS[turn][step & 3]
        a, d, c, b = d, c, b, (b + ((total << shift) | (total >> (32 - shift)))) & _MASK
    added = zip(_START, (a, b, c, d), strict=True)
    return struct.pack("<4I", *((before + after) & _MASK for before, after in added))


def contexts(password: bytes) -> bytes:
    """The 32 octets that are stored for a password: outer state, then inner state."""
    key = hashlib.md5(password, usedforsecurity=False).digest() if len(password) > 64 else password
    key = key.ljust(64, b"\0")
    return _state(bytes(octet ^ 0x5C for octet in key)) + _state(bytes(octet ^ 0x36 for octet in key))
