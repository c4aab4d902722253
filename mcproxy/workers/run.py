"""`mcproxy run` with several workers: what the parent opens, and what it serves itself, its admin port."""

import contextlib
from collections.abc import Collection
from functools import partial

import trio
from prometheus_client import CollectorRegistry, ProcessCollector

from mcproxy.observe.log import get_logger
from mcproxy.observe.memcached import MemcachedCollector
from mcproxy.observe.metrics import ready_gauge
from mcproxy.observe.saturation import SaturationCollector
from mcproxy.observe.together import WorkerCollector, families_of
from mcproxy.server.admin import start_admin
from mcproxy.server.admin_access import Guard
from mcproxy.server.admin_pages import Pages
from mcproxy.server.exposition import Shared, exposition, negotiated, shared_alone
from mcproxy.server.inherited import InheritedSockets
from mcproxy.server.opening import Opened, open_listeners
from mcproxy.server.reload import Loaded
from mcproxy.server.serve import raise_descriptor_limit
from mcproxy.server.service_manager import ServiceManager
from mcproxy.server.signals import HANDLED, LateSignals
from mcproxy.server.status import SAMPLED, Look, Status
from mcproxy.server.status_part import own_part
from mcproxy.server.upstream_statistics import UpstreamStatistics
from mcproxy.workers.reports import Detail
from mcproxy.workers.supervisor import Supervisor

log = get_logger()
_OWN = 0
"""The parent's number among the processes whose metrics are put together."""


def run_workers(
    loaded: Loaded,
    late_signals: LateSignals,
    inherited: InheritedSockets | None = None,
    manager: ServiceManager | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status. `inherited` and `manager` as run_server has them.

    Raises BindError for an address that can't be listened on, and OSError.
    """
    raise_descriptor_limit()
    settings = loaded.material.settings
    with contextlib.ExitStack() as stack:
        # They stay open here too: what waits in a worker's queue when it ends is the next one's.
        opened = open_listeners(settings, inherited or InheritedSockets([]), stack, workers=settings.workers)
        supervisor = Supervisor(loaded, opened, manager or ServiceManager())
        opened.log()
        late_signals.only_remember()
        trio.run(_serve, supervisor, opened, late_signals)
    late_signals.ignore()
    log.info("stopped")
    return supervisor.status


async def _serve(supervisor: Supervisor, opened: Opened, late_signals: LateSignals) -> None:
    watch, together = supervisor.watch, supervisor.together
    own, registry = CollectorRegistry(), CollectorRegistry()
    ProcessCollector(registry=own)
    registry.register(together)
    registry.register(WorkerCollector(watch.count))
    registry.register(supervisor.reloader.results)
    registry.register(SaturationCollector(supervisor.saturation))
    ready_gauge(registry, lambda: watch.not_ready() is None)

    statistics = UpstreamStatistics(lambda: supervisor.generation)
    registry.register(MemcachedCollector(statistics.rows))

    async def figures_text(content_types: Collection[str]) -> dict[str, bytes]:
        async with trio.open_nursery() as both:
            both.start_soon(statistics.refresh)
            both.start_soon(watch.ask_all, Detail.METRICS)
        together.update(_OWN, families_of(own))
        return await exposition(registry, content_types)

    figures = Shared(figures_text)

    async def metrics(accept: str) -> tuple[bytes, str]:
        content_type = negotiated(accept)
        return await figures.page(content_type), content_type

    async def ready() -> str | None:
        await watch.ask_all(Detail.READINESS)
        return watch.not_ready()

    async def healthy() -> str | None:
        return watch.not_healthy()

    board = Status(opened.addresses())

    async def status() -> bytes:
        await watch.ask_all(Detail.STATUS)
        together.update(_OWN, families_of(own))
        parts = [own_part(), *(worker.part for worker in watch.running())]
        last_reload, files = supervisor.reloader.results.last, await supervisor.reloader.files()
        generation, metrics = supervisor.generation, registry.collect()
        return board.body(Look(generation, metrics, parts, watch.count(), watch.not_ready(), last_reload, files))

    readiness, status_text = shared_alone(ready), shared_alone(status)
    pages = Pages(ready=readiness.page, healthy=healthy, metrics=metrics, status=status_text.page)

    with trio.open_signal_receiver(*HANDLED) as received:
        async with trio.open_nursery() as nursery:
            start_admin(
                nursery,
                opened.admin,
                pages=pages,
                guard=Guard(lambda: supervisor.generation.admin, trio.current_time),
                busy=contextlib.nullcontext,
            )
            for run in (statistics.run, figures.run, readiness.run, status_text.run):
                nursery.start_soon(run)
            nursery.start_soon(board.sample_forever, partial(together.collect_only, SAMPLED), watch.reported_at)
            if late_signals.reload:
                supervisor.reloader.ask()
            await supervisor.run(received, late_signals.stop)
            nursery.cancel_scope.cancel()
