"""A server that is ready to run: relay, pools, authenticator and metrics, which outlive every reload."""

from mcproxy.observe.log import log_bug
from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.server.authenticator import Authenticator
from mcproxy.server.shared import Attempts, Entrance
from mcproxy.server.state import Generation, ServerState
from mcproxy.server.upstream import UpstreamLog, connector
from mcproxy.wire.grammar import LINE_LENGTH


def build(generation: Generation, entrance: Entrance, attempts: Attempts, *, threads: int) -> ServerState:
    """What all connections of this process share. `threads`: passwords that it hashes at once."""
    settings = generation.settings
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
        generation=generation,
        relay=relay,
        pools=pools,
        authenticator=Authenticator(generation.users, attempts, threads=threads),
        entrance=entrance,
        metrics=metrics,
    )
    return state
