"""Gets of several clients go up together until upstream denies one: on all links of a pool, and on those of later."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.relay.link import Link
from mcproxy.relay.poller import Relay
from mcproxy.relay.pool import Pool
from tests.unit.relay.stage import Stage
from tests.unit.wire.driving import Collector
from tests.unit.wire.granting import text

DENIED = b"CLIENT_ERROR access denied\r\n"
TOGETHER, ONE_BY_ONE = b"get k0 k1\r\n", b"get k0\r\nget k1\r\n"


@asynccontextmanager
async def running(*, gathers: bool) -> AsyncIterator[tuple[Pool, Stage]]:
    errors: list[BaseException] = []
    relay = Relay(1 << 28, errors.append)
    stage = Stage()
    pool = Pool(relay, "text", stage.open, 2, 1.0, stage, lambda: gathers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        nursery.start_soon(pool.run)
        await wait_all_tasks_blocked()
        yield pool, stage
        nursery.cancel_scope.cancel()
    assert not errors
    for far in stage.far:
        far.close()


def ask(pool: Pool, link: Link) -> list[Collector]:
    """Two clients ask within one turn."""
    sinks = [Collector(), Collector()]
    for number, sink in enumerate(sinks):
        link.submit(text()(sink).next(b"get k%d\r\n" % number, 0, 1))
    pool._relay.settle()
    return sinks


async def test_the_first_denial_ends_it_on_all_links() -> None:
    async with running(gathers=True) as (pool, stage):
        for link, far in zip(pool.links, stage.far, strict=True):
            ask(pool, link)
            assert far.recv(100) == TOGETHER
        assert stage.new() == ["opened"] * 2
        stage.far[0].send(DENIED)
        await wait_all_tasks_blocked(0.01)
        assert stage.new() == ["denied"]
        stage.far[1].send(DENIED)
        await wait_all_tasks_blocked(0.01)
        assert stage.new() == [], "it is told once"
        sinks = ask(pool, pool.links[1])
        assert stage.far[1].recv(100) == ONE_BY_ONE
        stage.far[1].send(b"END\r\n" + DENIED)
        await wait_all_tasks_blocked(0.01)
        assert [sink.received for sink in sinks] == [b"END\r\n", DENIED]


async def test_a_link_that_is_opened_later_gathers_nothing_either() -> None:
    async with running(gathers=True) as (pool, stage):
        ask(pool, pool.links[0])
        stage.far[0].send(DENIED)
        await wait_all_tasks_blocked(0.01)
        pool.renew(trusted=True)
        await wait_all_tasks_blocked(0.01)
        assert len(stage.far) == 4
        for link, far in zip(pool.links, stage.far[2:], strict=True):
            ask(pool, link)
            assert far.recv(100) == ONE_BY_ONE


async def test_where_upstream_is_known_to_have_grants_nothing_is_gathered() -> None:
    async with running(gathers=False) as (pool, stage):
        ask(pool, pool.links[0])
        assert stage.far[0].recv(100) == ONE_BY_ONE
        stage.far[0].send(b"END\r\n" + DENIED)
        await wait_all_tasks_blocked(0.01)
        assert "denied" not in stage.new()
