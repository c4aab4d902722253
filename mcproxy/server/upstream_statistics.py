"""The upstreams' own figures for /metrics, asked for when somebody scrapes, so that no exporter needs a login there.

Each upstream is asked over a connection of its own, which is opened as a link is and kept open between. A scrape waits
PATIENCE for the answers and no longer: an upstream whose answer hasn't come is one that is down, as far as that scrape
is concerned, and the asking goes on for the next one. Only the process that serves the admin port asks.
"""

from collections.abc import Callable, Iterable
from typing import Final

import trio

from mcproxy.observe.log import get_logger, log_bug
from mcproxy.observe.memcached import Figures
from mcproxy.relay.login_waits import LoginWaits
from mcproxy.relay.obstacle import NotOpened
from mcproxy.server.state import Generation, UpstreamState
from mcproxy.server.statistics_answers import NotFigures
from mcproxy.server.statistics_connection import StatisticsConnection
from mcproxy.wire.requests import OutOfStep

PATIENCE: Final = 1.0
"""Seconds that a scrape waits for all upstreams together."""
FRESH: Final = 1.0
"""Seconds for which an answer does for further scrapes."""

log = get_logger()


class UpstreamStatistics:
    """`generation` is asked each time, so that a reload's certificates and credentials are used from then on."""

    def __init__(self, generation: Callable[[], Generation]) -> None:
        self._generation = generation
        # No upstream can be added or taken out while running.
        names = [name for name, upstream in generation().upstreams.items() if upstream.settings.engine != "twemproxy"]
        self._asked = [_Asked(name, generation) for name in names]

    async def run(self) -> None:
        """Ask when there is a scrape, until cancelled."""
        async with trio.open_nursery() as nursery:
            for one in self._asked:
                nursery.start_soon(one.run)

    async def refresh(self) -> None:
        """To be awaited before each scrape. Takes PATIENCE at most."""
        used = self._used()
        for one in self._asked:
            if one not in used:
                one.forget()
        with trio.move_on_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for one in used:
                    nursery.start_soon(one.fresh)

    def rows(self) -> Iterable[tuple[str, Figures | None]]:
        """For the metrics: what the last `refresh` brought, None for an upstream that has not answered."""
        return [(one.name, one.figures) for one in self._used()]

    def _used(self) -> "list[_Asked]":
        """Those that a listener's requests go to, if anybody wants to know."""
        generation = self._generation()
        if not generation.settings.admin.upstream_statistics:
            return []
        names = {pool.upstream for pool in generation.pools}
        return [one for one in self._asked if one.name in names]


class _Asked:
    """One upstream. `figures` are there if it has answered within FRESH, or since it was last asked."""

    def __init__(self, name: str, generation: Callable[[], Generation]) -> None:
        self.name = name
        self.figures: Figures | None = None
        self._generation = generation
        self._answered_at = -FRESH
        self._wanted = trio.Event()
        # Set once the question that is under way has its answer; None if there is none.
        self._answered: trio.Event | None = None
        self._connection: StatisticsConnection | None = None
        # A login that was refused must not be tried at every scrape: that would be guessing.
        self._waits = LoginWaits()

    async def fresh(self) -> None:
        """Returns when upstream has answered, or can't be asked."""
        if self._answered is None:
            if trio.current_time() - self._answered_at < FRESH:
                return
            self.figures = None
            self._answered = trio.Event()
            self._wanted.set()
        await self._answered.wait()

    def forget(self) -> None:
        """Nobody wants to know any more."""
        if self._answered is None:
            self.figures = None
            self._close()

    async def run(self) -> None:
        """Ask whenever `fresh` wants it, until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted = trio.Event()
                try:
                    self.figures = await self._ask()
                except Exception as error:  # a bug of ours costs the figures, and nobody's service
                    log_bug(error)
                    self._close()
                self._answered_at = trio.current_time()
                answered, self._answered = self._answered, None
                if answered is not None:
                    answered.set()
        finally:
            self._close()

    async def _ask(self) -> Figures | None:
        upstream = self._generation().upstreams[self.name]
        if self._connection is not None and not self._connection.is_of(upstream):
            self._close()
        if self._waits.left(trio.current_time()) > 0:
            return None
        kept = self._connection is not None
        try:
            try:
                return await self._ask_once(upstream)
            except OSError:
                if not kept:
                    raise
                # Upstream has closed it since: that says nothing of upstream now.
                self._close()
                return await self._ask_once(upstream)
        except NotOpened as problem:
            if problem.obstacle.refused:
                self._waits.refused(trio.current_time())
            self._failed(str(problem))
        except trio.TooSlowError:
            self._failed("no answer in time")
        except (OutOfStep, NotFigures) as error:
            self._failed(str(error))
        except OSError as error:
            self._failed(error.strerror or type(error).__name__)
        return None

    async def _ask_once(self, upstream: UpstreamState) -> Figures:
        if self._connection is None:
            self._connection = await StatisticsConnection.open(upstream, self._protocol())
            self._waits.reset()
        with trio.fail_after(upstream.settings.timeout):
            return await self._connection.ask()

    def _protocol(self) -> str:
        """One in which clients' requests go to it anyway; text, if both do."""
        spoken = {pool.protocol for pool in self._generation().pools if pool.upstream == self.name}
        return "binary" if spoken == {"binary"} else "text"

    def _failed(self, reason: str) -> None:
        self._close()
        log.debug("upstream_statistics_failed", upstream=self.name, why=reason)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
