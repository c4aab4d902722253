"""What the parent knows of its workers: who serves, who is missing, and since when."""

from collections.abc import Callable

import trio

from mcproxy.observe.log import get_logger
from mcproxy.observe.saturation import DRAINING
from mcproxy.observe.together import WorkerCount
from mcproxy.server.clients import log_readiness
from mcproxy.workers.process import WorkerProcess
from mcproxy.workers.reports import Detail

MISSING = 10.0
"""Seconds that a worker may be down, or silent, before the parent isn't healthy. A restart takes about one."""
_LOOK_AGAIN = 0.25

log = get_logger()


class Watch:
    """Over `configured` workers, until `stop`."""

    def __init__(self, configured: int, stop: trio.Event) -> None:
        self.restarts = 0
        self.draining = False
        """Told to stop: nobody should send anything more, though it is served for a while."""
        self._configured = configured
        self._stop = stop
        self._all_started = trio.Event()
        self._running: dict[int, WorkerProcess] = {}
        self._serving: dict[int, WorkerProcess] = {}
        self._silent: set[int] = set()
        self._down_since: dict[int, float] = {}

    def have_started(self) -> bool:
        """Whether there was a time when all of them served."""
        return self._all_started.is_set()

    def running(self) -> list[WorkerProcess]:
        """Those whose process is there."""
        return list(self._running.values())

    async def see_start(self, worker: WorkerProcess) -> None:
        """To be run beside the worker."""
        self._running[worker.number] = worker
        self._down_since.setdefault(worker.number, trio.current_time())
        if self._stop.is_set():
            worker.stop()
        await worker.started.wait()
        self._serving[worker.number] = worker
        self._down_since.pop(worker.number, None)
        log.info("worker_started", worker=worker.number, process=worker.pid)
        if len(self._serving) == self._configured:
            self._all_started.set()

    def see_end(self, worker: WorkerProcess) -> None:
        """Its process is gone."""
        self._running.pop(worker.number, None)
        self._silent.discard(worker.number)
        self._serving.pop(worker.number, None)
        self._down_since.setdefault(worker.number, trio.current_time())

    def is_ahead(self, worker: WorkerProcess) -> bool:
        """Whether another one that serves has fewer connections."""
        return worker.connections > min(other.connections for other in (*self._serving.values(), worker))

    def count(self) -> WorkerCount:
        """For the metrics."""
        return WorkerCount(self._configured, len(self._serving), len(self._silent), self.restarts)

    async def ask_all(self, detail: Detail) -> None:
        """Have all reports renewed, and note who doesn't answer."""

        async def ask(worker: WorkerProcess) -> None:
            if await worker.ask_for_report(detail):
                self._silent.discard(worker.number)
            elif worker.number in self._serving:
                self._silent.add(worker.number)

        async with trio.open_nursery() as nursery:
            for worker in list(self._serving.values()):
                nursery.start_soon(ask, worker)

    def reported_at(self) -> float:
        """Of when the last reports are, on average, in seconds of trio's clock."""
        times = [worker.reported_at for worker in self._serving.values()]
        return sum(times) / len(times) if times else trio.current_time()

    def not_ready(self) -> str | None:
        """Why not all requests can be served, or None.

        All workers have to be ready: the kernel goes on giving each its part of the connections.
        """
        if self.draining or self._stop.is_set():
            return DRAINING
        for number in range(1, self._configured + 1):
            if (worker := self._serving.get(number)) is None:
                return f"worker {number} is not serving"
            if number in self._silent:
                return f"worker {number} does not answer"
            if worker.obstacle is not None:
                return f"worker {number}: {worker.obstacle}"
        return None

    def not_healthy(self) -> str | None:
        """Which worker has been missing for longer than a restart takes, or None."""
        if self._stop.is_set():
            return None
        now = trio.current_time()
        for number in range(1, self._configured + 1):
            worker = self._serving.get(number)
            if worker is None and now - self._down_since.get(number, now) > MISSING:
                return f"worker {number} is down"
            if worker is not None and now - worker.reported_at > MISSING:
                return f"worker {number} does not answer"
        return None

    async def report(self, started: Callable[[], None], readiness: Callable[[str | None], None]) -> None:
        """Say when all have started, whether requests can be served, and when that changes; `started` and `readiness`
        are told as well."""
        await self._all_started.wait()
        if self.draining:
            return
        log.info("started", workers=self._configured)
        started()
        known: str | None = ""
        while True:
            if (reason := self.not_ready()) != known:
                log_readiness(reason)
                readiness(reason)
                known = reason
            await trio.sleep(_LOOK_AGAIN)
