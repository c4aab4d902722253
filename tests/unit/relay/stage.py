"""A pool whose links are opened on a stage: what is in the way, and how long it takes, is up to the test."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.relay.obstacle import NotOpened, Obstacle
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.wire.administration_requests import Watch
from tests.unit.wire.driving import Collector


class Stage:
    """Opens connections, unless there is an `obstacle`; and is the pool's observer. `tries` are the times."""

    def __init__(self) -> None:
        self.obstacle: Obstacle | None = None
        # What nobody has thought of.
        self.bug: Exception | None = None
        self.bugs: list[BaseException] = []
        self.hold: trio.Event | None = None
        self.tries: list[float] = []
        self.far: list[socket.socket] = []
        self.news: list[str] = []
        self.waits: list[float] = []
        self.outdated = 0

    async def open(self) -> socket.socket:
        self.tries.append(trio.current_time())
        if self.hold is not None:
            await self.hold.wait()
        if self.bug is not None:
            raise self.bug
        if self.obstacle is not None:
            raise NotOpened(self.obstacle)
        near, far = socket.socketpair()
        near.setblocking(False)
        self.far.append(far)
        return near

    def link_opened(self, protocol: str) -> None:
        self.news.append("opened")

    def link_lost(self, protocol: str, reason: str) -> None:
        self.news.append("lost")

    def link_retired(self, protocol: str) -> None:
        self.news.append("retired")

    def link_failed(self, protocol: str, problem: NotOpened, wait: float) -> None:
        self.news.append("failed")
        self.waits.append(wait)

    def links_outdated(self, protocol: str, outdated: int) -> None:
        self.outdated = outdated

    def no_place(self, protocol: str, most: int) -> None:
        self.news.append("no place")

    def denied(self, protocol: str) -> None:
        self.news.append("denied")

    def new(self) -> list[str]:
        news, self.news = self.news, []
        return news


def waiting(*, endless: bool = False) -> Watch:
    """A request in flight."""
    request = Watch(Collector(), b"watch\r\n", "inspect")
    request.begun = endless
    return request


@asynccontextmanager
async def running(size: int = 1) -> AsyncIterator[tuple[Pool, Stage]]:
    stage = Stage()
    relay = Relay(1 << 28, stage.bugs.append)
    pool = Pool(relay, "text", stage.open, size, 1.0, stage)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        nursery.start_soon(pool.run)
        await wait_all_tasks_blocked()
        assert stage.new() == ["opened"] * size
        yield pool, stage
        nursery.cancel_scope.cancel()
    assert all(bug is stage.bug for bug in stage.bugs)
    assert not relay.handlers
    for far in stage.far:
        far.close()
