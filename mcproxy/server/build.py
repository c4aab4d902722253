"""From checked settings to a server that is ready to run: nothing is opened here but the TLS files."""

import ssl

from mcproxy.auth.users import Users
from mcproxy.config.schema import Settings
from mcproxy.observe.log import log_bug
from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.policy.allowlist import Allowlist
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.server.access import Access
from mcproxy.server.authenticator import Authenticator
from mcproxy.server.shared import Attempts, Entrance
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.server.tls import server_context
from mcproxy.server.upstream import UpstreamLog, connector
from mcproxy.wire.grammar import LINE_LENGTH


def build(settings: Settings, users: Users, entrance: Entrance, attempts: Attempts, *, threads: int) -> ServerState:
    """What all connections of this process share. `threads`: passwords that it hashes at once."""
    limits = settings.limits
    relay = Relay(limits.total_buffer, log_bug, limits.value + LINE_LENGTH)
    state: ServerState

    def snapshot() -> TrafficSnapshot:
        traffic = relay.traffic
        return TrafficSnapshot(
            requests=dict(traffic.requests),
            denied_requests=dict(traffic.denied),
            refused_requests=dict(traffic.refused),
            hits=traffic.hits,
            misses=traffic.lookups - traffic.hits,
            downstream_received_bytes=traffic.downstream_received,
            downstream_sent_bytes=traffic.downstream_sent,
            upstream_received_bytes=traffic.upstream_received,
            upstream_sent_bytes=traffic.upstream_sent,
            buffered_bytes=relay.held,
        )

    metrics = Metrics(settings.listeners, snapshot, lambda: state.not_ready() is None)
    upstream_log = UpstreamLog(metrics, str(settings.upstream.address))
    protocols = sorted({protocol for listener in settings.listeners.values() for protocol in listener.protocols})
    connect = connector(settings.upstream.address)
    pools = {
        protocol: Pool(relay, protocol, connect, settings.upstream.links, settings.upstream.timeout, upstream_log)
        for protocol in protocols
    }
    state = ServerState(
        settings=settings,
        relay=relay,
        pools=pools,
        access=Access(settings),
        authenticator=Authenticator(users, attempts, threads=threads),
        entrance=entrance,
        metrics=metrics,
        session_limits=SessionLimits(limits.pipeline, limits.session_buffer, limits.stall_timeout, limits.idle_timeout),
    )
    return state


def listener_states(settings: Settings) -> dict[str, ListenerState]:
    """Every listener with its allowlist and its TLS context. Raises OSError (ssl.SSLError is one) for TLS files."""
    states = {}
    for name, listener in settings.listeners.items():
        context: ssl.SSLContext | None = None if listener.tls is None else server_context(listener.tls)
        mechanisms = tuple(listener.mechanisms) if "sasl" in listener.authentication else ()
        states[name] = ListenerState(name, listener, Allowlist(listener.allow), context, mechanisms)
    return states
