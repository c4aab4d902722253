"""Shared links that are lost, or can't be opened for reasons that nobody thought of: what is told, and when it is tried
again."""

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.relay import login_waits
from mcproxy.relay.link_ends import ASKED_TO_LOG_IN, CLOSED
from mcproxy.relay.obstacle import INTERNAL, LOGIN_FORGOTTEN, LOGIN_REFUSED, LOST, UNAVAILABLE, Obstacle
from mcproxy.relay.retry import FIRST_WAIT, LONGEST_WAIT
from tests.unit.relay.stage import running


@pytest.mark.parametrize(
    "bug", [ValueError("a certificate that can't be parsed"), RuntimeError("can't start new thread"), UnicodeError("x")]
)
async def test_a_bug_of_opening_is_one_more_obstacle(clock: MockClock, bug: Exception) -> None:
    """It ends neither the pool nor the process, and is tried again as any other, with growing waits."""
    async with running(2) as (pool, stage):
        stage.bug = bug
        clock.jump(LONGEST_WAIT + 1)
        pool.links[0].close("a test")
        await wait_all_tasks_blocked()
        assert stage.bugs == [bug]
        assert pool.obstacle is INTERNAL
        assert len(pool.links) == 1, "the other one serves on"
        for wait in (FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4):
            before = len(stage.bugs)
            clock.jump(wait * 0.99)
            await wait_all_tasks_blocked()
            assert len(stage.bugs) == before
            clock.jump(wait * 0.02)
            await wait_all_tasks_blocked()
            assert len(stage.bugs) == before + 1
        assert stage.waits == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4, FIRST_WAIT * 8]
        stage.bug, expected = None, stage.bugs[:]
        clock.jump(LONGEST_WAIT)
        await wait_all_tasks_blocked()
        assert len(pool.links) == 2
        assert pool.obstacle is None
        assert expected == [bug] * 4
        stage.bug = bug


@pytest.mark.parametrize(
    ("reason", "obstacle", "answer"),
    [
        (CLOSED, LOST, UNAVAILABLE),
        ("out of step: bytes that answer no request", LOST, UNAVAILABLE),
        (ASKED_TO_LOG_IN, LOGIN_FORGOTTEN, b"upstream refused the login"),
    ],
)
async def test_after_a_loss_it_is_known_why(clock: MockClock, reason: str, obstacle: Obstacle, answer: bytes) -> None:
    async with running() as (pool, _):
        assert pool.obstacle is None
        for _ in range(2):
            pool.links[0].close(reason)
            # In the same moment: who asks next is told so.
            assert pool.obstacle is obstacle
            assert pool.unavailable == answer
            await wait_all_tasks_blocked()
            clock.jump(login_waits.FIRST_WAIT)
            await wait_all_tasks_blocked()
            assert pool.obstacle is None


async def test_a_loss_does_not_hide_what_stands_in_the_way(clock: MockClock) -> None:
    async with running(2) as (pool, stage):
        stage.obstacle = LOGIN_REFUSED
        for link in list(pool.links):
            link.close(CLOSED)
            await wait_all_tasks_blocked()
            clock.jump(FIRST_WAIT)
            await wait_all_tasks_blocked()
        assert pool.links == []
        assert pool.obstacle is LOGIN_REFUSED


async def test_logins_that_are_taken_and_forgotten_now_and_then_lost(clock: MockClock) -> None:
    """Both in turn make the waits grow too; only a link that holds ends them."""
    async with running() as (pool, stage):
        stage.tries.clear()
        started = now = clock.current_time()
        number = 0
        while now - started < 60:
            if pool.links:
                pool.links[0].close((ASKED_TO_LOG_IN, CLOSED)[number % 2])
                number += 1
            await wait_all_tasks_blocked()
            clock.jump(0.25)
            now = clock.current_time()
        assert len(stage.tries) < 30
