"""The server from its start to its last reply."""

import contextlib
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial

import trio

from mcproxy.auth.throttle import Throttle
from mcproxy.auth.users import Users, parse_users
from mcproxy.config.schema import Settings
from mcproxy.observe.log import get_logger, log_bug, report_suppressed
from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.policy.allowlist import Allowlist
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.server import sockets
from mcproxy.server.access import Access
from mcproxy.server.admin import serve_admin
from mcproxy.server.admission import Admission
from mcproxy.server.authenticator import Authenticator
from mcproxy.server.listeners import accept_forever
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.server.tls import server_context
from mcproxy.server.upstream import UpstreamLog, connector
from mcproxy.wire.grammar import LINE_LENGTH

log = get_logger()
Addresses = dict[str, list[str]]
ReadyCallback = Callable[[Addresses], None]
# Seconds that `ready` waits for a first link to upstream before it is called without one.
_FIRST_LINK = 2.0
_SWITCH_INTERVAL = 0.001
_READINESS_INTERVAL = 0.5


def run_server(settings: Settings, *, ready: ReadyCallback | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Raises BindError for an address it cannot listen on.

    `ready` is called once everything listens, with the addresses by listener name, "admin" and "health" among them.
    """
    _raise_descriptor_limit()
    # A thread that has hashed a password waits this long for the relay, when that is busy, before it gets its turn.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    with contextlib.ExitStack() as stack:
        listening = _listen(settings, stack)
        trio.run(_serve, settings, listening, ready, _LateSignals())
    return 0


class _LateSignals:
    """What SIGTERM and SIGINT do before the server waits for them, and after.

    Before, they end the program. After, they change nothing: a second SIGTERM just before the end would otherwise turn
    an orderly stop into a death by a signal.
    """

    def __init__(self) -> None:
        self.stopped = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self)

    def __call__(self, number: int, frame: object) -> None:
        if not self.stopped:
            raise SystemExit(0)


def _raise_descriptor_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(settings: Settings, stack: contextlib.ExitStack) -> dict[str, list[socket.socket]]:
    """Every listening socket, by listener name. Raises BindError."""
    listening: dict[str, list[socket.socket]] = {}

    def add(name: str, sock: socket.socket) -> None:
        stack.callback(sockets.close, sock)
        listening.setdefault(name, []).append(sock)

    for name, listener in settings.listeners.items():
        for address in listener.bind:
            add(name, sockets.listen(address, listener.mode, listener.group))
    add("admin", sockets.listen(settings.admin.bind))
    if settings.admin.health_bind is not None:
        add("health", sockets.listen(settings.admin.health_bind))
    return listening


def _build(settings: Settings) -> ServerState:
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
    users = Users({}) if settings.users_file is None else parse_users(settings.users_file.read_text("utf-8"))
    state = ServerState(
        settings=settings,
        relay=relay,
        pools=pools,
        access=Access(settings),
        authenticator=Authenticator(users, Throttle()),
        admission=Admission(limits.connections, limits.connections_per_address, limits.login_connections),
        metrics=metrics,
        session_limits=SessionLimits(limits.pipeline, limits.session_buffer, limits.stall_timeout, limits.idle_timeout),
    )
    return state


def _listener_state(settings: Settings, name: str) -> ListenerState:
    listener = settings.listeners[name]
    context: ssl.SSLContext | None = None if listener.tls is None else server_context(listener.tls)
    mechanisms = tuple(listener.mechanisms) if "sasl" in listener.authentication else ()
    return ListenerState(name, listener, Allowlist(listener.allow), context, mechanisms)


async def _serve(
    settings: Settings,
    listening: dict[str, list[socket.socket]],
    ready: ReadyCallback | None,
    late_signals: _LateSignals,
) -> None:
    state = _build(settings)
    addresses = {name: [sockets.describe(sock) for sock in socks] for name, socks in listening.items()}
    listeners = {name: _listener_state(settings, name) for name in settings.listeners}
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            state.nursery = nursery
            nursery.start_soon(state.relay.run)
            for pool in state.pools.values():
                nursery.start_soon(pool.run)
            nursery.start_soon(_report_forever)
            _start_admin(nursery, state, listening)
            accepting = trio.CancelScope()
            nursery.start_soon(partial(_accept_all, state, listeners, listening, accepting))
            for name, bound in addresses.items():
                for address in bound:
                    log.info("listening", listener=name, address=address)
            with trio.move_on_after(_FIRST_LINK):
                for pool in state.pools.values():
                    await pool.first_link.wait()
            log.info("started")
            nursery.start_soon(_report_readiness, state)
            if ready is not None:
                ready(addresses)
            await _wait_for_stop(signals)
            await _drain(state, accepting)
            late_signals.stopped = True
            nursery.cancel_scope.cancel()
    log.info("stopped")


async def _accept_all(
    state: ServerState,
    listeners: dict[str, ListenerState],
    listening: dict[str, list[socket.socket]],
    accepting: trio.CancelScope,
) -> None:
    with accepting:
        async with trio.open_nursery() as nursery:
            for name, listener in listeners.items():
                for sock in listening[name]:
                    nursery.start_soon(accept_forever, state, listener, sock)


def _start_admin(nursery: trio.Nursery, state: ServerState, listening: dict[str, list[socket.socket]]) -> None:
    for name, health_only in (("admin", False), ("health", True)):
        if name in listening:
            # A copy of the socket, whose own closing takes a unix socket's file along.
            copies = [trio.SocketListener(trio.socket.from_stdlib_socket(sock.dup())) for sock in listening[name]]
            nursery.start_soon(
                partial(
                    serve_admin,
                    copies,
                    metrics=state.metrics.exposition,
                    ready=state.not_ready,
                    health_only=health_only,
                    busy=state.relay.busy,
                )
            )


async def _wait_for_stop(signals: AsyncIterator[int]) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            log.warning("reload_ignored", reason="this version cannot reload; restart it to change its configuration")
        else:
            log.info("stopping", signal=signal.Signals(number).name)
            return


async def _drain(state: ServerState, accepting: trio.CancelScope) -> None:
    """No new connections; every session closes once what it has in flight is answered, or at the deadline."""
    state.draining = True
    accepting.cancel()
    for session in list(state.sessions):
        session.drain()
    state.relay.settle()
    with trio.move_on_after(state.settings.limits.drain_timeout) as scope:
        state.look_for_the_end()
        await state.last_session_ended.wait()
    if scope.cancelled_caught:
        log.warning("drain_timed_out", sessions=len(state.sessions) + state.closing)


async def _report_readiness(state: ServerState) -> None:
    """Say whether requests can be served, and when that changes."""
    known: str | None = ""
    while True:
        reason = state.not_ready()
        if reason != known:
            if reason is None:
                log.info("ready")
            else:
                log.warning("not_ready", reason=reason)
            known = reason
        await trio.sleep(_READINESS_INTERVAL)


async def _report_forever() -> None:
    while True:
        await trio.sleep(1)
        report_suppressed()
