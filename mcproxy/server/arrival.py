"""From an accepted socket to a client with an address: what a listed balancer says of it first, the allowlist, a place.

A balancer's PROXY header (policy/proxy_header.py) comes before anything else, TLS too. It is read to its last byte and
no further, so whatever follows it is still in the socket.
"""

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import trio

from mcproxy.auth.buckets import source_of
from mcproxy.observe.log import get_logger, log_bug
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.policy.allowlist import canonical_address
from mcproxy.policy.proxy_header import LONGEST_BLOCK, ProxyHeader, ProxyHeaderError, parse_proxy_header
from mcproxy.server.access import unix_peer
from mcproxy.server.connection import STOPPING, Client
from mcproxy.server.crowd import CROWDED_OUT
from mcproxy.server.shared import Place, Undecided
from mcproxy.server.state import ListenerState, ServerState

log = get_logger()
NOT_ALLOWED = "not on the allowlist"
_WORDS = {
    ConnectionRefusal.TOO_MANY: "too many connections",
    ConnectionRefusal.TOO_MANY_FROM_ADDRESS: "too many connections from this address",
    ConnectionRefusal.UNDECIDED: "the parent process does not answer",
    ConnectionRefusal.DRAINING: STOPPING,
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a connection comes from. `address` is canonical, None for a unix socket; `via` the balancer's, if any.

    `exempt`: the socket itself is loopback or unix, and nobody's word was taken for it: no cap of an address applies.
    """

    address: str | None
    exempt: bool
    via: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """What the log has of it."""
        return {"source": self.address or "unix"} | ({} if self.via is None else {"via": self.via})


async def arrive(server: ServerState, listener: ListenerState, connection: socket.socket, peer: object) -> None:
    """Refuse an accepted connection, or let it run in a task of its own. Waits while as many log in here as may."""
    source = Source(None, exempt=True)
    balancer = False
    if connection.family != socket.AF_UNIX:
        address = canonical_address(peer[0] if isinstance(peer, tuple) else "")
        source = Source(str(address), exempt=address is not None and address.is_loopback)
        balancer = listener.balancers.admits(str(address))
        if not balancer and not listener.allowlist.admits(str(address)):
            _refuse(server, listener, connection, source, ConnectionRefusal.NOT_ALLOWED, NOT_ALLOWED)
            return
    if server.ending:
        _refuse(server, listener, connection, source, ConnectionRefusal.DRAINING, STOPPING)
        return
    # A balancer's connections are many people's: until its header tells whose this one is, no address is counted.
    place = await _enter(server, listener, connection, None if balancer else source)
    if isinstance(place, ConnectionRefusal):
        _refuse(server, listener, connection, source, place, _WORDS[place])
        return
    connection.setblocking(False)
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if balancer:
        server.start_arriving(_Announced(server, listener, connection, source, place).run)
    else:
        server.start_arriving(_client(server, listener, connection, source, place).run)


async def _enter(
    server: ServerState, listener: ListenerState, connection: socket.socket, source: Source | None
) -> Place | ConnectionRefusal:
    """A place, or why there is none. `source` is None for a connection of a balancer, whose header is still to tell."""
    crowd = server.crowds[listener.name]
    counted = None if source is None or source.exempt else source.address
    if counted is not None and crowd.was_made_by(source_of(counted).key):
        return ConnectionRefusal.TOO_MANY_FROM_ADDRESS

    def no_room() -> ConnectionRefusal | None:
        if trio.current_time() >= server.enters_until:
            return ConnectionRefusal.DRAINING
        key = None if source is None else _key(source, connection)
        may_wait = crowd.make_room_for(key) or counted is None
        return None if may_wait else ConnectionRefusal.TOO_MANY_FROM_ADDRESS

    try:
        # A parent's answer would else wait for the relay, which lingers for more from its sessions.
        with server.relay.busy():
            return await server.entrance.enter(listener.name, counted, no_room)
    except Undecided:
        return ConnectionRefusal.UNDECIDED
    except BaseException:
        connection.close()
        raise


def _key(source: Source, connection: socket.socket) -> str:
    """What counts as one source."""
    return f"unix:{unix_peer(connection).uid}" if source.address is None else source_of(source.address).key


def _client(
    server: ServerState,
    listener: ListenerState,
    connection: socket.socket,
    source: Source,
    place: Place,
    arrived: float | None = None,
) -> Client:
    server.metrics.connection_accepted(listener.name)
    log.debug("connection_accepted", listener=listener.name, **source.fields)
    return Client(server, listener, connection, source.address, place, via=source.via, arrived=arrived)


class _Announced:
    """A connection of a balancer, whose header is to come. Until it has, the place counts in all but for no address."""

    def __init__(
        self, server: ServerState, listener: ListenerState, connection: socket.socket, balancer: Source, place: Place
    ) -> None:
        self._server = server
        self._listener = listener
        self._connection = connection
        self._balancer = balancer
        self._place = place
        # As long as nobody has said whose connection it is.
        self._source = Source("unknown", exempt=False, via=balancer.address)

    async def run(self) -> None:
        """From the accept to the session. Never raises for anything that the client or the balancer does."""
        arrived = trio.current_time()
        client = None
        try:
            if await self._has_come(arrived + self._server.generation.settings.limits.login_timeout):
                client = _client(
                    self._server, self._listener, self._connection, self._source, self._place, arrived=arrived
                )
        except OSError as error:
            self._lost(error.strerror or type(error).__name__)
        except Exception as error:
            log_bug(error)
        finally:
            if client is None:
                self._connection.close()
                self._place.release()
        if client is not None:
            await client.run()

    async def _has_come(self, deadline: float) -> bool:
        """Whether a client is there and may go on. Raises OSError."""
        crowd, source = self._server.crowds[self._listener.name], f"via {self._balancer.address}"
        with (
            self._server.relay.busy(),
            trio.move_on_at(deadline) as scope,
            crowd.joined_by(source, self._connection, scope) as waiting,
        ):
            try:
                header = await read_header(self._connection)
            except ProxyHeaderError as error:
                return self._refused(ConnectionRefusal.PROXY_HEADER, str(error))
            if header is None:
                # Opened and closed: how balancers look whether somebody listens.
                self._lost("closed by the balancer")
                return False
            return await self._may_come(header.source)
        if waiting.crowded_out and self._server.ending:
            return self._refused(ConnectionRefusal.DRAINING, STOPPING)
        if waiting.crowded_out:
            return self._refused(ConnectionRefusal.CROWDED_OUT, CROWDED_OUT)
        return self._refused(ConnectionRefusal.PROXY_HEADER, "no PROXY header in time")

    async def _may_come(self, conveyed: IPv4Address | IPv6Address | None) -> bool:
        if conveyed is None:
            self._source = self._balancer
        else:
            self._source = Source(str(conveyed), exempt=False, via=self._balancer.address)
            if conveyed.is_loopback and not self._balancer.exempt:
                why = "the PROXY header names a loopback address, though the balancer is on another machine"
                return self._refused(ConnectionRefusal.PROXY_HEADER, why)
        address = self._source.address
        if address is None or not self._listener.allowlist.admits(address):
            return self._refused(ConnectionRefusal.NOT_ALLOWED, NOT_ALLOWED)
        if not self._source.exempt:
            refusal = await self._counted_for(address)
            if refusal is not None:
                return self._refused(refusal, _WORDS[refusal])
        return True

    async def _counted_for(self, address: str) -> ConnectionRefusal | None:
        if self._server.crowds[self._listener.name].was_made_by(source_of(address).key):
            return ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        try:
            return await self._place.comes_from(address)
        except Undecided:
            return ConnectionRefusal.UNDECIDED

    def _lost(self, why: str) -> None:
        log.debug("connection_lost", why=why, listener=self._listener.name, **self._source.fields)

    def _refused(self, reason: ConnectionRefusal, why: str) -> bool:
        _note_refusal(self._server, self._listener, self._source, reason, why)
        return False


async def read_header(connection: socket.socket) -> ProxyHeader | None:
    """The header that comes first, taken out of a non-blocking socket; None if the end comes before it has begun.

    Raises ProxyHeaderError, and OSError.
    """
    taken = b""
    while True:
        try:
            # What is only looked at can be left: behind the header stands what is for others to read.
            seen = connection.recv(16 + LONGEST_BLOCK - len(taken), socket.MSG_PEEK)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(connection)
            continue
        if not seen:
            if taken:
                raise ProxyHeaderError("the PROXY header breaks off")
            return None
        header = parse_proxy_header(taken + seen)
        connection.recv(len(seen) if header is None else header.length - len(taken))
        if header is not None:
            return header
        taken += seen


def _refuse(
    server: ServerState,
    listener: ListenerState,
    connection: socket.socket,
    source: Source,
    reason: ConnectionRefusal,
    why: str,
) -> None:
    connection.close()
    _note_refusal(server, listener, source, reason, why)


def _note_refusal(
    server: ServerState, listener: ListenerState, source: Source, reason: ConnectionRefusal, why: str
) -> None:
    server.metrics.connection_refused(listener.name, reason)
    log.warning("connection_refused", listener=listener.name, reason=why, **source.fields)
