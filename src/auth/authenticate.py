"""Joins backends, mechanisms, cache, penalties and sessions into one answer: may this client come in?

Sans-IO: an `Exchange` is advanced from outside and says what it needs next.

    exchange = authenticator.begin(request, worker)
    step = exchange.advance()
        Wait(seconds)    → advance() after that time
        Hash(job)        → advance(job.run()), computed in a helper process
        Ask(challenge)   → advance(the client's response, a Secret)
        Success, Failure → over; `authenticator.leaving()` names the sessions that have to give way
    exchange.close()     → the client gave up or is gone; an attempt under way counts as failed

Rules that keep it right:

- Which user was asked for shows neither in the words nor in the time of an answer: for an unknown user the hash of
  another user is computed, and SCRAM's made-up salt stays the same.
- The delay is waited for *before* a password is looked at, so that hanging up does not save a guesser any time.
- The cache holds an HMAC under a key of this process, and only of passwords that were right; its key covers the
  stored hash, so that a changed password is out of it at once.
- What went wrong inside goes to the log by `Failure.detail`; the client gets one of a few fixed texts.
"""

import hashlib
import hmac
import ipaddress
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ..model.secret import Secret
from .backends.record import BackendUnavailable, PasswordBackend, UserRecord
from .mechanisms import (
    CLEARTEXT,
    PASSWORD_MECHANISMS,
    SCRAM_MECHANISMS,
    WRONG,
    Ask,
    CheckPassword,
    FindKeys,
    Granted,
    Refused,
    start,
)
from .passwords import DeriveJob, VerifyJob, needs_cpu, plain_of, scram_keys_of
from .penalty import Penalties
from .scram_keys import ITERATIONS, ScramKeys
from .sessions import Session, Sessions
from .wire import AuthStart, Failure, Reason, Success

UNAVAILABLE = "Logging in is not possible just now; please try again later."
PRIVACY = "A password can only be sent inside TLS here."
_NO_HASH = "{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$aK31/n9vDYGQUsp5jzHmPA$Qu2tlrLxvTgOI6GCjHRXiPDgLJmD+HHI6WS7YgcxcgE"
"""For an unknown user where there are no users at all: its result is never used."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Advance again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hash:
    """Run the job (in a helper process: it computes) and advance with its result."""

    job: VerifyJob | DeriveJob


Step = Wait | Hash | Ask | Success | Failure
_Steps = Generator[Step, Any, None]


class _Remembered:
    """A bounded table whose entries age."""

    def __init__(self, limit: int, age: float) -> None:
        self._limit = limit
        self._age = age
        self._entries: OrderedDict[bytes, tuple[float, Any]] = OrderedDict()

    def get(self, key: bytes, now: float) -> Any:
        found = self._entries.get(key)
        if found is None or now - found[0] > self._age:
            return None
        return found[1]

    def put(self, key: bytes, value: Any, now: float) -> None:
        if self._age <= 0:
            return
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()


class Authenticator:
    """Answers for all workers.

    `normalise` brings a user name into its normal form and raises ValueError for a name that cannot be.
    `secret` makes up the salts of unknown users; when it outlives the process, nothing shows at a restart either.
    """

    def __init__(
        self,
        backends: Sequence[PasswordBackend],
        normalise: Callable[[str], str],
        *,
        mechanisms: Sequence[str] = (),
        cache_seconds: float = 3600,
        sessions: Sessions | None = None,
        secret: bytes | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.backends = tuple(backends)
        self.normalise = normalise
        self.sessions = sessions if sessions is not None else Sessions()
        self.penalties = Penalties()
        self.clock = clock
        self.now = now
        self._mechanisms = tuple(mechanisms)
        self._secret = secret or os.urandom(32)
        self._key = os.urandom(32)
        self._right = _Remembered(20_000, cache_seconds)
        self._derived = _Remembered(20_000, 86_400)
        self._leaving: list[Session] = []

    def mechanisms(self) -> tuple[str, ...]:
        """What is offered: as configured, or the password mechanisms and SCRAM where every user can use it. A
        client takes the strongest it sees, so SCRAM is not shown where it would fail."""
        if self._mechanisms:
            return self._mechanisms
        scram = bool(self.backends) and all(backend.serves_scram() for backend in self.backends)
        return PASSWORD_MECHANISMS + (SCRAM_MECHANISMS if scram else ())

    def begin(self, request: AuthStart, worker: str) -> "Exchange":
        """A new exchange."""
        return Exchange(self, request, worker)

    def leaving(self) -> list[Session]:
        """Sessions that had to give way since the last call; their workers are to be told."""
        leaving, self._leaving = self._leaving, []
        return leaving

    def reload(self, sessions_limit: int | None = None) -> None:
        """Forgets the passwords; other limits hold for new sessions."""
        self._right.clear()
        self._derived.clear()
        if sessions_limit is not None:
            self.sessions.limit = sessions_limit

    def drain_reports(self) -> list[str]:
        """What the backends noticed."""
        return [report for backend in self.backends for report in backend.drain_reports()]

    # What an exchange asks of it.

    def find(self, user: str) -> UserRecord | None:
        """The first backend that knows the user decides."""
        for backend in self.backends:
            record = backend.lookup(user)
            if record is not None:
                return record
        return None

    def mimic(self, user: str) -> UserRecord | None:
        """A user whose password stands in for that of a user who is not there: always the same one."""
        number = int.from_bytes(self.fingerprint("mimic", user.encode())[:8])
        for backend in self.backends:
            record = backend.mimic(number)
            if record is not None:
                return record
        return None

    def fingerprint(self, purpose: str, *parts: bytes) -> bytes:
        """A keyed hash that stays the same as long as the secret does."""
        return _keyed(self._secret, purpose, parts)

    def remembered(self, record: UserRecord, password: bytes) -> bytes:
        """The cache's key for a right password."""
        return _keyed(self._key, "password", (record.user.encode(), record.password.encode(), password))

    def is_right(self, key: bytes) -> bool:
        """The password was right a while ago."""
        return bool(self._right.get(key, self.clock()))

    def was_right(self, key: bytes) -> None:
        """Remember it."""
        self._right.put(key, True, self.clock())

    def scram_source(self, user: str, record: UserRecord | None) -> ScramKeys | DeriveJob:
        """Keys for SCRAM, or the job that makes them; made up when the user is not there or has another hash."""
        stand_in = record
        if record is None or (scram_keys_of(record.password) is None and plain_of(record.password) is None):
            stand_in = self.mimic(user)
            record = None
        keys = scram_keys_of(stand_in.password) if stand_in is not None else None
        if record is not None and keys is not None:
            return keys
        salt = self.fingerprint("salt", user.encode())[: len(keys.salt) if keys else 16]
        if record is None and keys is not None:
            made_up = (self.fingerprint(purpose, user.encode()) for purpose in ("stored", "server"))
            return ScramKeys("sha256", keys.iterations, salt, *made_up)
        password = plain_of(record.password) if record is not None else self.fingerprint("no password", user.encode())
        assert password is not None  # noqa: S101 - a record without keys that comes here has a plain password
        return DeriveJob(password, salt, ITERATIONS)

    def derived(self, job: DeriveJob) -> ScramKeys | None:
        """Keys made before for the same password and salt."""
        found: ScramKeys | None = self._derived.get(self._derived_key(job), self.clock())
        return found

    def keep_derived(self, job: DeriveJob, keys: ScramKeys) -> None:
        """Remember them."""
        self._derived.put(self._derived_key(job), keys, self.clock())

    def _derived_key(self, job: DeriveJob) -> bytes:
        return _keyed(self._key, "keys", (job.salt, job.password))

    def admit(self, request: AuthStart, worker: str, user: str) -> None:
        """Counts the session; whoever has to give way is found in `leaving()`."""
        self._leaving += self.sessions.admit(
            Session(
                connection=request.connection,
                user=user,
                service=request.service,
                address=request.address,
                tls=request.tls,
                since=self.now(),
                worker=worker,
                active=self.clock(),
            )
        )


def _keyed(key: bytes, purpose: str, parts: Sequence[bytes]) -> bytes:
    mac = hmac.new(key, purpose.encode() + b"\0", hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(4))
        mac.update(part)
    return mac.digest()


def _loggable(name: str) -> str:
    """A name as a stranger sent it, fit for one line of a log."""
    return "".join(character if character.isprintable() else "?" for character in name[:200])


class Exchange:
    """One attempt to log in."""

    def __init__(self, authenticator: Authenticator, request: AuthStart, worker: str) -> None:
        self._auth = authenticator
        self._request = request
        self._worker = worker
        self._user: str | None = None
        """The normal form, or the name as sent when it has none; None until the client has named one."""
        self._attempt: bytes | None = None
        self._began = authenticator.clock()
        self._detail = ""
        self._counted = False
        """Its outcome is known to the penalties, or will never be."""
        self._steps = self._run()

    def advance(self, value: Any = None) -> Step:
        """The next step, with the answer to the last one."""
        step = self._steps.send(value)
        if isinstance(step, Success | Failure):
            self._counted = True
        return step

    def close(self) -> None:
        """Nobody waits for the answer any more."""
        if self._user is not None:
            self._failed(self._user)
        self._counted = True
        self._steps.close()

    def _failed(self, user: str) -> float:
        """Counts the failure, once; the seconds until it may be answered."""
        if self._counted:
            return 0.0
        self._counted = True
        clock = self._auth.clock()
        return self._began + self._auth.penalties.failed(self._request.address, user, self._attempt, clock) - clock

    def _run(self) -> _Steps:
        request = self._request
        try:
            offered = self._auth.mechanisms()
            if request.mechanism.upper() in CLEARTEXT and not request.cleartext:
                raise Refused(Reason.PRIVACY, PRIVACY)
            initial = request.initial.reveal() if request.initial is not None else None
            mechanism = start(request.mechanism, initial, request.bindings, offered)
            granted = yield from self._drive(mechanism)
            yield self._admitted(granted)
        except Refused as refused:
            if self._user is not None and (rest := self._failed(self._user)) > 0:
                yield Wait(rest)
            yield self._failure(refused.reason, refused.text)
        except BackendUnavailable as error:
            self._detail = str(error)
            yield self._failure(Reason.UNAVAILABLE, UNAVAILABLE)

    def _failure(self, reason: Reason, text: str) -> Failure:
        return Failure(self._request.id, reason, text, _loggable(self._user or ""), self._detail)

    def _drive(self, mechanism: Any) -> Generator[Step, Any, Granted]:
        """Answers what the mechanism needs until it is through."""
        answer: Any = None
        while True:
            try:
                need = mechanism.send(answer)
            except StopIteration as stop:
                granted: Granted = stop.value
                return granted
            if isinstance(need, Ask):
                response = yield need
                answer = response.reveal() if isinstance(response, Secret) else response
            elif isinstance(need, CheckPassword):
                answer = yield from self._check(need.user, need.password)
            elif isinstance(need, FindKeys):
                answer = yield from self._keys(need.user)

    def _named(self, name: str) -> Generator[Step, Any, UserRecord | None]:
        """The user's record, after the delay that this address has to wait."""
        self._began = self._auth.clock()
        try:
            self._user = self._auth.normalise(name)
            known = True
        except ValueError as error:
            self._user = name
            self._detail = str(error)
            known = False
        delay = self._auth.penalties.delay(self._request.address, self._user, self._began)
        if delay:
            yield Wait(delay)
        return self._auth.find(self._user) if known else None

    def _check(self, name: str, password: Secret) -> Generator[Step, Any, bool]:
        record = yield from self._named(name)
        user = self._user or ""
        secret = password.reveal()
        self._attempt = self._auth.fingerprint("attempt", user.encode("utf-8", "surrogatepass"), secret)
        real = record is not None and self._allowed(record)
        checked = record or self._auth.mimic(user)
        stored = checked.password if checked is not None else _NO_HASH
        job = VerifyJob(stored, secret, "CRYPT", checked.user if checked is not None else "")
        if not needs_cpu(stored):
            result = job.run()
        else:
            key = self._auth.remembered(checked, secret) if checked is not None else b""
            if real and self._auth.is_right(key):
                return True
            result = yield Hash(job)
            if real and result is True:
                self._auth.was_right(key)
        if record is None:
            self._detail = self._detail or "unknown user"
        elif isinstance(result, str):
            self._detail = result
        elif result is not True:
            self._detail = self._detail or "wrong password"
        return real and result is True

    def _keys(self, name: str) -> Generator[Step, Any, ScramKeys]:
        record = yield from self._named(name)
        user = self._user or ""
        self._detail = self._detail or ("wrong password" if record is not None else "unknown user")
        if record is not None and not self._allowed(record):
            record = None
        elif record is not None and scram_keys_of(record.password) is None and plain_of(record.password) is None:
            self._detail = "the stored password cannot serve SCRAM"
        source = self._auth.scram_source(user, record)
        if isinstance(source, ScramKeys):
            return source
        keys = self._auth.derived(source)
        if keys is None:
            keys = yield Hash(source)
            self._auth.keep_derived(source, keys)
        return keys

    def _allowed(self, record: UserRecord) -> bool:
        """The record's own conditions: allow_nets and nologin."""
        if "nologin" in record.extra:
            self._detail = "nologin"
            return False
        networks = record.extra.get("allow_nets")
        if networks is None:
            return True
        for network in networks.split(","):
            try:
                if self._request.address:
                    if ipaddress.ip_address(self._request.address) in ipaddress.ip_network(network, strict=False):
                        return True
                elif network == "local":
                    return True
            except ValueError:
                continue
        self._detail = "the address is not in allow_nets"
        return False

    def _admitted(self, granted: Granted) -> Success:
        user = self._user or ""
        if granted.authorize:
            try:
                authorize = self._auth.normalise(granted.authorize)
            except ValueError:
                authorize = ""
            if authorize != user:
                self._detail = f"may not act as {_loggable(granted.authorize)}"
                raise Refused(Reason.CREDENTIALS, WRONG)
        record = self._auth.find(user)
        if record is None:
            self._detail = "the user was deleted meanwhile"
            raise Refused(Reason.CREDENTIALS, WRONG)
        self._auth.penalties.succeeded(self._request.address, user, self._auth.clock())
        self._auth.admit(self._request, self._worker, user)
        return Success(self._request.id, user, record.home, record.uid, record.gid, dict(record.extra), granted.data)
