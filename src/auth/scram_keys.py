"""What a server keeps of a password for SCRAM (RFC 5802 3): never the password, only what proofs are checked with.

Stored as Dovecot writes it: `iterations,salt,StoredKey,ServerKey`, the last three in base64.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from .saslprep import saslprep

MAX_ITERATIONS = 10_000_000
ITERATIONS = 4096
"""RFC 7677 4 asks for this at least."""


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """A SCRAM verifier; `digest` is hashlib's name of the hash."""

    digest: str
    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"ScramKeys({self.digest!r}, …)"

    def text(self) -> str:
        """The stored form."""
        parts = (base64.b64encode(part).decode() for part in (self.salt, self.stored_key, self.server_key))
        return ",".join((str(self.iterations), *parts))


def prepared(password: bytes) -> bytes:
    """The password by SASLprep; as it is, when the profile does not take it (older files were made without it)."""
    try:
        return saslprep(password.decode()).encode()
    except ValueError:
        return password


def derive(digest: str, password: bytes, salt: bytes, iterations: int) -> ScramKeys:
    """RFC 5802 3: the keys for a password."""
    salted = hashlib.pbkdf2_hmac(digest, prepared(password), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return ScramKeys(
        digest,
        iterations,
        salt,
        hashlib.new(digest, client_key).digest(),
        hmac.digest(salted, b"Server Key", digest),
    )


def parse(digest: str, text: str) -> ScramKeys:
    """The keys from their stored form; ValueError when it is none."""
    parts = text.split(",")
    if len(parts) != 4 or not (parts[0].isascii() and parts[0].isdigit()) or len(parts[0]) > 8:
        raise ValueError("expected iterations,salt,StoredKey,ServerKey")
    iterations = int(parts[0])
    try:
        salt, stored_key, server_key = (base64.b64decode(part, validate=True) for part in parts[1:])
    except binascii.Error:
        raise ValueError("a key is not base64") from None
    size = hashlib.new(digest).digest_size
    if not 1 <= iterations <= MAX_ITERATIONS or not salt or len(stored_key) != size or len(server_key) != size:
        raise ValueError("a key or the number of iterations is out of range")
    return ScramKeys(digest, iterations, salt, stored_key, server_key)
