"""A server that is ready to run: relay, pools, authenticator and metrics, which outlive every reload."""

import time

from mcproxy.files.last_used import LastUsed, rotating_secrets
from mcproxy.observe.durations import DurationsCollector
from mcproxy.observe.expiry import ExpiryCollector, UpstreamExpiryCollector
from mcproxy.observe.last_used import LastUsedCollector
from mcproxy.observe.log import log_bug
from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.observe.reloads import GenerationCollector
from mcproxy.relay.durations import Durations
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.relay.secured import Connection
from mcproxy.server.authenticator import Authenticator
from mcproxy.server.link_opening import open_connection
from mcproxy.server.saslauthd import saslauthd_of
from mcproxy.server.shared import Attempts, Entrance
from mcproxy.server.state import Generation, PoolName, ServerState
from mcproxy.server.upstream import UpstreamLog
from mcproxy.wire.grammar import LINE_LENGTH


def build(
    generation: Generation, entrance: Entrance, attempts: Attempts, *, threads: int, processes: int = 1
) -> ServerState:
    """What all connections of this process share. `threads`: passwords that it hashes at once.

    `processes` is how many like this one there are: `total_buffer` is divided among them.
    """
    settings = generation.settings
    limits = settings.limits
    relay = Relay(limits.total_buffer // processes, log_bug, limits.value + LINE_LENGTH)
    state: ServerState

    def snapshot() -> TrafficSnapshot:
        traffic = relay.traffic
        return TrafficSnapshot(
            requests=dict(traffic.requests),
            denied_requests=dict(traffic.denied),
            refused_requests=dict(traffic.refused),
            hits=traffic.hits,
            misses=traffic.misses,
            downstream_received_bytes=traffic.downstream_received,
            downstream_sent_bytes=traffic.downstream_sent,
            upstream_received_bytes=traffic.upstream_received,
            upstream_sent_bytes=traffic.upstream_sent,
            busy_seconds=traffic.busy_seconds,
            buffered_bytes=relay.held,
        )

    metrics = Metrics(settings.listeners, settings.all_upstreams, snapshot, lambda: state.not_ready() is None)

    def durations() -> list[tuple[str, str, Durations]]:
        return [(name.upstream, name.protocol, pool.durations) for name, pool in state.pools.items()]

    metrics.registry.register(DurationsCollector(durations))
    metrics.registry.register(GenerationCollector(lambda: state.generation.number))
    metrics.registry.register(ExpiryCollector(lambda: state.generation.expiries))
    metrics.registry.register(UpstreamExpiryCollector(lambda: state.generation.upstream_expiries))
    last_used = LastUsed()
    metrics.registry.register(LastUsedCollector(lambda: rotating_secrets(state.generation.users, last_used)))
    upstream_logs = {
        name: UpstreamLog(metrics, name, str(upstream.address)) for name, upstream in settings.all_upstreams.items()
    }

    def make_pool(name: PoolName) -> Pool:
        upstream = settings.all_upstreams[name.upstream]

        async def opened() -> Connection:
            return await open_connection(state.generation.upstreams[name.upstream], name.protocol)

        def gathers() -> bool:
            # It may be an mcproxy that denies one of the keys: only whoever asked for that one is to hear of it.
            return not state.generation.upstreams[name.upstream].may_hold_grants

        log = upstream_logs[name.upstream]
        metrics.links_wanted(name.upstream, name.protocol)
        return Pool(relay, name.protocol, opened, upstream.links, upstream.timeout, log, gathers)

    state = ServerState(
        generation=generation,
        relay=relay,
        pools={name: make_pool(name) for name in sorted(generation.pools)},
        make_pool=make_pool,
        authenticator=Authenticator(
            generation.users,
            attempts,
            threads=threads,
            second_source=saslauthd_of(settings.saslauthd),
            used=lambda name, secret: last_used.note(name, secret, time.time()),
        ),
        entrance=entrance,
        metrics=metrics,
        last_used=last_used,
    )
    return state
