"""What every password backend promises. A new backend adds itself to BACKENDS."""

from collections.abc import Callable
from pathlib import Path

import pytest

from culverhouse.auth.backends import KINDS, BackendUnavailable, PasswordBackend, open_backend

Maker = Callable[[Path, dict[str, str]], PasswordBackend]


def passwd_file(folder: Path, users: dict[str, str]) -> PasswordBackend:
    path = folder / "users"
    path.write_text("".join(f"{user}:{stored}:5:6::/home/{user}::key=value\n" for user, stored in users.items()))
    return open_backend("passwd-file", path=str(path))


def broken_passwd_file(folder: Path) -> PasswordBackend:
    return open_backend("passwd-file", path=str(folder / "missing" / "users"))


BACKENDS: dict[str, tuple[Maker, Callable[[Path], PasswordBackend]]] = {
    "passwd-file": (passwd_file, broken_passwd_file),
}
USERS = {"alice@example.org": "{PLAIN}a", "bob": "{PLAIN}b", "jürgen": "{PLAIN}ü"}


@pytest.fixture(params=BACKENDS, name="make")
def make_fixture(request: pytest.FixtureRequest) -> Maker:
    return BACKENDS[request.param][0]


@pytest.fixture(params=BACKENDS, name="broken")
def broken_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> PasswordBackend:
    return BACKENDS[request.param][1](tmp_path)


def test_every_kind_is_tested() -> None:
    assert set(BACKENDS) == set(KINDS)


def test_a_user_is_found_by_exactly_its_name(make: Maker, tmp_path: Path) -> None:
    backend = make(tmp_path, USERS)
    for user, stored in USERS.items():
        record = backend.lookup(user)
        assert record is not None
        assert (record.user, record.password) == (user, stored)
        assert (record.uid, record.gid, record.home) == (5, 6, f"/home/{user}")
        assert record.extra == {"key": "value"}
    for other in ("", "alice", "ALICE@example.org", "bob ", "bob\0", "bo", "bob:", "*", "%", "nobody", "\ud800"):
        assert backend.lookup(other) is None


def test_a_record_does_not_show_its_password(make: Maker, tmp_path: Path) -> None:
    record = make(tmp_path, {"alice": "{PLAIN}hunter2"}).lookup("alice")
    assert "hunter2" not in repr(record)


def test_mimic_is_steady_and_reaches_everybody(make: Maker, tmp_path: Path) -> None:
    backend = make(tmp_path, USERS)
    found = [backend.mimic(number) for number in (0, 1, 2, 2**63)]
    assert found == [backend.mimic(number) for number in (0, 1, 2, 2**63)]
    assert {record.user for record in found if record} == set(USERS)


def test_no_users_at_all(make: Maker, tmp_path: Path) -> None:
    backend = make(tmp_path, {})
    assert backend.lookup("alice") is None
    assert backend.mimic(1) is None
    assert backend.serves_scram() is False


def test_not_knowing_is_not_the_same_as_no(broken: PasswordBackend) -> None:
    with pytest.raises(BackendUnavailable):
        broken.lookup("alice")
    with pytest.raises(BackendUnavailable):
        broken.mimic(1)
    assert broken.serves_scram() is False
    assert isinstance(broken.drain_reports(), list)
