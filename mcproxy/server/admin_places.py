"""Who has a place among an admin port's connections, and who loses it when there are too many.

Neither silent ones, nor slow readers, nor those who ask for pages all the time keep others out so: above all not who
asks for /healthz, which takes no time.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import trio

from mcproxy.auth.buckets import source_of
from mcproxy.config.addresses import parse_ip
from mcproxy.observe.log import get_logger

CONNECTIONS: Final = 32
"""At once, on one socket."""
CONNECTIONS_PER_SOURCE: Final = 8
"""Of these from one source (auth/buckets.py). Loopback and unix sockets have no such cap."""
MOST_WAITING: Final = 24
"""Of these that wait for a page and keep their places meanwhile."""

log = get_logger()


class Stage(IntEnum):
    """Where a connection is. The lower goes first."""

    SURPLUS = 0
    """It waits for us to make its page, as MOST_WAITING others do."""
    SILENT = 1
    """Nothing has come."""
    ASKING = 2
    """Its request hasn't come, or not all of it."""
    READING = 3
    """Its reply isn't taken."""
    HANDSHAKE = 4
    """It waits for us to do a step of its handshake."""
    PAGE = 5
    """It waits for us to make its page."""


_WAITS_FOR_US: Final = frozenset({Stage.HANDSHAKE, Stage.PAGE})


@dataclass(eq=False, slots=True)
class Place:
    """One connection's. `key` is what its source is counted as. It ends when `scope` is cancelled."""

    source: str
    key: str
    stage: Stage = Stage.SILENT
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Places:
    """One listening socket's."""

    def __init__(self) -> None:
        self._places: dict[Place, None] = {}  # the oldest first

    def take(self, source: str) -> Place | None:
        """A place for one more connection, if need be that of another; None if there is none to be had.

        Who holds most places loses one: the oldest of those in the lowest stage. What waits for us and not for its
        client gives way to nobody who holds as many, or connecting again and again would keep all from an answer.
        """
        new = Place(source, source_of(source).key)
        counts = Counter(place.key for place in self._places)
        counts[new.key] += 1
        address = parse_ip(source)
        capped = address is not None and not address.is_loopback
        own_share = capped and counts[new.key] > CONNECTIONS_PER_SOURCE
        if own_share or counts.total() > CONNECTIONS:
            can_go = [
                place
                for place in self._places
                if (place.stage not in _WAITS_FOR_US or counts[place.key] > counts[new.key])
                and (not own_share or place.key == new.key)
            ]
            # Of those that are alike max gives the first, which is the oldest. Of surplus ones it has to be the newest,
            # or none of them would be left when the page is there.
            surplus = [place for place in reversed(can_go) if place.stage is Stage.SURPLUS]
            others = [place for place in can_go if place.stage is not Stage.SURPLUS]
            lost = max([*surplus, *others], key=lambda place: (counts[place.key], -place.stage), default=None)
            refused = new if lost is None else lost
            log.warning("admin_connection_refused", reason="too many connections", source=refused.source)
            if lost is None:
                return None
            del self._places[lost]
            lost.scope.cancel()
        self._places[new] = None
        return new

    def give_back(self, place: Place) -> None:
        """It has ended."""
        self._places.pop(place, None)

    def waits(self, place: Place) -> None:
        """It waits for a page from now on. Of those that keep their places meanwhile no source has all."""
        keeping = [other for other in self._places if other.stage is Stage.PAGE]
        place.stage = Stage.PAGE
        if len(keeping) >= MOST_WAITING:
            counts = Counter(other.key for other in [*keeping, place])
            most = max(keeping, key=lambda other: counts[other.key])
            (most if counts[most.key] > counts[place.key] else place).stage = Stage.SURPLUS
