"""How many connections are let in."""

from culverhouse.server.limits import Gate, group


class Connection:
    def __init__(self, address: str) -> None:
        self.address = address
        self.counted: str | None = None
        self.admitted = False


def test_the_total_is_limited_and_freed() -> None:
    gate = Gate(2, 10)
    first, second, third = (Connection(f"192.0.2.{n}") for n in range(3))
    assert gate.enter(first) is None
    assert gate.enter(second) is None
    assert gate.enter(third) is not None
    gate.left(third)
    gate.left(first)
    assert gate.open == 1
    assert gate.enter(third) is None


def test_strangers_are_limited_per_address_until_they_log_in() -> None:
    gate = Gate(100, 2)
    connections = [Connection("192.0.2.1") for _ in range(4)]
    assert [gate.enter(connection) is None for connection in connections[:3]] == [True, True, False]
    assert gate.enter(Connection("192.0.2.2")) is None
    gate.logged_in(connections[0])
    assert gate.enter(connections[3]) is None
    for connection in connections:
        gate.left(connection)
        gate.left(connection)
    assert gate.open == 1
    assert gate._strangers == {"192.0.2.2": 1}


def test_an_ipv6_network_counts_as_one_and_local_connections_do_not_count() -> None:
    assert group("2001:db8::1") == group("2001:db8::ffff:2")
    assert group("2001:db8:0:1::1") != group("2001:db8::1")
    assert group("") is None
