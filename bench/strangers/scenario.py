"""Who guesses at whom, and which honest users log in meanwhile: the same for the real program and for a simulated hour.

Addresses are of 10/8, and conveyed by a balancer's PROXY header, so that one machine can come from all of them: the
throttle counts loopback as one.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

ATTACKED = "sammy"
NEIGHBOUR = "alex"
NEWCOMER = "maria"
HOME = "10.2.0.1"
MANY_NAMES = 1000


@dataclass(frozen=True)
class Attack:
    """`names` that are guessed at, from `addresses`. Of 1,000 names 200 are users'."""

    addresses: int
    names: int

    @property
    def what(self) -> str:
        addresses = "1 address" if self.addresses == 1 else f"{self.addresses:,} addresses"
        names = "one name" if self.names == 1 else f"{self.names:,} names"
        return f"{addresses}, {names}"

    def address(self, number: int) -> str:
        return f"10.1.{number // 250}.{number % 250 + 1}"

    def name(self, chosen: random.Random) -> str:
        return ATTACKED if self.names == 1 else f"user{chosen.randrange(self.names):04}"


ATTACKS = tuple(Attack(addresses, names) for names in (1, MANY_NAMES) for addresses in (1, 1000))


@dataclass
class Honest:
    """Somebody with the right password, again and again. `was_here` before the attack began."""

    who: str
    name: str
    address: str = ""
    """Empty: a new one each time."""
    was_here: bool = True
    waits: list[float] = field(default_factory=list)
    """Seconds of each login that succeeded."""
    refused: int = 0

    def addresses(self) -> Iterator[str]:
        for number in range(250 * 250):
            yield self.address or f"10.3.{number // 250}.{number % 250 + 1}"

    def row(self) -> list[str]:
        tried = len(self.waits) + self.refused
        waits = sorted(self.waits) or [float("nan")]
        shown = [waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1]]
        return [self.who, f"{len(self.waits)} of {tried}", *(f"{wait * 1000:,.0f}" for wait in shown)]


def honest_users(attack: Attack) -> list[Honest]:
    theirs = attack.address(0)
    return [
        Honest(f"{ATTACKED}, at home", ATTACKED, HOME),
        Honest(f"{ATTACKED}, at a new address each time", ATTACKED, was_here=False),
        Honest(f"{NEIGHBOUR}, at an attacker's address, was there before", NEIGHBOUR, theirs),
        Honest(f"{NEWCOMER}, at an attacker's address, for the first time", NEWCOMER, theirs, was_here=False),
        Honest(f"{ATTACKED}, at an attacker's address, was there before", ATTACKED, theirs),
    ]
