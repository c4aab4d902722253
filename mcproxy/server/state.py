"""What all connections of one server share."""

import math
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.users import Users
from mcproxy.config.schema import DEFAULT_UPSTREAM, Listener, Settings, Upstream
from mcproxy.files.last_used import LastUsed
from mcproxy.observe.metrics import Metrics
from mcproxy.observe.saturation import DRAINING
from mcproxy.policy.allowlist import Allowlist
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.relay.session import Session, Translate
from mcproxy.server.access import Access
from mcproxy.server.admin_access import AdminMaterial
from mcproxy.server.authenticator import Authenticator
from mcproxy.server.crowd import Crowds
from mcproxy.server.shared import Entrance
from mcproxy.server.trust import TrustMaterial
from mcproxy.server.upstream_logins import UpstreamLogins
from mcproxy.wire.to_binary import to_binary
from mcproxy.wire.to_text import to_text
from mcproxy.wire.to_twemproxy import to_twemproxy

if TYPE_CHECKING:
    from mcproxy.server.connection import Client


class PoolName(NamedTuple):
    """Links to one upstream in one protocol."""

    upstream: str
    protocol: str


def translation(upstream: Upstream, protocol: str) -> Translate | None:
    """What makes the requests of clients that speak `protocol` into what goes up; None if that is the same."""
    if upstream.engine == "twemproxy":
        return to_twemproxy
    if upstream.spoken(protocol) == protocol:
        return None
    return to_binary if protocol == "text" else to_text


@dataclass(frozen=True)
class UpstreamState:
    """One upstream of the configuration, made ready. `context` is of its TLS; `login` is who we are there, and `logins`
    what has come of it.

    `trust` tells one state of what its certificate is held to from another, and `shown` that of our own certificate and
    its key; both None without TLS. `expiries` are as a listener's.
    """

    name: str
    settings: Upstream
    context: ssl.SSLContext | None = None
    trust: bytes | None = field(default=None, repr=False)
    shown: bytes | None = field(default=None, repr=False)
    login: Credentials | None = field(default=None, repr=False)
    logins: UpstreamLogins = field(default_factory=UpstreamLogins, repr=False, compare=False)
    expiries: Mapping[str, float] = field(default_factory=dict)

    @property
    def may_hold_grants(self) -> bool:
        """Whether upstream may know who we are, and what we may do there."""
        return self.settings.engine == "mcproxy" or self.context is not None or self.login is not None


@dataclass(frozen=True)
class ListenerState:
    """One listener of the configuration, made ready. `mechanisms` are for SASL, empty where that is not offered.

    `channel_binding`: tls-server-end-point of the certificate that `context` serves (RFC 5929); None without TLS, and
    where the certificate has none. `trust` is what client certificates are held to, `expiries` when which of the TLS
    files expires (config/expiry.py). `balancers` are the addresses whose
    PROXY header must come and is believed.
    """

    name: str
    settings: Listener
    allowlist: Allowlist
    context: ssl.SSLContext | None
    mechanisms: tuple[str, ...]
    channel_binding: bytes | None
    trust: TrustMaterial | None
    expiries: Mapping[str, float]
    balancers: Allowlist = field(default_factory=lambda: Allowlist(()))


@dataclass(frozen=True)
class Generation:
    """Everything that the files say and a reload replaces: made and checked whole, then swapped in at once (R8)."""

    number: int
    settings: Settings
    users: Users
    access: Access
    listeners: dict[str, ListenerState]
    session_limits: SessionLimits
    upstreams: dict[str, UpstreamState]
    admin: AdminMaterial

    @property
    def expiries(self) -> list[tuple[str, str, float]]:
        """Listener, key of its TLS settings and Unix time in seconds, for the metric.

        The admin port is called `admin`, unless a listener is.
        """
        of_each = {"admin": self.admin.expiries} | {name: state.expiries for name, state in self.listeners.items()}
        return [(name, key, time) for name, expiries in of_each.items() for key, time in expiries.items()]

    @property
    def upstream_expiries(self) -> list[tuple[str, str, float]]:
        """As expiries, of the upstreams."""
        return [(name, key, time) for name, state in self.upstreams.items() for key, time in state.expiries.items()]

    @property
    def pools(self) -> set[PoolName]:
        """What any listener's clients need."""
        settings = self.settings
        return {
            self.pool_of(name, protocol)
            for name, listener in settings.listeners.items()
            for protocol in listener.protocols
        }

    def pool_of(self, listener: str, protocol: str) -> PoolName:
        """Where the requests go that come in by `listener` in `protocol`."""
        upstream = self.settings.upstream_of(listener)
        return PoolName(upstream, self.settings.all_upstreams[upstream].spoken(protocol))


@dataclass
class ServerState:
    """`nursery` is where connections run. `closing` connections of ended sessions still deliver their last replies.
    `clients` are all connections from their accept to their end; `arriving` of them are on their way to a session.
    `draining`: it was told to stop, and /readyz says so. `ending`: nobody is accepted any more, and who has nothing in
    flight goes; `last_session_ended` is set then, when nobody is left who is owed anything. Shortly before, by trio's
    clock `enters_until`, nobody waits any more for room to log in.
    """

    generation: Generation
    relay: Relay
    pools: dict[PoolName, Pool]
    authenticator: Authenticator
    entrance: Entrance
    metrics: Metrics
    last_used: LastUsed
    make_pool: Callable[[PoolName], Pool]
    sessions: set[Session] = field(default_factory=set)
    clients: set["Client"] = field(default_factory=set)
    crowds: Crowds = field(default_factory=Crowds)
    draining: bool = False
    ending: bool = False
    enters_until: float = math.inf
    closing: int = 0
    arriving: int = 0
    last_session_ended: trio.Event = field(default_factory=trio.Event)
    nursery: trio.Nursery | None = None

    def users_now(self) -> tuple[Path | None, Users]:
        """The users file and who is in it."""
        return self.generation.settings.users_file, self.generation.users

    def open_pools(self) -> None:
        """Open links that this generation needs and the last one didn't."""
        for name in sorted(self.generation.pools):
            if name in self.pools:
                self.metrics.links_wanted(name.upstream, name.protocol)
                self.pools[name].wake()
            else:
                self.pools[name] = self.make_pool(name)
                self.start_soon(self.pools[name].run)

    def rest_pools(self) -> None:
        """End links that this generation doesn't need."""
        for name in self.pools.keys() - self.generation.pools:
            self.pools[name].rest()
            self.metrics.links_unwanted(name.upstream, name.protocol)

    def way_up(self, listener: str, protocol: str) -> tuple[Pool, Translate | None]:
        """Where a session's requests go, and what makes them into what is spoken there, if that is not the same."""
        name = self.generation.pool_of(listener, protocol)
        return self.pools[name], translation(self.generation.upstreams[name.upstream].settings, protocol)

    def start_soon(self, function: Callable[..., Awaitable[object]], *arguments: object) -> None:
        """Run something beside everything else."""
        if self.nursery is not None:
            self.nursery.start_soon(function, *arguments)
            self.relay.give_way()

    def start_arriving(self, way: Callable[[], Awaitable[object]]) -> None:
        """Run a connection's way to its session, which the end waits for: what it was read of is answered."""

        async def run() -> None:
            try:
                await way()
            finally:
                self.arriving -= 1
                self.look_for_the_end()

        if self.nursery is not None:
            self.arriving += 1
            self.start_soon(run)

    def session_ended(self, session: Session) -> None:
        """Forget a session."""
        self.sessions.discard(session)
        self.look_for_the_end()

    def closed_gently(self) -> None:
        """A connection of an ended session has been closed."""
        self.closing -= 1
        self.look_for_the_end()

    def look_for_the_end(self) -> None:
        """Set `last_session_ended` when nobody is owed anything any more."""
        if self.ending and not self.sessions and not self.closing and not self.arriving:
            self.last_session_ended.set()

    def not_ready(self) -> str | None:
        """Why requests cannot be served now, or None."""
        if self.draining:
            return DRAINING
        needed = self.generation.pools
        missing = [
            _missing(name, pool) for name, pool in sorted(self.pools.items()) if name in needed and not pool.links
        ]
        return "; ".join(missing) or None


def _missing(name: PoolName, pool: Pool) -> str:
    which = "upstream" if name.upstream == DEFAULT_UPSTREAM else f"upstream {name.upstream}"
    why = "not opened yet" if pool.obstacle is None else pool.obstacle.words
    return f"no link to {which} ({name.protocol}): {why}"
