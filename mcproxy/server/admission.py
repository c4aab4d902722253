"""How many connections there may be: in all, of one address, and not yet logged in of one listener and of one source.
Counted here for one process or for all workers."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, Final

import trio

from mcproxy.auth.buckets import source_of
from mcproxy.config.schema import Limits
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.observe.saturation import DRAINING, Saturation
from mcproxy.server.shared import NoRoom

LOGINS_PER_SOURCE: Final = 64
"""Connections that are not logged in, from what the throttle counts as one source: an IPv4 address, an IPv6 /64.
Loopback and unix sockets have no such cap."""
LOOK_AGAIN: Final = 0.1
"""Seconds after which somebody who waits for room is asked for anew what may be done."""


class CountedPlace:
    """One connection's place, as Place of shared.py has it."""

    __slots__ = ("_admission", "_held", "_waiting", "address", "queue")

    def __init__(self, admission: "Admission", queue: Hashable, address: str | None) -> None:
        self.queue = queue
        self.address = address
        self._admission = admission
        self._held = True
        self._waiting = True

    def logged_in(self) -> None:
        """It counts as a session from now on."""
        if self._waiting:
            self._waiting = False
            self._admission.remove_waiting(self.queue, self.address)

    async def logs_in_again(self) -> bool:
        """It counts as not logged in again; False if there are too many of these."""
        return self.waits_again()

    def waits_again(self) -> bool:
        """As logs_in_again, which is asynchronous only where somebody else must be asked."""
        if not self._waiting:
            if not self._held or not self._admission.may_wait(self.queue, self.address):
                return False
            self._waiting = True
            self._admission.add_waiting(self.queue, self.address)
        return True

    async def comes_from(self, address: str) -> ConnectionRefusal | None:
        """As Place.comes_from of shared.py."""
        return self.comes_from_now(address)

    def comes_from_now(self, address: str) -> ConnectionRefusal | None:
        """As comes_from, which is asynchronous only where somebody else must be asked."""
        if self.address is None and self._held and self._waiting:
            if (refusal := self._admission.count_address(address)) is not None:
                return refusal
            self.address = address
        return None

    def release(self) -> None:
        """The connection is gone."""
        self.logged_in()
        if self._held:
            self._held = False
            self._admission.remove(self.address)


class Admission:
    """Counts places. `per_address` 0: no cap after login; an address of None (loopback, unix) has no cap at all.

    `queue` is a listener, or one worker's part of a listener: those who come by one of them wait for each other, so
    each has places of its own for those who log in. Of several workers each has an equal part of `logins`, since only
    those in the same process can be made to give up their places (crowd.py).
    """

    def __init__(self, connections: int, per_address: int, logins: int, workers: int = 1) -> None:
        self._workers = workers
        self.connections = 0
        self.waiting = 0
        self._most = connections
        self._most_per_address = per_address
        self._most_waiting = max(1, logins // workers)
        # Set, and replaced, when there is room for somebody to log in again.
        self._room = trio.Event()
        self._waiting: Counter[Hashable] = Counter()
        self._by_address: Counter[str] = Counter()
        self._waiting_by_source: Counter[str] = Counter()

    @property
    def most_connections(self) -> int:
        """How many there may be."""
        return self._most

    @classmethod
    def of(cls, limits: Limits, workers: int = 1) -> "Admission":
        """With the limits of a configuration."""
        return cls(limits.connections, limits.connections_per_address, limits.login_connections, workers)

    def change_limits(self, limits: Limits) -> None:
        """Those of another configuration. Who is inside stays, however many they are."""
        self._most = limits.connections
        self._most_per_address = limits.connections_per_address
        self._most_waiting = max(1, limits.login_connections // self._workers)
        self._room.set()
        self._room = trio.Event()

    async def is_ahead(self) -> bool:
        """A single process has nobody to be ahead of."""
        return False

    async def enter(
        self, queue: Hashable, address: str | None, no_room: NoRoom = lambda: None
    ) -> CountedPlace | ConnectionRefusal:
        """As Entrance.enter of shared.py.

        After a restart all clients come back at once; the kernel keeps those waiting behind this one.
        """
        while (place := self.enter_now(queue, address)) is None:
            if (refusal := no_room()) is not None:
                return refusal
            with trio.move_on_after(LOOK_AGAIN):
                await self._room.wait()
        return place

    def enter_now(self, queue: Hashable, address: str | None) -> CountedPlace | ConnectionRefusal | None:
        """As enter, but None for whoever has to wait until somebody else has logged in."""
        if self.connections >= self._most:
            return ConnectionRefusal.TOO_MANY
        if address is not None and self._is_at_cap(address):
            return ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        if self._waiting[queue] >= self._most_waiting:
            return None
        self.connections += 1
        if address is not None:
            self._by_address[address] += 1
        self.add_waiting(queue, address)
        return CountedPlace(self, queue, address)

    def count_address(self, address: str) -> ConnectionRefusal | None:
        """A connection that isn't logged in is one of this address; or why there may be no more of them."""
        if self._is_at_cap(address):
            return ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        self._by_address[address] += 1
        self._waiting_by_source[source_of(address).key] += 1
        return None

    def _is_at_cap(self, address: str) -> bool:
        if self._most_per_address and self._by_address[address] >= self._most_per_address:
            return True
        return self._waiting_by_source[source_of(address).key] >= LOGINS_PER_SOURCE

    def may_wait(self, queue: Hashable, address: str | None) -> bool:
        """Whether one more of this queue and this address may be logging in."""
        if self._waiting[queue] >= self._most_waiting:
            return False
        return address is None or self._waiting_by_source[source_of(address).key] < LOGINS_PER_SOURCE

    def add_waiting(self, queue: Hashable, address: str | None) -> None:
        self.waiting += 1
        self._waiting[queue] += 1
        if address is not None:
            self._waiting_by_source[source_of(address).key] += 1

    def remove_waiting(self, queue: Hashable, address: str | None) -> None:
        if self._waiting[queue] >= self._most_waiting:
            self._room.set()
            self._room = trio.Event()
        self.waiting -= 1
        _decrement(self._waiting, queue)
        if address is not None:
            _decrement(self._waiting_by_source, source_of(address).key)

    def remove(self, address: str | None) -> None:
        self.connections -= 1
        if address is not None:
            _decrement(self._by_address, address)


def saturation_of(admission: Admission, limits: Limits, not_ready: Callable[[], str | None]) -> Saturation:
    """For the metrics of the process that admits. `limits.total_buffer` is one that no reload changes."""
    return Saturation(
        connections=admission.connections,
        connections_limit=admission.most_connections,
        buffered_bytes_limit=limits.total_buffer,
        draining=not_ready() == DRAINING,
    )


def _decrement(counts: "Counter[Any]", key: Hashable) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
