"""`culverhouse user …` and `auth-test`: who may come in.

Passwords are asked for twice on a terminal and otherwise read as the first line of stdin; they are never taken from
the arguments, where every user of the machine could read them.
"""

import contextlib
import getpass
import os
import pwd
import sys
from collections.abc import Callable
from typing import Any

from ..auth.authenticate import Authenticator, Hash, Wait
from ..auth.backends import open_backend
from ..auth.backends.passwd_file import EditRefused, add_user, delete_user, list_users, set_password
from ..auth.passwords import hash_new, split
from ..auth.wire import AuthStart, Failure, Success
from ..config import Config, UnsafeName, account_spec, user_form
from ..config.schema import PasswdFile
from ..model.secret import Secret
from ..server import control
from .output import FAILED, OK, Failed, complain, say, show


def read_password(confirm: bool) -> bytes:
    """From the terminal without showing it, or the first line of stdin."""
    if not sys.stdin.isatty():
        line = sys.stdin.buffer.readline(4096).rstrip(b"\r\n")
        if not line:
            raise Failed("no password on stdin")
        return line
    word = getpass.getpass("Password: ")
    if confirm and word != getpass.getpass("Again: "):
        raise Failed("the passwords differ")
    if not word:
        raise Failed("the password must not be empty")
    return word.encode("utf-8", "surrogateescape")


def normal_form(config: Config, name: str) -> str:
    """The user's name as the server knows it."""
    try:
        return user_form(config.auth.username_format, name)
    except UnsafeName as error:
        raise Failed(f"{name}: {error}") from None


def passwd_file(config: Config, path: str | None) -> PasswdFile:
    """The file to edit: the one that was named, or the only one."""
    files = [backend for backend in config.auth.backend if isinstance(backend, PasswdFile)]
    if path is not None:
        for backend in files:
            if os.path.realpath(backend.path) == os.path.realpath(path):
                return backend
        raise Failed(f"{path} is no passwd-file of this configuration")
    if len(files) != 1:
        raise Failed(
            "this configuration has several passwd-files: name one with --file"
            if files
            else "this configuration has no passwd-file"
        )
    return files[0]


def _edit(backend: PasswdFile, change: Callable[[], None]) -> None:
    """Change the file; tells when that changes what clients are offered."""
    source = open_backend(backend.kind, path=backend.path, default_scheme=backend.default_scheme)
    before = source.serves_scram()
    try:
        change()
    except EditRefused as error:
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{error.filename or ''}: {error.strerror}".removeprefix(": ")) from None
    after = source.serves_scram()
    if before and not after:
        complain("SCRAM is not offered any more, since this password cannot serve it (--scheme SCRAM-SHA-256 can)")
    elif after and not before:
        complain("SCRAM is offered from now on, since every password can serve it")


def _hashed(scheme: str) -> str:
    try:
        return hash_new(read_password(confirm=True), scheme)
    except ValueError as error:
        raise Failed(str(error)) from None


def add(config: Config, name: str, home: str | None, scheme: str, file: str | None) -> int:
    """`user add`."""
    user = normal_form(config, name)
    try:
        account_spec(config, user, home)
    except UnsafeName as error:
        raise Failed(f"{user}: {error}") from None
    backend = passwd_file(config, file)
    new = not os.path.exists(backend.path)
    stored = _hashed(scheme)
    _edit(backend, lambda: add_user(backend.path, user, stored, home or ""))
    if new and os.geteuid() == 0 and config.auth.user:
        entry = pwd.getpwnam(config.auth.user)
        os.chown(backend.path, entry.pw_uid, entry.pw_gid)
    say(f"{user} added to {backend.path}")
    return OK


def delete(config: Config, name: str, file: str | None) -> int:
    """`user delete`: the login, never the mail."""
    user = normal_form(config, name)
    backend = passwd_file(config, file)
    home = {record.user: record.home for record in records(config)}.get(user)
    _edit(backend, lambda: delete_user(backend.path, user))
    say(f"{user} deleted from {backend.path}; sessions that are open go on until `culverhouse kick`")
    with contextlib.suppress(UnsafeName):
        say(f"the mail stays at {account_spec(config, user, home).store.partition(':')[2]}")
    return OK


def passwd(config: Config, name: str, scheme: str, file: str | None) -> int:
    """`user passwd`."""
    user = normal_form(config, name)
    backend = passwd_file(config, file)
    stored = _hashed(scheme)
    _edit(backend, lambda: set_password(backend.path, user, stored))
    say(f"{user} has a new password")
    return OK


def records(config: Config) -> list[Any]:
    """The users of all passwd-files; complains of lines that cannot be used."""
    found: dict[str, Any] = {}
    for backend in config.auth.backend:
        try:
            users, reports = list_users(backend.path, backend.default_scheme)
        except OSError as error:
            raise Failed(f"{backend.path}: {error.strerror}") from None
        for line, text in reports:
            complain(f"{backend.path}:{line}: {text}")
        for record in users:
            found.setdefault(record.user, record)
    return list(found.values())


def listing(config: Config, as_json: bool) -> int:
    """`user list`."""
    rows = []
    for record in records(config):
        try:
            store = account_spec(config, record.user, record.home).store
        except UnsafeName as error:
            complain(f"{record.user}: {error}")
            store = None
        rows.append(
            {
                "user": record.user,
                "scheme": split(record.password).scheme if record.password else None,
                "store": store,
                "uid": record.uid,
                "gid": record.gid,
                "extra": dict(record.extra),
            }
        )
    show(rows, ("user", "scheme", "store"), as_json)
    return OK


def auth_test(config: Config, name: str, as_json: bool) -> int:
    """`auth-test`: asks the running server, or, when none runs, the password files themselves."""
    word = read_password(confirm=False)
    request = {"command": "auth-test", "user": name, "password": word.decode("utf-8", "surrogateescape")}
    try:
        answer = control.ask(config.server.runtime_dir, request, config.timeouts.auth + 30)
        source = "the running server"
    except control.NotRunning as error:
        complain(f"{error}; looking into the password files")
        answer = _test_here(config, name, word)
        source = "the password files"
    if answer.get("ok"):
        try:
            spec = account_spec(config, str(answer["user"]), answer.get("home"))
            answer |= {"store": spec.store, "index": spec.index}
        except UnsafeName as error:
            answer |= {"ok": False, "error": f"the user may log in, but has no mail: {error}"}
    row = {key: value for key, value in answer.items() if key != "ok"} | {"result": "ok" if answer.get("ok") else "no"}
    if as_json:
        show([row], (), True)
    else:
        say(f"{'ok' if answer.get('ok') else 'no'}, says {source}")
        for key, value in answer.items():
            if key != "ok" and value not in (None, "", {}):
                say(f"  {key}: {value}")
    return OK if answer.get("ok") else FAILED


def _test_here(config: Config, name: str, word: bytes) -> dict[str, Any]:
    """The same decision as the auth process makes, in this process and without delays."""
    authenticator = Authenticator(
        [
            open_backend(backend.kind, path=backend.path, default_scheme=backend.default_scheme)
            for backend in config.auth.backend
        ],
        lambda sent: user_form(config.auth.username_format, sent),
        mechanisms=("PLAIN",),
    )
    initial = Secret(b"\0" + name.encode("utf-8", "surrogateescape") + b"\0" + word)
    exchange = authenticator.begin(AuthStart(0, "auth-test", "imap", "PLAIN", initial, "", True, True), "auth-test")
    step = exchange.advance()
    while not isinstance(step, Success | Failure):
        step = exchange.advance(step.job.run() if isinstance(step, Hash) else None)
        assert isinstance(step, Success | Failure | Hash | Wait)  # noqa: S101 - PLAIN with its message asks nothing
    for report in authenticator.drain_reports():
        complain(report)
    if isinstance(step, Failure):
        return {"ok": False, "reason": step.reason.value, "error": step.text, "user": step.user, "detail": step.detail}
    return {"ok": True, "user": step.user, "home": step.home, "uid": step.uid, "gid": step.gid, "extra": step.extra}
