"""The parent's life: it starts the workers, starts those anew that end, and stops them."""

import itertools
from collections.abc import AsyncIterator

import trio

from mcproxy.auth.throttle import Throttle
from mcproxy.config.material import Material
from mcproxy.observe.log import get_logger, report_suppressed
from mcproxy.observe.saturation import Saturation
from mcproxy.observe.together import Together
from mcproxy.server.admission import Admission, saturation_of
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.opening import Listening, Opened
from mcproxy.server.orphans import reap_is_ours, reap_orphans
from mcproxy.server.reload import Loaded, Reloader
from mcproxy.server.serve import GRACE
from mcproxy.server.service_manager import ServiceManager
from mcproxy.server.signals import Signals
from mcproxy.server.state import Generation
from mcproxy.workers.handover import Current
from mcproxy.workers.process import ENDED, WorkerProcess
from mcproxy.workers.watch import Watch

FIRST_WAIT = 0.1
"""Seconds before a worker that ended is started anew. Doubles at each try, up to LONGEST_WAIT."""
LONGEST_WAIT = 30.0
IN_SERVICE = 60.0
"""Seconds that a worker has to last for the waits to begin anew."""

RENEWAL = 5.0
"""Seconds that workers have for a new generation before the parent goes on. Who hangs gets it once it doesn't."""

log = get_logger()


class Supervisor:
    """Keeps one worker for each element of `opened.of_each` running. `loaded` is what they serve at first, and
    `manager` is told of the service's life."""

    def __init__(self, loaded: Loaded, opened: Opened, manager: ServiceManager) -> None:
        listening = opened.of_each
        limits = self._limits = loaded.material.settings.limits
        self.status = 0
        self.reloader = Reloader(loaded, self._renew, manager.reloading)
        self._manager = manager
        self._opened = opened
        self._debugging = False
        self.generation = loaded.generation
        self._current = Current(loaded.generation.number, loaded.material)
        self._listening = listening
        self._admission = Admission.of(limits, len(listening))
        self._attempts = LocalAttempts(Throttle())
        self._processes: set[WorkerProcess] = set()
        self._incarnations = itertools.count(1)
        self._stop = trio.Event()
        self._killed = False
        self.together = Together()
        self.watch = Watch(len(listening), self._stop)

    def saturation(self) -> Saturation:
        """For the metrics."""
        return saturation_of(self._admission, self._limits, self.watch.not_ready)

    async def run(self, received: AsyncIterator[int], early_stop: int | None = None) -> None:
        """Returns when told to stop and all workers have ended. The signals are as Signals.heed has them."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.reloader.run)
            signals = Signals(self.reloader, self._debug)
            nursery.start_soon(signals.heed, received, early_stop)
            nursery.start_soon(self._end, signals)
            nursery.start_soon(self._report_suppressed)
            nursery.start_soon(self.watch.report, self._manager.ready, self._manager.readiness)
            nursery.start_soon(self._manager.keep_informed, self._is_healthy)
            if reap_is_ours():
                nursery.start_soon(reap_orphans, self._children)
            async with trio.open_nursery() as keeping:
                for number, listening in enumerate(self._listening, 1):
                    keeping.start_soon(self._keep, number, listening)
            nursery.cancel_scope.cancel()

    async def _is_healthy(self) -> bool:
        return self.watch.not_healthy() is None

    def _children(self) -> set[int]:
        return {worker.pid for worker in self._processes}

    def _debug(self, on: bool) -> None:
        self._debugging = on
        for worker in self._processes:
            worker.debug(on)

    async def _keep(self, number: int, listening: list[Listening]) -> None:
        """One worker after the other, with growing waits between them."""
        wait = FIRST_WAIT
        while not self._stop.is_set():
            began = trio.current_time()
            reason = await self._run_one(number, listening)
            if self._stop.is_set():
                if reason != ENDED and not self._killed:
                    log.error("worker_ended", worker=number, reason=reason)
                    self.status = 1
                return
            if trio.current_time() - began >= IN_SERVICE:
                wait = FIRST_WAIT
            log.error("worker_ended", worker=number, reason=reason, starts_again_in=wait)
            with trio.move_on_after(wait):
                await self._stop.wait()
            wait = min(2 * wait, LONGEST_WAIT)
            self.watch.restarts += 1

    async def _run_one(self, number: int, listening: list[Listening]) -> str:
        """Returns how it ended."""
        incarnation = next(self._incarnations)
        try:
            worker = WorkerProcess(
                number,
                self._current,
                listening,
                self.watch.is_ahead,
                lambda families: self.together.update(incarnation, families),
                debugging=self._debugging,
            )
        except OSError as error:
            return f"could not be started: {error.strerror}"
        self._processes.add(worker)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.watch.see_start, worker)
                reason = await worker.run(self._admission, self._attempts)
                nursery.cancel_scope.cancel()
        finally:
            self._processes.discard(worker)
            self.watch.see_end(worker)
            self.together.ended(incarnation)
        return reason

    async def _renew(self, material: Material, generation: Generation) -> dict[str, object]:
        """Have all workers serve this, and those that start from now on. Returns when they do, or are late.

        What they serve already they hold their sessions against once more.
        """
        if generation.number == self._current.number:
            for worker in self._processes:
                worker.look_again()
            return {}
        limits = generation.settings.limits
        self._admission.change_limits(limits)
        self.generation = generation
        old, self._current = self._current, Current(generation.number, material)
        old.close()
        workers = list(self._processes)
        for worker in workers:
            worker.renew(self._current)
        with trio.move_on_after(RENEWAL):
            for worker in workers:
                await worker.has_renewed(generation.number)
        # Who has ended meanwhile isn't late: the next begins with this.
        late = [
            worker for worker in workers if worker in self._processes and not worker.serves_at_least(generation.number)
        ]
        for worker in late:
            worker.is_late()
        ended = sum(worker.serves.ended for worker in workers if worker not in late)
        named = ", ".join(str(number) for number in sorted(worker.number for worker in late))
        return {"connections_ended": ended, **({"late_workers": named} if late else {})}

    async def _end(self, signals: Signals) -> None:
        """All together, when told to."""
        await signals.told_to_stop()
        limits = self.generation.settings.limits
        self.watch.draining = True
        self._manager.stopping(limits.drain_delay + limits.drain_timeout + GRACE)
        if self.watch.have_started():
            await signals.delay(limits.drain_delay)
        self._stop.set()
        for worker in self.watch.running():
            worker.stop()
        # They let in who waits, and close theirs; as long as ours were open, more would come and wait for nobody.
        self._opened.own.close()
        reason = "they did not end in time"
        with trio.move_on_after(limits.drain_timeout + GRACE):
            await signals.told_to_stop(signals.stops + 1)
            reason = "told to stop a second time"
        self.status = 1
        self._killed = True
        log.warning("workers_killed", reason=reason)
        for worker in self.watch.running():
            worker.kill()

    async def _report_suppressed(self) -> None:
        while True:
            await trio.sleep(1)
            report_suppressed()
