"""What the proxy does at signals: SIGTERM and SIGINT stop it, SIGHUP reloads, SIGUSR1 turns debugging on and off."""

import math
import signal
from collections.abc import AsyncIterator, Callable
from typing import Final

import trio

from mcproxy.observe import log
from mcproxy.server.reload import Reloader

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
SAME_SIGNAL: Final = 0.5
"""Seconds within which a second signal is the same one: timeout(1) and some supervisors send it twice."""

_log = log.get_logger()


class LateSignals:
    """What the signals do before the server waits for them, and after.

    Before, SIGTERM and SIGINT end the program, and SIGHUP is remembered: `reload` says so. From `only_remember` on they
    are remembered too: `stop` is the first of them. After, that changes nothing: a second SIGTERM just before the end
    would otherwise turn an orderly stop into a death by a signal.
    """

    def __init__(self) -> None:
        self.reload = False
        self.stop: int | None = None
        self._only_remember = False
        for number in HANDLED:
            signal.signal(number, self)

    def only_remember(self) -> None:
        """To be called before trio runs, in whose own steps an exception that comes out of nowhere is a bug of trio."""
        self._only_remember = True

    def ignore(self) -> None:
        """At the very end, when Python gives back the signals that it handles, so that they would kill."""
        for number in HANDLED:
            signal.signal(number, signal.SIG_IGN)

    def __call__(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        elif number != signal.SIGUSR1:
            if not self._only_remember:
                raise SystemExit(0)
            self.stop = self.stop or number


class Signals:
    """Those that came while it serves. `debugging` is told, beside the log of this process, whether debugging is on."""

    def __init__(self, reloader: Reloader, debugging: Callable[[bool], None] = lambda _: None) -> None:
        self.stops = 0
        """How often it was told to stop."""
        self.stopping = trio.Event()
        """Set the first time."""
        self._reloader = reloader
        self._debugging = debugging
        self._last_stop = -math.inf
        self._stopped = trio.Event()

    async def heed(self, received: AsyncIterator[int], early_stop: int | None = None) -> None:
        """Act on signals until cancelled. From the first that stops it, nothing is reloaded.

        `early_stop` came before there was anybody to receive it.
        """
        if early_stop is not None:
            self._stop(signal.Signals(early_stop).name)
        async for number in received:
            if number == signal.SIGHUP:
                if not self.stops:
                    self._reloader.ask()
            elif number == signal.SIGUSR1:
                self._debugging(log.toggle_debugging())
            else:
                self._stop(signal.Signals(number).name)

    def _stop(self, name: str) -> None:
        now = trio.current_time()
        if now - self._last_stop < SAME_SIGNAL:
            return
        self._last_stop = now
        self.stops += 1
        if self.stops == 1:
            self._reloader.stop()
            self.stopping.set()
            _log.info("stopping", signal=name)
        self._stopped.set()
        self._stopped = trio.Event()

    async def told_to_stop(self, times: int = 1) -> None:
        """Returns once it was told so often."""
        while self.stops < times:
            await self._stopped.wait()

    async def delay(self, seconds: float) -> None:
        """The time for others to notice that it isn't ready any more. Another signal cuts it short."""
        if seconds and self.stops == 1:
            _log.info("draining_soon", seconds=seconds)
            with trio.move_on_after(seconds):
                await self.told_to_stop(2)
