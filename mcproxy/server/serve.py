"""The server as one process, from its start to its last reply. Several are mcproxy/workers."""

import contextlib
import itertools
import resource
from collections.abc import Callable
from functools import partial

import trio

from mcproxy.auth.throttle import Throttle
from mcproxy.config.material import Material
from mcproxy.observe.log import get_logger
from mcproxy.observe.memcached import MemcachedCollector
from mcproxy.observe.principals import PrincipalsCollector
from mcproxy.observe.saturation import SaturationCollector
from mcproxy.observe.together import WorkerCollector, WorkerCount
from mcproxy.server.admin import start_admin
from mcproxy.server.admin_access import Guard
from mcproxy.server.admin_pages import Pages
from mcproxy.server.admission import Admission, saturation_of
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.build import build
from mcproxy.server.clients import log_readiness, serve_clients
from mcproxy.server.exposition import Shared, exposition, negotiated, shared_alone
from mcproxy.server.hashing import THREADS
from mcproxy.server.inherited import InheritedSockets
from mcproxy.server.opening import Addresses, Opened, open_listeners
from mcproxy.server.orphans import reap_is_ours, reap_orphans
from mcproxy.server.reload import Loaded, Reloader
from mcproxy.server.service_manager import ServiceManager
from mcproxy.server.signals import HANDLED, LateSignals, Signals
from mcproxy.server.state import Generation
from mcproxy.server.status import Look, Status, gathered, sampled
from mcproxy.server.status_part import part_of
from mcproxy.server.swap import swap
from mcproxy.server.upstream_statistics import UpstreamStatistics

log = get_logger()
ReadyCallback = Callable[[Addresses], None]
GRACE = 5.0
"""Seconds beyond the drain timeout that an end may take before somebody is impatient."""


def run_server(
    loaded: Loaded,
    late_signals: LateSignals,
    inherited: InheritedSockets | None = None,
    manager: ServiceManager | None = None,
    *,
    ready: ReadyCallback | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. Raises BindError for an address it cannot listen on.

    `inherited` sockets take the place of binding; `manager` is told of the service's life. `ready` is called once
    everything listens, with the addresses by listener name, "admin" and "health" among them.
    """
    raise_descriptor_limit()
    with contextlib.ExitStack() as stack:
        opened = open_listeners(loaded.material.settings, inherited or InheritedSockets([]), stack)
        late_signals.only_remember()
        status = trio.run(_serve, loaded, opened, ready, late_signals, manager or ServiceManager())
    late_signals.ignore()
    return status


def raise_descriptor_limit() -> None:
    """As many descriptors as the hard limit allows; the configuration's check counted on it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(
    loaded: Loaded,
    opened: Opened,
    ready: ReadyCallback | None,
    late_signals: LateSignals,
    manager: ServiceManager,
) -> int:
    settings = loaded.material.settings
    admission = Admission.of(settings.limits)
    state = build(loaded.generation, admission, LocalAttempts(Throttle()), threads=THREADS)

    async def use(material: Material, generation: Generation) -> dict[str, object]:
        admission.change_limits(generation.settings.limits)
        # Not by half, should the proxy be told to stop just now.
        with trio.CancelScope(shield=True):
            ended = await swap(state, generation)
        return {"connections_ended": ended}

    reloader = Reloader(loaded, use, manager.reloading)
    state.metrics.registry.register(reloader.results)
    state.metrics.registry.register(PrincipalsCollector(state.relay.traffic.tallies))
    state.metrics.registry.register(WorkerCollector(WorkerCount))
    saturation = partial(saturation_of, admission, settings.limits, state.not_ready)
    state.metrics.registry.register(SaturationCollector(saturation))
    addresses = opened.addresses()

    has_started = False

    def started() -> None:
        nonlocal has_started
        has_started = True
        log.info("started")
        manager.ready()
        if ready is not None:
            ready(addresses)

    statistics = UpstreamStatistics(lambda: state.generation)
    state.metrics.registry.register(MemcachedCollector(statistics.rows))

    figures_text = Shared(partial(exposition, state.metrics.registry))

    async def metrics(accept: str) -> tuple[bytes, str]:
        await statistics.refresh()
        content_type = negotiated(accept)
        return await figures_text.page(content_type), content_type

    async def not_ready() -> str | None:
        return state.not_ready()

    board = Status(addresses)

    async def status() -> bytes:
        figures, parts = await gathered(state.metrics.registry), [part_of(state)]
        last_reload, files = reloader.results.last, await reloader.files()
        return board.body(Look(state.generation, figures, parts, WorkerCount(), state.not_ready(), last_reload, files))

    status_text = shared_alone(status)

    def readiness(obstacle: str | None) -> None:
        log_readiness(obstacle)
        manager.readiness(obstacle)

    signals = Signals(reloader)

    exit_status = 0

    async def cut_short() -> None:
        nonlocal exit_status
        await signals.told_to_stop(signals.stops + 1)
        exit_status = 1
        unfinished = len(state.sessions) + state.closing
        log.warning(
            "drain_cut_short", reason="told to stop a second time", sessions=unfinished, arriving=state.arriving
        )
        nursery.cancel_scope.cancel()

    async def wait_for_stop() -> bool:
        await signals.told_to_stop()
        state.draining = True
        limits = state.generation.settings.limits
        manager.stopping(limits.drain_delay + limits.drain_timeout + GRACE)
        if has_started:
            await signals.delay(limits.drain_delay)
        nursery.start_soon(cut_short)
        return True

    with (
        trio.open_signal_receiver(*HANDLED) as received,
        contextlib.ExitStack() as stack,
    ):
        async with trio.open_nursery() as nursery:
            for sock in itertools.chain.from_iterable(opened.admin.values()):
                stack.enter_context(state.relay.giving_way_to(sock))
            guard = Guard(lambda: state.generation.admin, trio.current_time)
            pages = Pages(ready=not_ready, metrics=metrics, status=status_text.page)
            start_admin(nursery, opened.admin, pages=pages, guard=guard, busy=state.relay.busy)
            opened.log()
            nursery.start_soon(board.sample_forever, partial(sampled, state.metrics.registry))
            nursery.start_soon(statistics.run)
            nursery.start_soon(figures_text.run)
            nursery.start_soon(status_text.run)
            nursery.start_soon(reloader.run)
            nursery.start_soon(signals.heed, received, late_signals.stop)
            nursery.start_soon(manager.keep_informed, state.relay.turns)
            if reap_is_ours():
                nursery.start_soon(reap_orphans)
            if late_signals.reload:
                reloader.ask()
            await serve_clients(
                state,
                opened.of_each[0],
                started=started,
                readiness=readiness,
                stopping=signals.stopping,
                wait_for_stop=wait_for_stop,
                stop_listening=opened.own.close,
            )
            nursery.cancel_scope.cancel()
    log.info("stopped")
    return exit_status
