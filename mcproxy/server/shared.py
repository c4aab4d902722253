"""What is limited for the proxy as a whole, in the form in which connections ask for it.

One process counts for itself: admission.py and attempts.py. Of several workers each asks the parent, which counts with
the same two: mcproxy/workers.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from mcproxy.auth.preparation import NAME_LIMIT
from mcproxy.auth.throttle import Standing
from mcproxy.observe.metrics import ConnectionRefusal

NAME_LENGTH: Final = NAME_LIMIT
"""Characters of a name that is tried: no user has a longer one, so what is beyond says nothing."""

NoRoom = Callable[[], ConnectionRefusal | None]
"""What is called when there is no room for a newcomer: it may make some, or say why he shouldn't wait."""


class Undecided(Exception):
    """Whoever counts for all workers doesn't answer. What was asked for is refused."""


class Place(Protocol):
    """One connection's place. It is given up once, whatever happens to the connection."""

    def logged_in(self) -> None:
        """It counts as a session from now on."""

    async def logs_in_again(self) -> bool:
        """It counts as not logged in again; False if there are too many of these, or nobody to ask."""

    async def comes_from(self, address: str) -> ConnectionRefusal | None:
        """A balancer said whose connection it is: it counts against the caps of that address too, or why it can't.

        For a place without an address. Never waits for others: the place is held all along. Raises Undecided.
        """

    def release(self) -> None:
        """The connection is gone."""


class Entrance(Protocol):
    """Where connections get their places."""

    async def is_ahead(self) -> bool:
        """Whether another worker has fewer connections."""

    async def enter(self, listener: str, address: str | None, no_room: NoRoom) -> Place | ConnectionRefusal:
        """A place, or why there is none. Waits while as many log in on this listener as may. Raises Undecided.

        An address of None (loopback, unix) has no cap of its own. `no_room` is called when it has to wait, and then
        again and again.
        """


class Attempt(Protocol):
    """One password that is to be checked. `wait` is in seconds; None: it must not be checked in the time it has."""

    @property
    def wait(self) -> float | None:
        """How long to wait before the check."""

    @property
    def standing(self) -> Standing:
        """Who goes first where checks have to queue."""

    async def failed(self) -> None:
        """It was wrong, and is counted before anybody is told. Raises Undecided."""

    def succeeded(self) -> None:
        """It was right."""


class Attempts(Protocol):
    """Who may try a password, and when."""

    def attempt(
        self, source: str, username: str, patience: float, seconds: float
    ) -> AbstractAsyncContextManager[Attempt]:
        """Waits for a turn, which ends with the context. Raises Undecided.

        Its slot has to begin within `patience` seconds; what comes of it is known within `seconds`, which may be more.
        `source` is an address, or `unix:<uid>`; `username` is what the client claims, NAME_LENGTH characters at most.
        """
