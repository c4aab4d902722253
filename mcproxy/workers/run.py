"""`mcproxy run` with several workers: what the parent opens, and what it serves itself, its admin port."""

import contextlib
import signal
import socket

import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from mcproxy.config.addresses import UnixAddress
from mcproxy.config.schema import Settings
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ready_gauge
from mcproxy.observe.together import WorkerCollector, families_of
from mcproxy.server import sockets
from mcproxy.server.admin import start_admin
from mcproxy.server.reload import Loaded
from mcproxy.server.serve import LateSignals, log_addresses, raise_descriptor_limit
from mcproxy.workers.process import Inherited
from mcproxy.workers.supervisor import Supervisor

log = get_logger()
_OWN = 0
"""The parent's number among the processes whose metrics are put together."""


def run_workers(loaded: Loaded, late_signals: LateSignals) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status.

    Raises BindError for an address that can't be listened on, and OSError.
    """
    raise_descriptor_limit()
    settings = loaded.material.settings
    with contextlib.ExitStack() as stack:
        listening = _listen(settings, stack)
        admin = sockets.listen_admin(settings.admin, stack)
        # They stay open here too: what waits in a worker's queue when it ends is the next one's.
        supervisor = Supervisor(loaded, listening)
        log_addresses(_described(listening[0]) | {name: [sockets.describe(sock)] for name, sock in admin.items()})
        trio.run(_serve, supervisor, admin, late_signals)
    late_signals.ignore()
    log.info("stopped")
    return supervisor.status


def _listen(settings: Settings, stack: contextlib.ExitStack) -> list[Inherited]:
    """Each worker's sockets. On a TCP address each has one of its own, a unix socket is the same for all."""
    listening: list[Inherited] = [[] for _ in range(settings.workers)]
    for name, listener in settings.listeners.items():
        for address in listener.bind:
            shared = isinstance(address, UnixAddress)
            if isinstance(address, UnixAddress):
                of_each = [sockets.listen(address, listener.mode, listener.group)] * settings.workers
            else:
                of_each = sockets.listen_apart(address, settings.workers)
            for sock in dict.fromkeys(of_each):
                stack.callback(sockets.close, sock)
            for worker, sock in zip(listening, of_each, strict=True):
                worker.append((name, sock, shared))
    return listening


def _described(listening: Inherited) -> dict[str, list[str]]:
    addresses: dict[str, list[str]] = {}
    for name, sock, _ in listening:
        addresses.setdefault(name, []).append(sockets.describe(sock))
    return addresses


async def _serve(supervisor: Supervisor, admin: dict[str, socket.socket], late_signals: LateSignals) -> None:
    watch, together = supervisor.watch, supervisor.together
    own, registry = CollectorRegistry(), CollectorRegistry()
    ProcessCollector(registry=own)
    registry.register(together)
    registry.register(WorkerCollector(watch.count))
    registry.register(supervisor.reloader.results)
    ready_gauge(registry, lambda: watch.not_ready() is None)

    async def metrics(accept: str) -> tuple[bytes, str]:
        await watch.ask_all()
        together.update(_OWN, families_of(own))
        encoder, content_type = choose_encoder(accept)
        return encoder(registry), content_type

    async def ready() -> str | None:
        await watch.ask_all()
        return watch.not_ready()

    async def healthy() -> str | None:
        return watch.not_healthy()

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            start_admin(
                nursery,
                {name: [sock] for name, sock in admin.items()},
                metrics=metrics,
                ready=ready,
                healthy=healthy,
                busy=contextlib.nullcontext,
            )
            if late_signals.reload:
                supervisor.reloader.ask()
            await supervisor.run(signals)
            late_signals.stopped = True
            nursery.cancel_scope.cancel()
