"""A worker from its start to its last report: a server like that of a single process, but that it asks its parent for
whatever is limited, and that it tells its parent its metrics instead of serving them.
"""

import ctypes
import math
import os
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial

import trio

from mcproxy.config.material import Material
from mcproxy.config.schema import Settings
from mcproxy.observe import log
from mcproxy.server.build import build
from mcproxy.server.clients import serve_clients
from mcproxy.server.generation import generation_of
from mcproxy.server.loading import in_thread
from mcproxy.server.opening import Listening
from mcproxy.server.signals import HANDLED
from mcproxy.server.state import Generation, ServerState
from mcproxy.server.swap import swap
from mcproxy.workers.channel import Channel
from mcproxy.workers.handover import OtherVersion, read, unpack
from mcproxy.workers.questions import Questions, RemoteAttempts, RemoteEntrance
from mcproxy.workers.reports import Reports

THREADS = 1
"""Passwords that one worker hashes at once: with several, the cores are theirs to serve with."""
_LAST_WORDS = 1.0
_PR_SET_PDEATHSIG = 1


def run_worker(number: int, control: int, handover: int) -> int:
    """Serve until told to stop; returns the exit status."""
    # prctl(2): the kernel ends this process when its parent does, however that ends and whatever this is doing.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for name in HANDLED:
        signal.signal(name, signal.SIG_IGN)
    log.configure(worker=number)
    worker = _Worker(number, Channel(socket.socket(fileno=control)))
    try:
        generation, material = unpack(read(handover))
        os.close(handover)
        worker.configure_log(material.settings)
        trio.run(worker.run, generation, material)
    except OtherVersion as error:
        log.get_logger().error("worker_not_started", reason=str(error))
        return 1
    except Exception as error:
        log.log_bug(error)
        return 1
    return 1 if worker.orphaned else 0


class _Worker:
    def __init__(self, number: int, channel: Channel) -> None:
        self.orphaned = False
        self._number = number
        # What came of a new generation's material, and whole ones to be served; an empty one stands for what is served
        # already.
        self._pieces: list[str] = []
        self._renewals, self._to_renew = trio.open_memory_channel[bytes](math.inf)
        self._channel = channel
        self._questions = Questions(channel)
        self._stop = trio.Event()
        self._all_stop = False

    def configure_log(self, settings: Settings) -> None:
        """As the configuration says."""
        log.configure(settings.logging.level, settings.logging.format, worker=self._number)

    async def run(self, number: int, material: Material) -> None:
        """Raises OSError for TLS files that OpenSSL doesn't take."""
        first = await self._channel.receive()
        if first is None:
            return
        entrance, attempts = RemoteEntrance(self._questions), RemoteAttempts(self._questions)
        workers = material.settings.workers
        state = build(generation_of(number, material), entrance, attempts, threads=THREADS, processes=workers)
        del material
        reports = Reports(state, self._channel)
        listening = [Listening(name, socket.socket(fileno=fd), *how) for name, fd, *how in first[2]]
        log.set_debugging(first[3])
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._channel.send_forever)
                nursery.start_soon(self._listen, reports, nursery)
                nursery.start_soon(self._heed, signals)
                nursery.start_soon(self._renew_forever, state)
                nursery.start_soon(reports.answer_forever)
                nursery.start_soon(reports.repeat_forever)
                await serve_clients(
                    state,
                    listening,
                    started=lambda: self._started(reports),
                    readiness=lambda _: reports.tell_readiness(),
                    stopping=self._stop,
                    wait_for_stop=self._wait_for_stop,
                    stop_listening=lambda: _close_own(listening),
                )
                with trio.move_on_after(_LAST_WORDS):
                    await reports.make_last()
                    await self._channel.all_sent()
                nursery.cancel_scope.cancel()
        for listens in listening:
            listens.sock.close()
        self._channel.close()

    def _started(self, reports: Reports) -> None:
        reports.tell_readiness()
        self._channel.send(0, "started")

    async def _listen(self, reports: Reports, nursery: trio.Nursery) -> None:
        """Act on what the parent says; without a parent there is nothing to go on for."""
        while (frame := await self._channel.receive()) is not None:
            number, what, *arguments = frame
            if number:
                self._questions.answered(number, what)
            elif what == "report":
                reports.ask(*arguments)
            elif what == "material":
                self._take_piece(*arguments)
            elif what == "look_again":
                self._renewals.send_nowait(b"")
            elif what == "debug":
                log.set_debugging(*arguments)
            elif what == "stop":
                self._all_stop = True
                self._stop.set()
        self.orphaned = True
        log.get_logger().error("parent_gone")
        nursery.cancel_scope.cancel()

    def _take_piece(self, piece: str, is_last: bool) -> None:
        self._pieces.append(piece)
        if is_last:
            self._renewals.send_nowait("".join(self._pieces).encode("ascii"))
            self._pieces.clear()

    async def _renew_forever(self, state: ServerState) -> None:
        """Serve what the parent sends, in its order. It was checked, so whatever fails here is a bug: this process ends
        then, and the next begins with what is current."""
        async for packed in self._to_renew:
            if not packed:
                await swap(state, state.generation)
                continue
            generation = await in_thread(partial(_generation, packed))
            if generation.settings.logging != state.generation.settings.logging:
                self.configure_log(generation.settings)
            ended = await swap(state, generation)
            self._channel.send(0, "serves", generation.number, ended)

    async def _wait_for_stop(self) -> bool:
        """Whether all end; of one that ends alone, the next takes over what waits."""
        await self._stop.wait()
        return self._all_stop

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        """A worker that is told to stop by itself drains, and its parent starts another."""
        async for number in signals:
            if number != signal.SIGHUP:
                self._stop.set()


def _close_own(listening: list[Listening]) -> None:
    for listens in listening:
        if not listens.lasting:
            listens.sock.close()


def _generation(packed: bytes) -> Generation:
    return generation_of(*unpack(packed))
