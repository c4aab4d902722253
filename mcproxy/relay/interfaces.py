"""What a session needs of others: links, limits, and somebody to tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcproxy.relay.secured import Connection
from mcproxy.wire.outcome import Refusal

if TYPE_CHECKING:
    from mcproxy.relay.link import Link, SharedLinks
    from mcproxy.relay.session import Session


class Links(Protocol):
    """Where a session gets its links from: relay.pool.Pool."""

    shared: "SharedLinks"
    """Those in service."""

    def open_private(self, ready: "Callable[[Link | None], None]") -> None:
        """Open a link for one request; `ready` is called with it, or with None if that failed."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """`pipeline` answers in flight; `buffer` bytes queued towards the client before no more is asked for.

    Seconds: `stall_timeout` for a client that takes nothing, or leaves a frame unfinished; `idle_timeout`, 0 for none.
    """

    pipeline: int = 1000
    buffer: int = 2 * 1024 * 1024
    stall_timeout: float = 30.0
    idle_timeout: float = 0.0


class Observer(Protocol):
    """What is told of a session's life."""

    def refused(self, session: "Session", refusal: Refusal) -> None:
        """A request was answered by the proxy itself."""

    def log_in_again(self, session: "Session", connection: Connection, data: bytes) -> None:
        """The client starts another login with `data`; the session is over and the connection the observer's."""

    def closed(self, session: "Session", reason: str) -> None:
        """The session is over and its connection closed."""

    def linger(self, session: "Session", connection: Connection, reason: str) -> None:
        """The session is over; the connection is the observer's, to be closed so that the last reply arrives."""
