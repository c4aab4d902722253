"""An hour of guessing at the throttle itself, by a clock that is only counted."""

import heapq
import itertools
import random
from collections.abc import Iterator, Mapping

from bench.strangers.scenario import Attack, Honest, honest_users
from mcproxy.auth.throttle import Slot, Throttle

HANDS = 2
"""Attempts of one address at once: its turns."""
PATIENCE = 4.8
"""The default login timeout, less what is kept for the answer."""
BETWEEN = 10.0
"""Seconds between two logins of an honest user."""


def simulate(attack: Attack, seconds: float, tries_per_second: float) -> tuple[int, list[Honest]]:
    """How many guesses were checked, and what honest users met. Checking takes no time."""
    throttle, chosen, order = Throttle(), random.Random(0), itertools.count()
    honest = honest_users(attack)
    for user in honest:
        if user.was_here:
            throttle.attempt(user.address, user.name, 0.0, PATIENCE).succeeded(0.0)
    hands = max(attack.addresses, HANDS)
    pause = hands / tries_per_second
    # Time, order, and who: a guesser's number, or an honest user and his next addresses.
    events: list[tuple[float, int, int | Honest, Slot | None]] = []
    for number in range(hands):
        events.append((chosen.uniform(0.0, pause), next(order), number, None))
    addresses = {id(user): user.addresses() for user in honest}
    events += [(chosen.uniform(0.0, BETWEEN), next(order), user, None) for user in honest]
    heapq.heapify(events)
    checked = 0
    while events[0][0] < seconds:
        now, _, who, slot = heapq.heappop(events)
        if slot is not None and isinstance(who, int):
            slot.failed(now)
            checked += 1
        elif slot is not None and isinstance(who, Honest):
            slot.succeeded(now)
        else:
            slot = begin(throttle, attack, who, now, chosen, addresses)
            if slot.wait is not None:
                heapq.heappush(events, (now + slot.wait, next(order), who, slot))
                continue
        between = BETWEEN if isinstance(who, Honest) else pause * chosen.uniform(0.5, 1.5)
        heapq.heappush(events, (now + between, next(order), who, None))
    return checked, honest


def begin(
    throttle: Throttle,
    attack: Attack,
    who: int | Honest,
    now: float,
    chosen: random.Random,
    addresses: Mapping[int, Iterator[str]],
) -> Slot:
    if isinstance(who, int):
        return throttle.attempt(attack.address(who % attack.addresses), attack.name(chosen), now, PATIENCE)
    slot = throttle.attempt(next(addresses[id(who)]), who.name, now, PATIENCE)
    if slot.wait is None:
        who.refused += 1
    else:
        who.waits.append(slot.wait)
    return slot
