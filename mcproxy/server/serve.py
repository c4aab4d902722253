"""The server as one process, from its start to its last reply. Several are mcproxy/workers."""

import contextlib
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

import trio

from mcproxy.auth.throttle import Throttle
from mcproxy.auth.users import Users, parse_users
from mcproxy.config.schema import Settings
from mcproxy.observe.log import get_logger
from mcproxy.observe.together import WorkerCollector, WorkerCount
from mcproxy.server import sockets
from mcproxy.server.admin import start_admin
from mcproxy.server.admission import Admission
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.authenticator import THREADS
from mcproxy.server.build import build
from mcproxy.server.clients import Accepting, log_readiness, serve_clients
from mcproxy.server.generation import make_generation

log = get_logger()
Addresses = dict[str, list[str]]
ReadyCallback = Callable[[Addresses], None]


def run_server(settings: Settings, *, ready: ReadyCallback | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Raises BindError for an address it cannot listen on.

    `ready` is called once everything listens, with the addresses by listener name, "admin" and "health" among them.
    """
    raise_descriptor_limit()
    with contextlib.ExitStack() as stack:
        listening = _listen(settings, stack)
        trio.run(_serve, settings, listening, ready, LateSignals())
    return 0


class LateSignals:
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


def raise_descriptor_limit() -> None:
    """As many descriptors as the hard limit allows; the configuration's check counted on it."""
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
    for name, sock in sockets.listen_admin(settings.admin, stack).items():
        listening[name] = [sock]
    return listening


async def _serve(
    settings: Settings,
    listening: dict[str, list[socket.socket]],
    ready: ReadyCallback | None,
    late_signals: LateSignals,
) -> None:
    limits = settings.limits
    users = Users({}) if settings.users_file is None else parse_users(settings.users_file.read_text("utf-8"))
    admission = Admission(limits.connections, limits.connections_per_address, limits.login_connections)
    state = build(make_generation(1, settings, users), admission, LocalAttempts(Throttle()), threads=THREADS)
    state.metrics.registry.register(WorkerCollector(WorkerCount))
    addresses = {name: [sockets.describe(sock) for sock in socks] for name, socks in listening.items()}
    accepting = [Accepting(name, sock) for name in settings.listeners for sock in listening[name]]

    def started() -> None:
        log.info("started")
        if ready is not None:
            ready(addresses)

    async def metrics(accept: str) -> tuple[bytes, str]:
        return state.metrics.exposition(accept)

    async def not_ready() -> str | None:
        return state.not_ready()

    with (
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals,
        contextlib.ExitStack() as stack,
    ):
        async with trio.open_nursery() as nursery:
            for sock in (*listening.get("admin", ()), *listening.get("health", ())):
                stack.enter_context(state.relay.giving_way_to(sock))
            start_admin(nursery, listening, metrics=metrics, ready=not_ready, busy=state.relay.busy)
            log_addresses(addresses)
            await serve_clients(
                state,
                accepting,
                started=started,
                readiness=log_readiness,
                wait_for_stop=partial(wait_for_stop, signals),
            )
            late_signals.stopped = True
            nursery.cancel_scope.cancel()
    log.info("stopped")


def log_addresses(addresses: Addresses) -> None:
    """Say where each listener listens: ports may be the kernel's choice."""
    for name, bound in addresses.items():
        for address in bound:
            log.info("listening", listener=name, address=address)


async def wait_for_stop(signals: AsyncIterator[int]) -> None:
    """Returns at SIGTERM or SIGINT."""
    async for number in signals:
        if number == signal.SIGHUP:
            log.warning("reload_ignored", reason="this version cannot reload; restart it to change its configuration")
        else:
            log.info("stopping", signal=signal.Signals(number).name)
            return
