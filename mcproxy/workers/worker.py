"""A worker from its start to its last report: a server like that of a single process, but that it asks its parent for
whatever is limited, and that it tells its parent its metrics instead of serving them.
"""

import ctypes
import os
import signal
import socket
from collections.abc import AsyncIterator

import trio

from mcproxy.config.schema import Settings
from mcproxy.observe import log
from mcproxy.observe.together import families_of
from mcproxy.server.build import build
from mcproxy.server.clients import Accepting, serve_clients
from mcproxy.server.generation import make_generation
from mcproxy.server.state import ServerState
from mcproxy.workers.channel import Channel
from mcproxy.workers.handover import Handover, OtherVersion
from mcproxy.workers.questions import Questions, RemoteAttempts, RemoteEntrance

THREADS = 1
"""Passwords that one worker hashes at once: with several, the cores are theirs to serve with."""
REPORT_INTERVAL = 1.0
"""Seconds between two reports that nobody asked for: what a worker that is killed has counted since is lost."""
_LAST_WORDS = 1.0
_PR_SET_PDEATHSIG = 1


def run_worker(number: int, control: int, handover: int) -> int:
    """Serve until told to stop; returns the exit status."""
    # prctl(2): the kernel ends this process when its parent does, however that ends and whatever this is doing.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    log.configure(worker=number)
    worker = _Worker(Channel(socket.socket(fileno=control)))
    try:
        given = Handover.read(handover)
        os.close(handover)
        settings = given.settings()
        log.configure(settings.logging.level, settings.logging.format, worker=number)
        trio.run(worker.run, settings, given)
    except OtherVersion as error:
        log.get_logger().error("worker_not_started", reason=str(error))
        return 1
    except Exception as error:
        log.log_bug(error)
        return 1
    return 1 if worker.orphaned else 0


class _Worker:
    def __init__(self, channel: Channel) -> None:
        self.orphaned = False
        self._channel = channel
        self._questions = Questions(channel)
        self._stop = trio.Event()

    async def run(self, settings: Settings, given: Handover) -> None:
        """Raises OSError for TLS files that OpenSSL doesn't take."""
        first = await self._channel.receive()
        if first is None:
            return
        entrance, attempts = RemoteEntrance(self._questions), RemoteAttempts(self._questions)
        state = build(make_generation(1, settings, given.parsed_users()), entrance, attempts, threads=THREADS)
        accepting = [Accepting(name, socket.socket(fileno=descriptor), shared) for name, descriptor, shared in first[2]]
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._channel.send_forever)
                nursery.start_soon(self._listen, state, nursery)
                nursery.start_soon(self._heed, signals)
                nursery.start_soon(self._report_forever, state)
                await serve_clients(
                    state,
                    accepting,
                    started=lambda: self._started(state),
                    readiness=lambda _: self._report(state),
                    wait_for_stop=self._stop.wait,
                )
                self._report(state)
                with trio.move_on_after(_LAST_WORDS):
                    await self._channel.all_sent()
                nursery.cancel_scope.cancel()
        for _, sock, _ in accepting:
            sock.close()
        self._channel.close()

    def _started(self, state: ServerState) -> None:
        self._report(state)
        self._channel.send(0, "started")

    async def _listen(self, state: ServerState, nursery: trio.Nursery) -> None:
        """Act on what the parent says; without a parent there is nothing to go on for."""
        while (frame := await self._channel.receive()) is not None:
            number, what, *arguments = frame
            if number:
                self._questions.answered(number, what)
            elif what == "report":
                self._report(state, *arguments)
            elif what == "stop":
                self._stop.set()
        self.orphaned = True
        log.get_logger().error("parent_gone")
        nursery.cancel_scope.cancel()

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        """A worker that is told to stop by itself drains, and its parent starts another."""
        async for number in signals:
            if number != signal.SIGHUP:
                self._stop.set()

    async def _report_forever(self, state: ServerState) -> None:
        while True:
            await trio.sleep(REPORT_INTERVAL)
            if not self._channel.congested:
                self._report(state)

    def _report(self, state: ServerState, asked: int = 0) -> None:
        """`asked` is the number that the parent gave, if it did."""
        self._channel.send(0, "report", asked, state.not_ready(), families_of(state.metrics.registry))
