"""The registry of sessions: who gives way, and who can end what."""

from culverhouse.auth.sessions import Session, Sessions


def session(
    connection: str,
    user: str = "alice",
    service: str = "imap",
    active: float = 0,
    worker: str = "w1",
    address: str = "192.0.2.1",
) -> Session:
    return Session(connection, user, service, address, True, 1000.5, worker, active)


def test_the_stalest_gives_way() -> None:
    sessions = Sessions(limit=3)
    for n, active in enumerate((5.0, 1.0, 3.0)):
        assert sessions.admit(session(str(n), active=active)) == []
    assert [left.connection for left in sessions.admit(session("new", active=9))] == ["1"]
    sessions.active(["2"], "w1", 20)
    assert [left.connection for left in sessions.admit(session("newer", active=21))] == ["0"]
    assert {found.connection for found in sessions.find(user="alice")} == {"2", "new", "newer"}


def test_the_limit_is_per_user_and_address() -> None:
    sessions = Sessions(limit=1)
    assert sessions.admit(session("a")) == []
    assert sessions.admit(session("b", user="bob")) == []
    assert sessions.admit(session("c", address="192.0.2.2")) == []
    assert len(sessions) == 3


def test_pop3_is_kept_while_there_is_another() -> None:
    sessions = Sessions(limit=2)
    sessions.admit(session("pop", service="pop3", active=0))
    sessions.admit(session("imap", active=50))
    assert [left.connection for left in sessions.admit(session("new", active=60))] == ["imap"]


def test_no_limit_and_a_lower_limit() -> None:
    sessions = Sessions(limit=0)
    for n in range(100):
        assert sessions.admit(session(str(n), active=n)) == []
    sessions.limit = 10
    assert len(sessions.admit(session("new", active=1000))) == 91


def test_a_worker_ends_only_its_own() -> None:
    sessions = Sessions()
    sessions.admit(session("a", worker="w1"))
    sessions.admit(session("b", worker="w2"))
    sessions.close("a", "w2")
    sessions.active(["a"], "w2", 99)
    assert sessions.find(connection="a")[0].active == 0
    sessions.worker_gone("w2")
    assert [found.connection for found in sessions.find()] == ["a"]
    sessions.close("a", "w1")
    sessions.close("a", "w1")
    assert len(sessions) == 0
    assert sessions._by_origin == {}


def test_what_who_shows() -> None:
    assert session("a").public() == {
        "connection": "a",
        "user": "alice",
        "service": "imap",
        "address": "192.0.2.1",
        "tls": True,
        "since": 1000,
    }
