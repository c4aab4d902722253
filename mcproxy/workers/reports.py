"""What a worker tells its parent of itself: its figures piece by piece, so that clients get their turns between."""

import itertools
from enum import IntEnum
from typing import Final

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from mcproxy.observe.principals import PrincipalsCollector
from mcproxy.observe.together import slices_of
from mcproxy.server.state import ServerState
from mcproxy.server.status_part import part_of
from mcproxy.workers.channel import Channel

INTERVAL: Final = 1.0
"""Seconds between two reports that nobody asked for."""


class Detail(IntEnum):
    """How much a report holds; each has all that those before it have."""

    READINESS = 0
    """Whether requests can be served, and no figures."""
    BRIEF = 1
    """All metrics but those of each principal, which may be thousands."""
    METRICS = 2
    """All metrics."""
    STATUS = 3
    """What /status.json needs beside."""


class Reports:
    """Tells of `state` over `channel`. One report after the other, so none is overtaken by an older one.

    What a worker that is killed has counted since its last report is lost: of principals, since the last that somebody
    asked for, so never what was shown.
    """

    def __init__(self, state: ServerState, channel: Channel) -> None:
        self._state = state
        self._channel = channel
        self._principals = PrincipalsCollector(state.relay.traffic.tallies)
        self._one = trio.Lock()
        self._asked = 0
        self._detail = Detail.READINESS
        self._wanted = trio.Event()

    def ask(self, number: int, detail: int) -> None:
        """Have a report made soon that answers this question, and all with lower numbers."""
        self._asked = max(number, self._asked)
        self._detail = max(Detail(detail), self._detail)
        self._wanted.set()

    async def answer_forever(self) -> None:
        """Make those that are asked for, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            asked, detail = self._asked, self._detail
            self._detail = Detail.READINESS
            await self._make(detail, asked)

    async def repeat_forever(self) -> None:
        """Make brief ones that nobody asks for, until cancelled."""
        while True:
            await trio.sleep(INTERVAL)
            # One whose relay is stuck is silent, and its parent will say so.
            if await self._state.relay.turns() and not self._channel.congested:
                await self._make(Detail.BRIEF)

    async def make_last(self) -> None:
        """Tell everything, at the end."""
        await self._make(Detail.METRICS)

    def tell_readiness(self) -> None:
        """Tell whether requests can be served, and nothing else."""
        self._channel.send(0, "readiness", self._state.not_ready())

    async def _make(self, detail: Detail, asked: int = 0) -> None:
        sources: list[CollectorRegistry | Collector] = []
        if detail >= Detail.BRIEF:
            sources.append(self._state.metrics.registry)
        if detail >= Detail.METRICS:
            sources.append(self._principals)
        # Or each turn of theirs could be a long one, and the report late.
        async with self._one:
            with self._state.relay.busy():
                for families in itertools.chain.from_iterable(map(slices_of, sources)):
                    self._channel.send(0, "figures", families)
                    await trio.lowlevel.checkpoint()
            part = part_of(self._state) if detail >= Detail.STATUS else None
            self._channel.send(0, "report", asked, self._state.not_ready(), part)
