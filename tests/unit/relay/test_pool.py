"""Links are opened, tried, lost and opened again: against a real memcached and a scripted one.

The clock stands still unless a test moves it, so the growing waits are exact and take no time.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.config.schema import Upstream
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.link import Link
from mcproxy.relay.obstacle import NotOpened
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from mcproxy.relay.private_links import PRIVATE_LINKS
from mcproxy.relay.retry import FIRST_WAIT, LONGEST_WAIT
from mcproxy.relay.secured import Connection
from mcproxy.relay.session import Session
from mcproxy.relay.shared_links import LONG_QUEUE
from mcproxy.server.link_opening import open_connection
from mcproxy.server.state import UpstreamState
from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.requests import Local
from mcproxy.wire.tally import Tally
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules
from tests.support.memcached import Memcached
from tests.unit.relay.harness import EVERYTHING, Witness
from tests.unit.wire.driving import Collector

TIMEOUT = 1.0
VERSION = b"VERSION 1.6.18\r\nMN\r\n"
Answer = Callable[[trio.SocketStream], Awaitable[None]]


class Events:
    """The observer of a pool, whose news a test can wait for."""

    def __init__(self) -> None:
        self._sender, self.news = trio.open_memory_channel[tuple[str, str, float]](1000)

    def link_opened(self, protocol: str) -> None:
        self._sender.send_nowait(("opened", "", 0.0))

    def link_lost(self, protocol: str, reason: str) -> None:
        self._sender.send_nowait(("lost", reason, 0.0))

    def link_retired(self, protocol: str) -> None:
        self._sender.send_nowait(("retired", "", 0.0))

    def link_failed(self, protocol: str, problem: NotOpened, wait: float) -> None:
        self._sender.send_nowait(("failed", str(problem), wait))

    def links_outdated(self, protocol: str, outdated: int) -> None:
        self.outdated = outdated

    def no_place(self, protocol: str, most: int) -> None:
        self._sender.send_nowait(("no place", protocol, most))

    def denied(self, protocol: str) -> None:
        self._sender.send_nowait(("denied", protocol, 0.0))

    async def next(self) -> tuple[str, str, float]:
        return await self.news.receive()

    def nothing_more(self) -> bool:
        return self.news.statistics().current_buffer_used == 0


class Scripted:
    """Listens on a unix socket; connection after connection gets the next answer, the last one again and again."""

    def __init__(self, path: Path, *answers: Answer) -> None:
        self.path = path
        self.answers = list(answers)
        self.received: list[bytes] = []
        self.connections = 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            await listener.bind(str(self.path))
            listener.listen(100)
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    connection, _ = await listener.accept()
                    self.connections += 1
                    nursery.start_soon(self._answer, trio.SocketStream(connection))

    async def _answer(self, stream: trio.SocketStream) -> None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        async with stream:
            self.received.append(await stream.receive_some(100))
            await answer(stream)


def says(data: bytes, *, stays: bool = True) -> Answer:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(data)
        if stays:
            await trio.sleep_forever()

    return answer


async def hangs(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


@pytest.fixture(scope="module")
def memcached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memcached]:
    with Memcached(tmp_path_factory.mktemp("memcached")) as memcached:
        yield memcached


def opening(path: Path, protocol: str = "text") -> Callable[[], Awaitable[Connection]]:
    settings = Upstream.model_validate({"address": f"unix:{path}", "timeout": f"{TIMEOUT:g}s"})
    return partial(open_connection, UpstreamState("upstream", settings), protocol)


@asynccontextmanager
async def running(
    path: Path, *, protocol: str = "text", size: int = 1, relay: Relay | None = None
) -> AsyncIterator[tuple[Pool, Events, trio.Nursery]]:
    errors: list[BaseException] = []
    relay = relay or Relay(1 << 28, errors.append)
    events = Events()
    pool = Pool(relay, protocol, opening(path, protocol), size, TIMEOUT, events)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        nursery.start_soon(pool.run)
        yield pool, events, nursery
        nursery.cancel_scope.cancel()
    assert not errors
    assert not relay.handlers
    assert relay.held == 0


@pytest.mark.parametrize("protocol", ["text", "binary"])
async def test_links_to_a_real_memcached(clock: MockClock, memcached: Memcached, protocol: str) -> None:
    async with running(memcached.socket_path, protocol=protocol, size=3) as (pool, events, _):
        assert [await events.next() for _ in range(3)] == [("opened", "", 0.0)] * 3
        assert len(pool.links) == 3
        assert pool.first_link.is_set()
        assert pool.shared.choose() is pool.links[0]


async def test_a_session_over_a_pool(clock: MockClock, memcached: Memcached) -> None:
    """Requests, and stats over a link of its own that is closed afterwards."""
    relay = Relay(1 << 28, lambda error: None)
    async with running(memcached.socket_path, relay=relay) as (pool, events, _):
        await events.next()
        mine, theirs = socket.socketpair()
        theirs.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(mine))
        witness = Witness()
        session = Session(relay, theirs, pool, SessionLimits(), witness, Tally())
        session.start(TextParser(TextRules(EVERYTHING, WireLimits()), session), b"")
        for _ in range(3):
            await stream.send_all(b"set a 0 0 1\r\nx\r\nstats\r\nget a\r\n")
            heard = b""
            while not heard.endswith(b"VALUE a 0 1\r\nx\r\nEND\r\n"):
                heard += await stream.receive_some(65536)
            assert heard.startswith(b"STORED\r\nSTAT pid ")
            # The shared link and this one; those before are closed.
            assert b"STAT curr_connections 3\r\n" in heard or b"STAT curr_connections 2\r\n" in heard
        assert len(pool.links) == 1
        assert events.nothing_more(), "a link of its own is no news"
        await stream.aclose()
        while not witness.ends:
            await trio.lowlevel.checkpoint()


async def test_waits_grow_while_upstream_is_down_and_it_comes_back(clock: MockClock, tmp_path: Path) -> None:
    """Case 49."""
    path = tmp_path / "upstream.sock"
    async with running(path) as (pool, events, nursery):
        waits = []
        for _ in range(8):
            what, reason, wait = await events.next()
            assert (what, reason) == ("failed", "No such file or directory")
            waits.append(wait)
            assert pool.shared.choose() is None
            await wait_all_tasks_blocked()
            clock.jump(wait * 0.99)
            await wait_all_tasks_blocked()
            assert events.nothing_more()
            if len(waits) < 8:
                clock.jump(wait * 0.02)
        assert waits == [min(FIRST_WAIT * 2**number, LONGEST_WAIT) for number in range(8)]
        assert not pool.first_link.is_set()
        await nursery.start(Scripted(path, says(VERSION)).run)
        clock.jump(LONGEST_WAIT)
        assert (await events.next())[0] == "opened"
        assert pool.shared.choose() is not None


async def test_a_hanging_upstream_is_given_up(clock: MockClock, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path / "upstream.sock", hangs, says(VERSION))
    async with trio.open_nursery() as outer:
        await outer.start(scripted.run)
        async with running(scripted.path) as (_, events, _):
            await wait_all_tasks_blocked()
            clock.jump(TIMEOUT)
            assert await events.next() == ("failed", "no answer in time", FIRST_WAIT)
            await wait_all_tasks_blocked()
            clock.jump(FIRST_WAIT)
            assert (await events.next())[0] == "opened"
        outer.cancel_scope.cancel()


async def test_a_lost_link_is_gone_at_once_and_opened_again(clock: MockClock, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path / "upstream.sock", says(VERSION))
    async with trio.open_nursery() as outer:
        await outer.start(scripted.run)
        async with running(scripted.path, size=2) as (pool, events, _):
            await events.next()
            await events.next()
            first, second = pool.links
            first.close("a test")
            assert pool.shared.choose() is second, "no request is given a link that is gone"
            assert await events.next() == ("lost", "a test", 0.0)
            await wait_all_tasks_blocked()
            clock.jump(FIRST_WAIT)
            assert (await events.next())[0] == "opened"
            assert len(pool.links) == 2
            # One that has served for a while is opened again without a wait.
            clock.jump(LONGEST_WAIT + 1)
            pool.links[0].close("a test")
            await events.next()
            assert (await events.next())[0] == "opened"
        outer.cancel_scope.cancel()


async def test_an_upstream_that_drops_every_link_is_not_hammered(clock: MockClock, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path / "upstream.sock", says(VERSION, stays=False))
    async with trio.open_nursery() as outer:
        await outer.start(scripted.run)
        async with running(scripted.path) as (_, events, _):
            for number in range(8):
                assert (await events.next())[0] == "opened"
                assert (await events.next())[0] == "lost"
                await wait_all_tasks_blocked()
                wait = min(FIRST_WAIT * 2**number, LONGEST_WAIT)
                clock.jump(wait * 0.99)
                await wait_all_tasks_blocked()
                assert events.nothing_more(), "opened again too soon"
                clock.jump(wait * 0.02)
        outer.cancel_scope.cancel()


async def test_the_first_link_is_chosen_until_its_queue_is_long(clock: MockClock, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path / "upstream.sock", says(VERSION))
    async with trio.open_nursery() as outer:
        await outer.start(scripted.run)
        async with running(scripted.path, size=3) as (pool, events, _):
            for _ in range(3):
                await events.next()
            first, second, third = pool.links
            request = Local(Collector(), b"")
            second.waiting.append(request)
            assert pool.shared.choose() is first
            first.waiting.extend([request] * LONG_QUEUE)
            assert pool.shared.choose() is third
            for link in pool.links:
                link.waiting.clear()
            assert pool.shared.choose() is first
        outer.cancel_scope.cancel()


async def test_links_of_their_own_are_bounded_and_their_places_come_back(clock: MockClock, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path / "upstream.sock", says(VERSION))
    async with trio.open_nursery() as outer:
        await outer.start(scripted.run)
        async with running(scripted.path) as (pool, events, _):
            await events.next()
            got: list[Link | None] = []
            for _ in range(PRIVATE_LINKS):
                pool.open_private(got.append)
            assert got == [], "it takes its time"
            while len(got) < PRIVATE_LINKS:
                await wait_all_tasks_blocked()
            assert all(link is not None and link.single_use for link in got)
            assert len(pool.links) == 1, "they are not shared"
            first = got[0]
            assert first is not None
            pool.open_private(got.append)
            await wait_all_tasks_blocked()
            assert len(got) == PRIVATE_LINKS, "one too many waits for a place"
            first.close("done")
            while len(got) == PRIVATE_LINKS:
                await wait_all_tasks_blocked()
            assert got[-1] is not None
            assert events.nothing_more()
            pool.open_private(got.append)
            await wait_all_tasks_blocked()
            clock.jump(TIMEOUT)
            await wait_all_tasks_blocked()
            assert got[-1] is None, "but not for ever"
            assert await events.next() == ("no place", "text", PRIVATE_LINKS)
        outer.cancel_scope.cancel()


async def test_a_link_of_its_own_that_cannot_be_opened(clock: MockClock, tmp_path: Path) -> None:
    scripted = Scripted(tmp_path / "upstream.sock", says(VERSION), says(b"ERROR Too many\r\n"), hangs)
    async with trio.open_nursery() as outer:
        await outer.start(scripted.run)
        async with running(scripted.path) as (pool, events, _):
            await events.next()
            got: list[Link | None] = []
            pool.open_private(got.append)
            await wait_all_tasks_blocked()
            assert got == [None]
            pool.open_private(got.append)
            await wait_all_tasks_blocked()
            clock.jump(TIMEOUT)
            await wait_all_tasks_blocked()
            assert got == [None, None]
            assert len(pool.links) == 1
        outer.cancel_scope.cancel()


async def test_before_it_runs_there_are_no_links(clock: MockClock, tmp_path: Path) -> None:
    relay = Relay(1 << 20, lambda error: None)
    pool = Pool(relay, "text", opening(tmp_path / "x"), 1, TIMEOUT, Events())
    got: list[Link | None] = []
    pool.open_private(got.append)
    assert got == [None]
    assert pool.shared.choose() is None
    with trio.CancelScope() as scope:
        scope.cancel()
        await relay.run()
