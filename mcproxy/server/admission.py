"""How many connections there may be: in all, not yet logged in, and from one address."""

from collections import Counter

import trio

# Connections from one address that are not logged in. Loopback and unix sockets have no such cap.
LOGINS_PER_ADDRESS = 64


class Place:
    """One connection's place. It is given up once, whatever happens to the connection."""

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

    def logs_in_again(self) -> bool:
        """It counts as not logged in again; False if there are too many of these."""
        if not self._waiting:
            if not self._admission.may_wait(self.address):
                return False
            self._waiting = True
            self._admission.add_waiting(self.address)
        return True

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
        # While as many are logging in as may: set when there is room again. Until then nobody is accepted.
        self.full: trio.Event | None = None
        self._most = connections
        self._most_per_address = per_address
        self._most_waiting = logins
        self._by_address: Counter[str] = Counter()
        self._waiting_by_address: Counter[str] = Counter()

    def enter(self, address: str | None) -> "Place | str":
        """A place, or why there is none: "too_many" or "too_many_from_address"."""
        if self.connections >= self._most or self.waiting >= self._most_waiting:
            return "too_many"
        if address is not None:
            if self._most_per_address and self._by_address[address] >= self._most_per_address:
                return "too_many_from_address"
            if not self.may_wait(address):
                return "too_many_from_address"
            self._by_address[address] += 1
        self.connections += 1
        self.add_waiting(address)
        return Place(self, address)

    def may_wait(self, address: str | None) -> bool:
        """Whether one more of this address may be logging in."""
        if self.waiting >= self._most_waiting:
            return False
        return address is None or self._waiting_by_address.get(address, 0) < LOGINS_PER_ADDRESS

    def add_waiting(self, address: str | None) -> None:
        self.waiting += 1
        if self.waiting >= self._most_waiting and self.full is None:
            self.full = trio.Event()
        if address is not None:
            self._waiting_by_address[address] += 1

    def remove_waiting(self, address: str | None) -> None:
        self.waiting -= 1
        if self.full is not None:
            self.full.set()
            self.full = None
        _decrement(self._waiting_by_address, address)

    def remove(self, address: str | None) -> None:
        self.connections -= 1
        _decrement(self._by_address, address)


def _decrement(counts: "Counter[str]", address: str | None) -> None:
    if address is not None:
        counts[address] -= 1
        if not counts[address]:
            del counts[address]
