"""The server as one process, from its start to its last reply. Several are mcproxy/workers."""

import contextlib
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

import trio

from mcproxy.auth.throttle import Throttle
from mcproxy.config.material import Material
from mcproxy.config.schema import Settings
from mcproxy.observe.log import get_logger
from mcproxy.observe.together import WorkerCollector, WorkerCount
from mcproxy.server import sockets
from mcproxy.server.admin import start_admin
from mcproxy.server.admission import Admission
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.build import build
from mcproxy.server.clients import Accepting, log_readiness, serve_clients
from mcproxy.server.hashing import THREADS
from mcproxy.server.reload import Loaded, Reloader
from mcproxy.server.state import Generation
from mcproxy.server.swap import swap

log = get_logger()
Addresses = dict[str, list[str]]
ReadyCallback = Callable[[Addresses], None]


def run_server(loaded: Loaded, late_signals: "LateSignals", *, ready: ReadyCallback | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Raises BindError for an address it cannot listen on.

    `ready` is called once everything listens, with the addresses by listener name, "admin" and "health" among them.
    """
    raise_descriptor_limit()
    with contextlib.ExitStack() as stack:
        listening = _listen(loaded.material.settings, stack)
        trio.run(_serve, loaded, listening, ready, late_signals)
    late_signals.ignore()
    return 0


class LateSignals:
    """What SIGTERM, SIGINT and SIGHUP do before the server waits for them, and after.

    Before, the first two end the program, and SIGHUP is remembered: `reload` says so. After, they change nothing: a
    second SIGTERM just before the end would otherwise turn an orderly stop into a death by a signal.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.reload = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self)

    def ignore(self) -> None:
        """At the very end, when Python gives back the signals that it handles, so that they would kill."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def __call__(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        elif not self.stopped:
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
    loaded: Loaded,
    listening: dict[str, list[socket.socket]],
    ready: ReadyCallback | None,
    late_signals: LateSignals,
) -> None:
    settings = loaded.material.settings
    admission = Admission.of(settings.limits)
    state = build(loaded.generation, admission, LocalAttempts(Throttle()), threads=THREADS)

    async def use(material: Material, generation: Generation) -> dict[str, object]:
        admission.change_limits(generation.settings.limits)
        # Not by half, should the proxy be told to stop just now.
        with trio.CancelScope(shield=True):
            ended = await swap(state, generation)
        return {"connections_ended": ended}

    reloader = Reloader(loaded, use)
    state.metrics.registry.register(reloader.results)
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
            nursery.start_soon(reloader.run)
            if late_signals.reload:
                reloader.ask()
            await serve_clients(
                state,
                accepting,
                started=started,
                readiness=log_readiness,
                wait_for_stop=partial(wait_for_stop, signals, reloader),
            )
            late_signals.stopped = True
            nursery.cancel_scope.cancel()
    log.info("stopped")


def log_addresses(addresses: Addresses) -> None:
    """Say where each listener listens: ports may be the kernel's choice."""
    for name, bound in addresses.items():
        for address in bound:
            log.info("listening", listener=name, address=address)


async def wait_for_stop(signals: AsyncIterator[int], reloader: Reloader) -> None:
    """Returns at SIGTERM or SIGINT, from when on nothing is reloaded."""
    async for number in signals:
        if number == signal.SIGHUP:
            reloader.ask()
        else:
            reloader.stop()
            log.info("stopping", signal=signal.Signals(number).name)
            return
