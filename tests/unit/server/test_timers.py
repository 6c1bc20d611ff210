"""Time-outs and turns."""

from typing import Any

from culverhouse.server.timers import NEVER, UNFILED, Turns, Wheel


class Item:
    def __init__(self) -> None:
        self.deadline = NEVER
        self.slot = UNFILED
        self.expired = 0

    def expire(self) -> None:
        self.expired += 1


def wheel_of(reactor: Any) -> Wheel:
    return Wheel(reactor, grain=0.5, clock=reactor.seconds)


def test_expires_late_by_a_slot_and_never_early(reactor: Any) -> None:
    wheel, item = wheel_of(reactor), Item()
    wheel.arm(item, 10.2)
    reactor.advance(10.1)
    assert item.expired == 0
    reactor.advance(0.6)
    assert item.expired == 1
    reactor.advance(100)
    assert item.expired == 1


def test_arming_again_moves_the_deadline_both_ways(reactor: Any) -> None:
    wheel, later, sooner = wheel_of(reactor), Item(), Item()
    wheel.arm(later, 5)
    wheel.arm(later, 50)
    wheel.arm(sooner, 50)
    wheel.arm(sooner, 5)
    reactor.advance(6)
    assert (later.expired, sooner.expired) == (0, 1)
    reactor.advance(45)
    assert (later.expired, sooner.expired) == (1, 1)


def test_disarmed_and_dropped_items_do_not_expire_and_are_forgotten(reactor: Any) -> None:
    wheel, disarmed, dropped = wheel_of(reactor), Item(), Item()
    wheel.arm(disarmed, 5)
    wheel.arm(dropped, 5)
    wheel.disarm(disarmed)
    wheel.drop(dropped)
    assert dropped.slot == UNFILED
    reactor.advance(20)
    assert disarmed.expired == dropped.expired == 0
    assert disarmed.slot == UNFILED
    assert not wheel._slots


def test_rearming_costs_no_timer_of_the_reactor(reactor: Any) -> None:
    wheel, items = wheel_of(reactor), [Item() for _ in range(100)]
    for _ in range(10):
        for item in items:
            wheel.arm(item, 1800)
    assert len(reactor.calls) == 1


def test_an_item_may_be_armed_while_it_expires(reactor: Any) -> None:
    wheel = wheel_of(reactor)

    class Again(Item):
        def expire(self) -> None:
            super().expire()
            wheel.arm(self, 1)

    item = Again()
    wheel.arm(item, 1)
    reactor.advance(10)
    assert 6 <= item.expired <= 10


def test_turns_come_in_order_and_leave_room_between_rounds(reactor: Any) -> None:
    now = [0.0]
    turns = Turns(reactor, budget=1.0, clock=lambda: now[0])
    done: list[str] = []

    def turn(name: str, cost: float) -> Any:
        def run() -> None:
            now[0] += cost
            done.append(name)
            if name == "a":
                turns.add(turn("again", 0))
        return run

    for name, cost in (("a", 0.1), ("b", 2.0), ("c", 0.1)):
        turns.add(turn(name, cost))
    _, _, first = reactor.calls[0]
    reactor.calls.clear()
    first.call()
    assert done == ["a", "b"]
    reactor.advance(0)
    assert done == ["a", "b", "c", "again"]
