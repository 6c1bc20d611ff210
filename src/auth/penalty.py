"""Growing delays for addresses that guess: 2, 4, 8, then 15 seconds, forgotten some minutes after the last failure.

- An IPv6 address counts as its /64: one line is given that many.
- The same wrong password for the same user again adds nothing: that is a client with an old setting, not a guesser.
- A success clears what this user's failures added, not what failures with other names did: whoever guesses cannot
  wash himself with an account of his own.
- A user who came in from an address lately is not made to wait there for what others do (one address may be a
  whole office or a webmail), until a failure with this name.
- Memory is bounded: the address that failed least lately is forgotten first.

Times are handed in; nothing here reads a clock.
"""

import functools
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field

STEPS = (0, 2, 4, 8, 15)
FORGET = 300.0
TRUST = 86_400.0
MAX_ADDRESSES = 50_000
_MAX_NAMES = 8


@functools.lru_cache(4096)
def network_of(address: str) -> str:
    """What is counted as one: the IPv4 address or the IPv6 /64; "" stays as it is (a UNIX socket)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))


@dataclass(slots=True)
class _Guesser:
    last: float
    failures: dict[int, int] = field(default_factory=dict)
    """By hash(user): a name can be long, and so can the list of those who guess."""
    tried: set[bytes] = field(default_factory=set)

    def delay(self) -> int:
        return STEPS[min(sum(self.failures.values()), len(STEPS) - 1)]


class Penalties:
    """The delays of all addresses."""

    def __init__(self, limit: int = MAX_ADDRESSES) -> None:
        self._limit = limit
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._trusted: OrderedDict[tuple[str, str], float] = OrderedDict()

    def delay(self, address: str, user: str, now: float) -> int:
        """Seconds to wait before this user's attempt from this address is looked at."""
        network = network_of(address)
        since = self._trusted.get((network, user))
        if since is not None and now - since < TRUST:
            return 0
        guesser = self._current(network, now)
        return guesser.delay() if guesser else 0

    def failed(self, address: str, user: str, attempt: bytes | None, now: float) -> int:
        """Counts a failure; the seconds after its beginning at which it is to be answered. `attempt` is a keyed
        hash of user and password, where there is a password."""
        network = network_of(address)
        self._trusted.pop((network, user), None)
        guesser = self._current(network, now)
        if guesser is None:
            guesser = self._guessers[network] = _Guesser(now)
            while len(self._guessers) > self._limit:
                self._guessers.popitem(last=False)
        guesser.last = now
        self._guessers.move_to_end(network)
        if attempt is None or attempt not in guesser.tried:
            name = hash(user)
            if name not in guesser.failures and len(guesser.failures) >= _MAX_NAMES:
                name = 0
            guesser.failures[name] = min(guesser.failures.get(name, 0) + 1, len(STEPS))
            if attempt is not None and len(guesser.tried) < _MAX_NAMES:
                guesser.tried.add(attempt)
        return guesser.delay()

    def succeeded(self, address: str, user: str, now: float) -> None:
        """This user is in."""
        network = network_of(address)
        self._trusted[(network, user)] = now
        self._trusted.move_to_end((network, user))
        while len(self._trusted) > self._limit:
            self._trusted.popitem(last=False)
        guesser = self._current(network, now)
        if guesser is not None:
            guesser.failures.pop(hash(user), None)
            if not guesser.failures:
                del self._guessers[network]

    def _current(self, network: str, now: float) -> _Guesser | None:
        guesser = self._guessers.get(network)
        if guesser is not None and now - guesser.last > FORGET:
            del self._guessers[network]
            return None
        return guesser
