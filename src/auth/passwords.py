"""Stored passwords: checks them, makes new ones. The only importer of passlib (the distribution `libpass`).

A stored password is Dovecot's `{SCHEME}data` or `{SCHEME.encoding}data`; without a scheme it is what crypt(3) makes,
told by its own prefix. Rules that keep it right:

- A scheme is never guessed from the look of its data, except crypt's prefixes, which are made for that.
- Every comparison takes the same time wherever the difference lies.
- What cannot be verified (an unknown scheme, damaged data) raises BadHash, whose text is for the log; it never
  counts as a match and never as a reason to try something else.
- A password has 1 to 1024 octets and no NUL: crypt(3) would stop there, and a short prefix must not be enough.
"""

import base64
import binascii
import ctypes
import ctypes.util
import functools
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from passlib import hash as handlers

from . import scram_keys
from .cram_md5 import contexts
from .scram_keys import ScramKeys

MAX_PASSWORD = 1024
NEW_SCHEMES = ("ARGON2ID", "SCRAM-SHA-256", "SHA512-CRYPT", "BLF-CRYPT", "PBKDF2", "PLAIN")
"""What `hash_new` makes; the first is the default."""


class BadHash(ValueError):
    """A stored password that cannot be verified; the text names the scheme, never the data."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored password taken apart. `encoding` is `hex`, `b64` or "" (by the length)."""

    scheme: str
    encoding: str
    data: str


_PREFIX = re.compile(r"\{([A-Za-z0-9-]{1,32})(?:\.(hex|b64|base64))?\}", re.IGNORECASE)


def split(stored: str, default: str = "CRYPT") -> Stored:
    """The scheme in capitals, and the rest."""
    found = _PREFIX.match(stored)
    if found is None:
        return Stored(default.upper(), "", stored)
    encoding = "hex" if (found[2] or "").lower() == "hex" else "b64" if found[2] else ""
    return Stored(found[1].upper(), encoding, stored[found.end() :])


def _octets(stored: Stored, size: int = 0) -> bytes:
    """The data decoded. Where the size is known, twice as many characters are hexadecimal digits."""
    try:
        if stored.encoding == "hex" or (not stored.encoding and size and len(stored.data) == 2 * size):
            return bytes.fromhex(stored.data)
        return base64.b64decode(stored.data, validate=True)
    except (ValueError, binascii.Error):
        raise BadHash(f"{stored.scheme}: the data is neither hexadecimal nor base64") from None


Check = Callable[[bytes, Stored, str], bool]
"""Password, stored password, user name (only DIGEST-MD5 needs it)."""


def _plain(password: bytes, stored: Stored, user: str) -> bool:
    return hmac.compare_digest(password, _octets(stored) if stored.encoding else stored.data.encode())


def _digest(name: str, password: bytes) -> bytes:
    return hashlib.new(name, password, usedforsecurity=False).digest()


def _unsalted(name: str) -> Check:
    def check(password: bytes, stored: Stored, user: str) -> bool:
        digest = _digest(name, password)
        return hmac.compare_digest(digest, _octets(stored, len(digest)))

    return check


def _salted(name: str) -> Check:
    def check(password: bytes, stored: Stored, user: str) -> bool:
        data = _octets(stored)
        size = hashlib.new(name, usedforsecurity=False).digest_size
        if len(data) < size:
            raise BadHash(f"{stored.scheme}: the data is too short")
        return hmac.compare_digest(_digest(name, password + data[size:]), data[:size])

    return check


def _plain_md4(password: bytes, stored: Stored, user: str) -> bool:
    return bool(handlers.hex_md4.verify(password, _octets(stored, 16).hex()))


def _cram_md5(password: bytes, stored: Stored, user: str) -> bool:
    return hmac.compare_digest(contexts(password), _octets(stored, 32))


def _digest_md5(password: bytes, stored: Stored, user: str) -> bool:
    local, _, realm = user.partition("@")
    text = b":".join((local.encode(), realm.encode(), password))
    return hmac.compare_digest(_digest("md5", text), _octets(stored, 16))


def _md5(password: bytes, stored: Stored, user: str) -> bool:
    """{MD5} is md5-crypt in Dovecot's files and an unsalted digest in those of LDAP."""
    check = _crypt if stored.data.startswith("$1$") else _unsalted("md5")
    return check(password, stored, user)


def _pbkdf2(password: bytes, stored: Stored, user: str) -> bool:
    """`$1$salt$rounds$hex`, with SHA-1 and the salt's characters as they are."""
    parts = stored.data.split("$")
    if len(parts) != 5 or parts[:2] != ["", "1"] or not re.fullmatch(r"[0-9]{1,8}", parts[3], re.ASCII):
        raise BadHash("PBKDF2: the data is damaged")
    found = _octets(Stored(stored.scheme, "hex", parts[4]))
    rounds = int(parts[3])
    if not rounds or len(found) != 20:
        raise BadHash("PBKDF2: the data is damaged")
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha1", password, parts[2].encode(), rounds), found)


def _scram(name: str) -> Check:
    def check(password: bytes, stored: Stored, user: str) -> bool:
        try:
            keys = scram_keys.parse(name, stored.data)
        except ValueError as error:
            raise BadHash(f"{stored.scheme}: {error}") from None
        derived = scram_keys.derive(name, password, keys.salt, keys.iterations)
        return hmac.compare_digest(derived.stored_key, keys.stored_key)

    return check


def _handled(handler: Any) -> Check:
    def check(password: bytes, stored: Stored, user: str) -> bool:
        if handler is handlers.bcrypt:
            password = password[:72]  # as crypt(3) does; the bcrypt package refuses more
        try:
            return bool(handler.verify(password, stored.data))
        except UnicodeDecodeError:
            return False  # the scheme computes from characters, and these octets are none
        except (ValueError, TypeError) as error:
            raise BadHash(f"{stored.scheme}: {type(error).__name__}") from None

    return check


_CRYPT: tuple[tuple[str, Check], ...] = (
    ("$2", _handled(handlers.bcrypt)),
    ("$6$", _handled(handlers.sha512_crypt)),
    ("$5$", _handled(handlers.sha256_crypt)),
    ("$1$", _handled(handlers.md5_crypt)),
    ("$argon2", _handled(handlers.argon2)),
    ("$apr1$", _handled(handlers.apr_md5_crypt)),
    ("$bcrypt-sha256$", _handled(handlers.bcrypt_sha256)),
    ("$pbkdf2$", _handled(handlers.pbkdf2_sha1)),
    ("$pbkdf2-sha256$", _handled(handlers.pbkdf2_sha256)),
    ("$pbkdf2-sha512$", _handled(handlers.pbkdf2_sha512)),
    ("$scrypt$", _handled(handlers.scrypt)),
    ("$sha1$", _handled(handlers.sha1_crypt)),
    ("$md5", _handled(handlers.sun_md5_crypt)),
    ("$P$", _handled(handlers.phpass)),
    ("$H$", _handled(handlers.phpass)),
    ("$3$", _handled(handlers.bsd_nthash)),
    ("_", _handled(handlers.bsdi_crypt)),
)


@functools.cache
def _libcrypt() -> Any:
    """The C library's crypt(3), for what passlib does not know: yescrypt, today's default in /etc/shadow."""
    name = ctypes.util.find_library("crypt")
    if name is None:
        raise BadHash("CRYPT: this scheme needs libcrypt, which is not installed")
    function = ctypes.PyDLL(name).crypt  # its buffer is static: PyDLL keeps other threads out
    function.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
    function.restype = ctypes.c_char_p
    return function


def _by_libcrypt(password: bytes, stored: Stored, user: str) -> bool:
    data = stored.data.encode()
    made = _libcrypt()(password, data)
    if made is None or made.startswith(b"*"):
        raise BadHash(f"{stored.scheme}: crypt(3) does not know the data")
    return hmac.compare_digest(bytes(made), data)


def _crypt(password: bytes, stored: Stored, user: str) -> bool:
    """What crypt(3) makes, told by its prefix; `!…` and `*…` are locked passwords and match nothing."""
    data = stored.data
    for prefix, check in _CRYPT:
        if data.startswith(prefix):
            return check(password, stored, user)
    if data.startswith(("$y$", "$gy$", "$7$")):
        return _by_libcrypt(password, stored, user)
    if re.fullmatch(r"[./0-9A-Za-z]{13}", data, re.ASCII):
        return _handled(handlers.des_crypt)(password, stored, user)
    if data.startswith(("!", "*")):
        raise BadHash("the password is locked")
    raise BadHash(f"{stored.scheme}: the data is not of a known kind")


_FAST: dict[str, Check] = {
    "PLAIN": _plain,
    "CLEAR": _plain,
    "CLEARTEXT": _plain,
    "PLAIN-MD4": _plain_md4,
    "PLAIN-MD5": _unsalted("md5"),
    "LDAP-MD5": _unsalted("md5"),
    "SHA": _unsalted("sha1"),
    "SHA1": _unsalted("sha1"),
    "SHA256": _unsalted("sha256"),
    "SHA512": _unsalted("sha512"),
    "SMD5": _salted("md5"),
    "SSHA": _salted("sha1"),
    "SSHA256": _salted("sha256"),
    "SSHA512": _salted("sha512"),
    "CRAM-MD5": _cram_md5,
    "HMAC-MD5": _cram_md5,
    "DIGEST-MD5": _digest_md5,
    "NTLM": _handled(handlers.nthash),
    "LANMAN": _handled(handlers.lmhash),
}
_SLOW: dict[str, Check] = {
    "CRYPT": _crypt,
    "MD5": _md5,
    "MD5-CRYPT": _crypt,
    "DES-CRYPT": _crypt,
    "SHA256-CRYPT": _crypt,
    "SHA512-CRYPT": _crypt,
    "BLF-CRYPT": _crypt,
    "ARGON2I": _crypt,
    "ARGON2ID": _crypt,
    "PBKDF2": _pbkdf2,
    "SCRAM-SHA-1": _scram("sha1"),
    "SCRAM-SHA-256": _scram("sha256"),
}
SCHEMES = frozenset(_FAST) | frozenset(_SLOW)


def verify(stored: str, password: bytes, default: str = "CRYPT", user: str = "") -> bool:
    """Whether the password is the stored one; BadHash when that cannot be known."""
    if not 1 <= len(password) <= MAX_PASSWORD or b"\0" in password:
        return False
    parts = split(stored, default)
    check = _FAST.get(parts.scheme) or _SLOW.get(parts.scheme)
    if check is None:
        raise BadHash(f"the scheme {parts.scheme} is not known")
    if not parts.data:
        raise BadHash("the stored password is empty")
    return check(password, parts, user)


def needs_cpu(stored: str, default: str = "CRYPT") -> bool:
    """Whether a check takes long enough (0.5 ms and more) to be made in a helper process."""
    return split(stored, default).scheme in _SLOW


def hash_new(password: bytes, scheme: str = "ARGON2ID") -> str:
    """A new stored password; ValueError for a password or scheme that cannot be."""
    if not 1 <= len(password) <= MAX_PASSWORD or b"\0" in password:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD} octets and no NUL")
    scheme = scheme.upper()
    if scheme == "ARGON2ID":  # one lane, since Dovecot's library computes with one
        data = handlers.argon2.using(type="ID", memory_cost=19_456, time_cost=2, parallelism=1).hash(password)
    elif scheme == "SCRAM-SHA-256":
        data = scram_keys.derive("sha256", password, os.urandom(16), scram_keys.ITERATIONS).text()
    elif scheme == "SHA512-CRYPT":
        data = handlers.sha512_crypt.using(rounds=5000).hash(password)
    elif scheme == "BLF-CRYPT":
        data = handlers.bcrypt.using(rounds=10, ident="2y").hash(password[:72])
    elif scheme == "PBKDF2":
        salt = base64.b64encode(os.urandom(12), b"./").decode()
        data = f"$1${salt}$120000${hashlib.pbkdf2_hmac('sha1', password, salt.encode(), 120_000).hex()}"
    elif scheme == "PLAIN":
        text = password.decode()
        if ":" in text or not text.isprintable():
            raise ValueError("PLAIN takes printable characters without a colon only")
        data = text
    else:
        raise ValueError(f"new passwords are made as {', '.join(NEW_SCHEMES)}")
    return f"{{{scheme}}}{data}"


def scram_keys_of(stored: str, default: str = "CRYPT") -> ScramKeys | None:
    """The stored SCRAM-SHA-256 verifier, if it is one."""
    parts = split(stored, default)
    if parts.scheme != "SCRAM-SHA-256":
        return None
    try:
        return scram_keys.parse("sha256", parts.data)
    except ValueError:
        return None


def plain_of(stored: str, default: str = "CRYPT") -> bytes | None:
    """The password itself, if that is what is stored."""
    parts = split(stored, default)
    if parts.scheme not in ("PLAIN", "CLEAR", "CLEARTEXT"):
        return None
    try:
        return _octets(parts) if parts.encoding else parts.data.encode()
    except (BadHash, UnicodeEncodeError):
        return None


@functools.cache
def _nobody() -> str:
    return hash_new(os.urandom(16))


def dummy_verify(password: bytes) -> None:
    """Costs what a check of a new password costs."""
    verify(_nobody(), password or b"x")


@dataclass(frozen=True, slots=True, repr=False)
class VerifyJob:
    """A check as plain data, for a helper process. The result is True, False, or the text of a BadHash."""

    stored: str
    password: bytes
    default: str
    user: str

    def run(self) -> bool | str:
        """Takes its time."""
        try:
            return verify(self.stored, self.password, self.default, self.user)
        except BadHash as error:
            return str(error)


@dataclass(frozen=True, slots=True, repr=False)
class DeriveJob:
    """SCRAM keys from a plain password, for a helper process."""

    password: bytes
    salt: bytes
    iterations: int

    def run(self) -> ScramKeys:
        """Takes its time."""
        return scram_keys.derive("sha256", self.password, self.salt, self.iterations)
