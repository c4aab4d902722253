"""How many connections there may be: in all, not yet logged in, and from one address. Counted here for one process or
for all workers."""

from collections import Counter

import trio

from mcproxy.config.schema import Limits
from mcproxy.observe.metrics import ConnectionRefusal

# Connections from one address that are not logged in. Loopback and unix sockets have no such cap.
LOGINS_PER_ADDRESS = 64


class CountedPlace:
    """One connection's place, as Place of shared.py has it."""

    __slots__ = ("_admission", "_held", "_waiting", "address")

    def __init__(self, admission: "Admission", address: str | None) -> None:
        self.address = address
        self._admission = admission
        self._held = True
        self._waiting = True

    def logged_in(self) -> None:
        """It counts as a session from now on."""
        if self._waiting:
            self._waiting = False
            self._admission.remove_waiting(self.address)

    async def logs_in_again(self) -> bool:
        """It counts as not logged in again; False if there are too many of these."""
        return self.waits_again()

    def waits_again(self) -> bool:
        """As logs_in_again, which is asynchronous only where somebody else must be asked."""
        if not self._waiting:
            if not self._held or not self._admission.may_wait(self.address):
                return False
            self._waiting = True
            self._admission.add_waiting(self.address)
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
    """Counts places. `per_address` 0: no cap after login; an address of None (loopback, unix) has no cap at all."""

    def __init__(self, connections: int, per_address: int, logins: int) -> None:
        self.connections = 0
        self.waiting = 0
        self._most = connections
        self._most_per_address = per_address
        self._most_waiting = logins
        # Set, and replaced, when there is room for somebody to log in again.
        self._room = trio.Event()
        self._by_address: Counter[str] = Counter()
        self._waiting_by_address: Counter[str] = Counter()

    @classmethod
    def of(cls, limits: Limits) -> "Admission":
        """With the limits of a configuration."""
        return cls(limits.connections, limits.connections_per_address, limits.login_connections)

    def change_limits(self, limits: Limits) -> None:
        """Those of another configuration. Who is inside stays, however many they are."""
        self._most = limits.connections
        self._most_per_address = limits.connections_per_address
        self._most_waiting = limits.login_connections
        self._room.set()
        self._room = trio.Event()

    @property
    def must_wait(self) -> bool:
        """Whether whoever comes now has to wait until somebody else has logged in."""
        return self.waiting >= self._most_waiting and self.connections < self._most

    async def is_ahead(self) -> bool:
        """A single process has nobody to be ahead of."""
        return False

    async def enter(self, address: str | None) -> CountedPlace | ConnectionRefusal:
        """A place, or why there is none. Waits while as many are logging in as may.

        After a restart all clients come back at once; the kernel keeps those waiting behind this one.
        """
        while self.must_wait:
            await self._room.wait()
        return self.enter_now(address)

    def enter_now(self, address: str | None) -> CountedPlace | ConnectionRefusal:
        """As enter, but whoever would have to wait is refused."""
        if self.connections >= self._most or self.waiting >= self._most_waiting:
            return ConnectionRefusal.TOO_MANY
        if address is not None and (refusal := self.count_address(address)) is not None:
            return refusal
        self.connections += 1
        self.waiting += 1
        return CountedPlace(self, address)

    def count_address(self, address: str) -> ConnectionRefusal | None:
        """One more connection of an address, which isn't logged in; or why there may be no more of them."""
        if self._most_per_address and self._by_address.get(address, 0) >= self._most_per_address:
            return ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        if self._waiting_by_address.get(address, 0) >= LOGINS_PER_ADDRESS:
            return ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        self._by_address[address] += 1
        self._waiting_by_address[address] += 1
        return None

    def may_wait(self, address: str | None) -> bool:
        """Whether one more of this address may be logging in."""
        if self.waiting >= self._most_waiting:
            return False
        return address is None or self._waiting_by_address.get(address, 0) < LOGINS_PER_ADDRESS

    def add_waiting(self, address: str | None) -> None:
        self.waiting += 1
        if address is not None:
            self._waiting_by_address[address] += 1

    def remove_waiting(self, address: str | None) -> None:
        if self.waiting >= self._most_waiting:
            self._room.set()
            self._room = trio.Event()
        self.waiting -= 1
        _decrement(self._waiting_by_address, address)

    def remove(self, address: str | None) -> None:
        self.connections -= 1
        _decrement(self._by_address, address)


def _decrement(counts: "Counter[str]", address: str | None) -> None:
    if address is not None:
        counts[address] -= 1
        if not counts[address]:
            del counts[address]
