"""What a session needs of others: links, limits, and somebody to tell."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcproxy.relay.obstacle import NotOpened
from mcproxy.relay.secured import Connection
from mcproxy.wire.outcome import Refusal

if TYPE_CHECKING:
    from mcproxy.relay.link import Link
    from mcproxy.relay.session import Session
    from mcproxy.relay.shared_links import SharedLinks


class Links(Protocol):
    """Where a session gets its links from: relay.pool.Pool."""

    shared: "SharedLinks"
    """Those in service."""

    @property
    def unavailable(self) -> bytes:
        """What clients whose requests get no link are told, behind SERVER_ERROR."""

    def open_private(self, ready: "Callable[[Link | None], None]") -> None:
        """Open a link for one request; `ready` is called with it, or with None if that failed."""


class UpstreamObserver(Protocol):
    """Is told when the links of one upstream come and go; `protocol` is the pool's."""

    def link_opened(self, protocol: str) -> None:
        """A link is in service."""

    def link_lost(self, protocol: str, reason: str) -> None:
        """A link that was in service is gone."""

    def link_retired(self, protocol: str) -> None:
        """A link is out of service, and ends by itself."""

    def link_failed(self, protocol: str, problem: NotOpened, wait: float) -> None:
        """A link could not be opened; the next try comes in about `wait` seconds."""

    def links_outdated(self, protocol: str, outdated: int) -> None:
        """How many links in service were opened with what a reload has replaced."""

    def no_place(self, protocol: str, most: int) -> None:
        """A session waited in vain for a link of its own: `most` are in use."""

    def denied(self, protocol: str) -> None:
        """Upstream has grants of its own: from now on gets of several clients don't go up in one line. Told once."""


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
