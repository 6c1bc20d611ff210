"""The passwd-file: one user per line, in Dovecot's format.

    user:{SCHEME}hash:uid:gid:gecos:home:shell:extra fields
    # a comment; later fields may be left out

Reading: the file is read as a whole when it has changed; a line that cannot be used is reported and left out, it
never hides the others. Of two lines for one user the first counts.

Editing: whoever edits holds an flock on the file and replaces it by rename, so that a reader sees the old file or
the new one. Comments, order, unknown fields, mode and owner are kept. After waiting for the lock the name may stand
for another file (somebody else has replaced it): then the lock is taken again on that one.
"""

import fcntl
import grp
import os
import pwd
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .record import BackendUnavailable, UserRecord

MAX_FILE = 256_000_000
_MOST_REPORTS = 100
_SETTLED_NS = 50_000_000
"""File times are as coarse as the kernel's tick: a file changed this recently is read once more."""


class PasswdFile:
    """The backend; never writes. A large file is only cut into lines when it has changed: a line is taken apart when
    its user is asked for."""

    def __init__(self, path: str, default_scheme: str = "CRYPT") -> None:
        self.name = f"passwd-file {path}"
        self._path = path
        self._default = default_scheme
        self._seen: tuple[int, ...] | None = None
        self._lines: dict[bytes, bytes] = {}
        self._names: list[bytes] = []
        self._scram: bool | None = None
        self._reports: dict[str, None] = {}

    def lookup(self, user: str) -> UserRecord | None:
        """The user of exactly this name."""
        self._refresh()
        return self._record(user.encode("utf-8", "surrogatepass"))

    def mimic(self, number: int) -> UserRecord | None:
        """A user by number; the next one when that line cannot be used."""
        self._refresh()
        for step in range(min(len(self._names), 20)):
            record = self._record(self._names[(number + step) % len(self._names)])
            if record is not None:
                return record
        return None

    def serves_scram(self) -> bool:
        """True when there are users, and each has a SCRAM-SHA-256 verifier or a plain password, or cannot log in."""
        try:
            self._refresh()
        except BackendUnavailable:
            return False
        if self._scram is None:
            fits = _serving_scram(self._default).match
            self._scram = bool(self._lines) and all(map(fits, self._lines.values()))
        return self._scram

    def drain_reports(self) -> list[str]:
        """Lines that were asked for and could not be used."""
        reports, self._reports = list(self._reports), {}
        return reports

    def _record(self, name: bytes) -> UserRecord | None:
        line = self._lines.get(name)
        if line is None:
            return None
        try:
            return parse_line(line.rstrip(b"\r").decode(), self._default)
        except UnicodeDecodeError:
            self._report(f"{self._path}: a line is not valid UTF-8: {name!r}")
        except ValueError as error:
            self._report(f"{self._path}: {name.decode('utf-8', 'replace')!r}: {error}")
        return None

    def _report(self, text: str) -> None:
        if len(self._reports) < _MOST_REPORTS:
            self._reports[text] = None

    def _refresh(self) -> None:
        try:
            found = os.stat(self._path)
            seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if seen == self._seen:
                return
            with open(self._path, "rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError as error:
            self._seen = None
            raise BackendUnavailable(f"{self._path}: {error.strerror or error}") from None
        if len(data) > MAX_FILE:
            raise BackendUnavailable(f"{self._path}: larger than {MAX_FILE} octets")
        lines = [line for line in data.split(b"\n") if b":" in line and line[:1] not in (b"#", b":")]
        lines.reverse()  # of two lines for one user the first is to stay
        self._lines = {line.partition(b":")[0]: line for line in lines}
        self._names = list(self._lines)
        self._scram = None
        settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS
        self._seen = seen if settled and len(data) == found.st_size else None


def _serving_scram(default_scheme: str) -> re.Pattern[bytes]:
    """A line whose password can serve SCRAM-SHA-256, or opens nothing at all (empty or locked)."""
    plain = default_scheme.upper() in ("PLAIN", "CLEAR", "CLEARTEXT")
    return re.compile(
        rb"[^:]*:(?:[:!*\r]|$|\{(?:PLAIN|CLEAR|CLEARTEXT)(?:\.(?:hex|b64|base64))?\}"
        rb"|\{SCRAM-SHA-256\}[0-9]{1,8},[A-Za-z0-9+/]+=*,[A-Za-z0-9+/]{43}=,[A-Za-z0-9+/]{43}=(?:[:\r]|$)"
        + (rb"|[^{])" if plain else rb")"),
        re.IGNORECASE,
    )


def _number(text: str, by_name: Callable[[str], int]) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    try:
        return by_name(text)
    except KeyError:
        raise ValueError(f"{text!r} is neither a number nor a known name") from None


def parse(data: bytes, default_scheme: str = "CRYPT") -> tuple[dict[str, UserRecord], list[tuple[int, str]]]:
    """All users, and what is wrong with which line."""
    users: dict[str, UserRecord] = {}
    reports: list[tuple[int, str]] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.rstrip(b"\r")
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            record = parse_line(line.decode(), default_scheme)
        except UnicodeDecodeError:
            reports.append((number, "is not valid UTF-8"))
            continue
        except ValueError as error:
            reports.append((number, str(error)))
            continue
        if record.user in users:
            reports.append((number, f"{record.user!r} is there already; the first line counts"))
            continue
        users[record.user] = record
    return users, reports


def parse_line(line: str, default_scheme: str = "CRYPT") -> UserRecord:
    """One user; ValueError with the reason when the line cannot be used. The reason never shows the password."""
    fields = line.split(":", 7)
    if len(fields) < 2:
        raise ValueError("has no password field")
    fields += [""] * (8 - len(fields))
    user, password, uid, gid, _, home, _, extra = fields
    if not user:
        raise ValueError("has no user name")
    if password and not password.startswith("{"):
        password = f"{{{default_scheme}}}{password}"
    if home and (not home.startswith("/") or ".." in home.split("/") or "\0" in home):
        raise ValueError(f"the home of {user!r} is not an absolute path without ..")
    more = {}
    for word in extra.split():
        key, equals, value = word.partition("=")
        more[key] = value if equals else "yes"
    return UserRecord(
        user=user,
        password=password,
        uid=_number(uid, lambda name: pwd.getpwnam(name).pw_uid),
        gid=_number(gid, lambda name: grp.getgrnam(name).gr_gid),
        home=home or None,
        extra=more,
    )


class EditRefused(ValueError):
    """An edit that cannot be made; the text is for the administrator."""


def _clean(text: str, what: str) -> str:
    if not text or any(character in ":\r\n\0" for character in text):
        raise EditRefused(f"{what} must not be empty or have a colon or line end in it")
    return text


@contextmanager
def _locked(path: str, create: bool = False) -> Iterator[list[str]]:
    """The file's lines under its lock; what the list holds at the end replaces them, if it was changed."""
    path = os.path.realpath(path)  # a link stays a link
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        held = os.fstat(descriptor)
        try:
            named = os.stat(path)
        except FileNotFoundError:
            named = None
        if named is not None and (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino):
            break
        os.close(descriptor)
    with os.fdopen(descriptor, "r+b") as file:
        lines = file.read().decode("utf-8", "surrogateescape").split("\n")
        if lines[-1] == "":
            lines.pop()
        before = list(lines)
        yield lines
        if lines != before:
            _replace(path, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"), held)


def _replace(path: str, data: bytes, old: os.stat_result) -> None:
    folder = os.path.dirname(path) or "."
    descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if (os.fstat(descriptor).st_uid, os.fstat(descriptor).st_gid) != (old.st_uid, old.st_gid):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, old.st_mode & 0o7777)
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _find(lines: list[str], user: str) -> int | None:
    for number, line in enumerate(lines):
        if not line.startswith("#") and line.partition(":")[0] == user:
            return number
    return None


def add_user(path: str, user: str, stored: str, home: str = "") -> None:
    """A new line at the end; the file is made, readable by its owner alone, when it is not there."""
    _clean(user, "a user name")
    if user.startswith("#") or user != user.strip():
        raise EditRefused("a user name must not begin with # or have spaces at its ends")
    _clean(stored, "a stored password")
    if home:
        _clean(home, "a home")
    line = f"{user}:{stored}::::{home}::" if home else f"{user}:{stored}::::::"
    parse_line(line)
    with _locked(path, create=True) as lines:
        if _find(lines, user) is not None:
            raise EditRefused(f"{user} is there already")
        lines.append(line)


def set_password(path: str, user: str, stored: str) -> None:
    """Replaces the password and nothing else."""
    _clean(stored, "a stored password")
    with _locked(path) as lines:
        number = _find(lines, user)
        if number is None:
            raise EditRefused(f"{user} is not there")
        fields = lines[number].split(":")
        lines[number] = ":".join([fields[0], stored, *fields[2:]])


def delete_user(path: str, user: str) -> None:
    """Takes the user's lines out, all of them: a second one must not come to life. The mail stays where it is."""
    with _locked(path) as lines:
        if _find(lines, user) is None:
            raise EditRefused(f"{user} is not there")
        while (number := _find(lines, user)) is not None:
            del lines[number]


def list_users(path: str, default_scheme: str = "CRYPT") -> tuple[list[UserRecord], list[tuple[int, str]]]:
    """All users in the order of the file, and what is wrong with which line."""
    with open(path, "rb") as file:
        users, reports = parse(file.read(), default_scheme)
    return list(users.values()), reports
