"""Growing delays per address: whom they hit, whom they spare, when they are forgotten."""

from culverhouse.auth.penalty import FORGET, Penalties, network_of


def test_delays_grow_and_stay() -> None:
    penalties = Penalties()
    assert penalties.delay("192.0.2.1", "alice", 0) == 0
    assert [penalties.failed("192.0.2.1", "alice", bytes([n]), n) for n in range(6)] == [2, 4, 8, 15, 15, 15]
    assert penalties.delay("192.0.2.1", "bob", 6) == 15
    assert penalties.delay("192.0.2.2", "bob", 6) == 0


def test_they_are_forgotten_after_a_while() -> None:
    penalties = Penalties()
    penalties.failed("192.0.2.1", "alice", None, 0)
    assert penalties.delay("192.0.2.1", "alice", FORGET) == 2
    assert penalties.delay("192.0.2.1", "alice", FORGET + 1) == 0
    assert penalties.failed("192.0.2.1", "alice", None, FORGET + 2) == 2


def test_the_same_wrong_password_again_adds_nothing() -> None:
    penalties = Penalties()
    assert [penalties.failed("192.0.2.1", "alice", b"same", n) for n in range(5)] == [2] * 5
    assert [penalties.failed("192.0.2.1", "alice", None, n) for n in range(3)] == [4, 8, 15]


def test_a_success_clears_its_own_failures_only() -> None:
    penalties = Penalties()
    penalties.failed("192.0.2.1", "alice", b"1", 0)
    penalties.failed("192.0.2.1", "alice", b"2", 0)
    penalties.failed("192.0.2.1", "root", b"3", 0)
    penalties.succeeded("192.0.2.1", "alice", 1)
    assert penalties.delay("192.0.2.1", "carol", 2) == 2
    penalties.succeeded("192.0.2.1", "root", 3)
    assert penalties.delay("192.0.2.1", "carol", 4) == 0


def test_who_came_in_lately_does_not_wait_for_others() -> None:
    penalties = Penalties()
    penalties.succeeded("192.0.2.1", "alice", 0)
    for n in range(5):
        penalties.failed("192.0.2.1", "bob", bytes([n]), n)
    assert penalties.delay("192.0.2.1", "alice", 5) == 0
    penalties.failed("192.0.2.1", "alice", b"guess", 6)
    assert penalties.delay("192.0.2.1", "alice", 7) == 15


def test_networks() -> None:
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert network_of("2001:db8:1:3::9") != network_of("2001:db8:1:2::9")
    assert network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"
    assert network_of("") == ""
    penalties = Penalties()
    penalties.failed("2001:db8:1:2::1", "alice", None, 0)
    assert penalties.delay("2001:db8:1:2:ffff::2", "alice", 1) == 2


def test_memory_is_bounded() -> None:
    penalties = Penalties(limit=10)
    for n in range(1000):
        penalties.failed(f"10.0.{n // 256}.{n % 256}", "alice", None, n)
        penalties.succeeded(f"10.1.{n // 256}.{n % 256}", "alice", n)
    assert len(penalties._guessers) == 10
    assert len(penalties._trusted) == 10
    for n in range(1000):
        penalties.failed("10.9.9.9", f"user{n}", str(n).encode(), 1000)
    guesser = penalties._guessers["10.9.9.9"]
    assert len(guesser.failures) < 20
    assert len(guesser.tried) < 20
    assert penalties.delay("10.9.9.9", "x", 1000) == 15
