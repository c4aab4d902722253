"""Links of sessions' own that upstream doesn't want: clients decide how many are asked for, not how many are tried."""

import itertools

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.relay import login_waits
from mcproxy.relay.link import Link
from mcproxy.relay.link_ends import ASKED_TO_LOG_IN, CLIENT_LEFT, CLOSED, DONE
from mcproxy.relay.obstacle import LOGIN_LOST, LOGIN_REFUSED, UNREACHABLE, Obstacle
from mcproxy.relay.pool import Pool
from mcproxy.relay.private_links import OPENED_AT_ONCE
from mcproxy.relay.retry import FIRST_WAIT, LONGEST_WAIT
from tests.unit.relay.stage import running

FROM_WAIT_TO_WAIT = [FIRST_WAIT, 0.1, 0.2, 0.4, 0.8, 1.6, LONGEST_WAIT, LONGEST_WAIT]


async def asked_for(pool: Pool, clock: MockClock) -> Link | None:
    """What a client gets who asks for one now."""
    got: list[Link | None] = []
    pool.open_private(got.append)
    await wait_all_tasks_blocked()
    assert len(got) == 1
    return got[0]


async def gaps(pool: Pool, clock: MockClock, tries: list[float], count: int) -> list[float]:
    """Seconds between so many tries, while somebody asks sixteen times a second. Loses what opens."""
    tries.clear()
    while len(tries) <= count:
        link = await asked_for(pool, clock)
        if link is not None:
            link.close(ASKED_TO_LOG_IN)
            await wait_all_tasks_blocked()
        clock.jump(0.05)
    return [round(later - before, 3) for before, later in itertools.pairwise(tries)]


@pytest.mark.parametrize("obstacle", [LOGIN_LOST, UNREACHABLE, None])
async def test_what_fails_is_tried_less_and_less_often(clock: MockClock, obstacle: Obstacle | None) -> None:
    """Whether it isn't opened, or opened and then said to want a login; however many clients ask for how long."""
    async with running() as (pool, stage):
        stage.obstacle = obstacle
        seen = await gaps(pool, clock, stage.tries, len(FROM_WAIT_TO_WAIT))
        assert all(wait - 0.001 <= gap <= wait + 0.051 for gap, wait in zip(seen, FROM_WAIT_TO_WAIT, strict=True)), seen
        assert len(pool.links) == 1, "the shared one has nothing to do with it"
        stage.obstacle = None
        pool.hurry()
        assert await asked_for(pool, clock) is not None, "a reload cuts the wait short"


async def test_a_bug_costs_that_link_alone(clock: MockClock) -> None:
    async with running() as (pool, stage):
        stage.bug = ValueError("nobody thought of this")
        seen = await gaps(pool, clock, stage.tries, 3)
        assert all(wait - 0.001 <= gap <= wait + 0.051 for gap, wait in zip(seen, FROM_WAIT_TO_WAIT, strict=False))
        assert stage.bugs == [stage.bug] * 4
        assert len(pool.links) == 1


async def test_a_client_whose_session_breaks_costs_that_link_alone(clock: MockClock) -> None:
    given: list[Link] = []

    async with running() as (pool, stage):
        stage_bug = stage.bug = RuntimeError("a session's")

        def ready(link: Link | None) -> None:
            assert link is not None
            given.append(link)
            raise stage_bug

        stage.bug = None
        pool.open_private(ready)
        await wait_all_tasks_blocked()
        stage.bug = stage_bug
        assert stage.bugs == [stage_bug]
        assert given[0].closed
        assert len(pool.links) == 1


async def test_few_wrong_passwords_at_once(clock: MockClock) -> None:
    """It has changed upstream, while the shared link serves on: a hundred clients are not a hundred guesses."""
    async with running() as (pool, stage):
        stage.tries.clear()
        stage.hold = hold = trio.Event()
        stage.obstacle = LOGIN_REFUSED
        got: list[Link | None] = []
        for _ in range(100):
            pool.open_private(got.append)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == OPENED_AT_ONCE
        hold.set()
        await wait_all_tasks_blocked()
        assert len(stage.tries) == OPENED_AT_ONCE
        clock.jump(2.0)
        await wait_all_tasks_blocked()
        assert got == [None] * 100
        assert len(stage.tries) == OPENED_AT_ONCE
        # After that, one at a time.
        stage.hold = trio.Event()
        for _ in range(100):
            pool.open_private(got.append)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == OPENED_AT_ONCE + 1
        stage.hold.set()
        await wait_all_tasks_blocked()
        assert got == [None] * 200
        assert len(stage.tries) == OPENED_AT_ONCE + 1
        assert {round(wait, 3) for wait in stage.waits} == {login_waits.FIRST_WAIT, 2 * login_waits.FIRST_WAIT}


async def test_those_that_wait_for_their_turn_do_not_wait_for_ever(clock: MockClock) -> None:
    async with running() as (pool, stage):
        stage.hold = trio.Event()
        got: list[Link | None] = []
        for _ in range(OPENED_AT_ONCE + 3):
            pool.open_private(got.append)
        await wait_all_tasks_blocked()
        clock.jump(1.0)
        await wait_all_tasks_blocked()
        assert got == [None] * 3
        assert stage.new() == [], "there are places enough"


@pytest.mark.parametrize(("reason", "waits"), [(DONE, False), (CLIENT_LEFT, False), (CLOSED, True)])
async def test_only_what_upstream_does_makes_others_wait(clock: MockClock, reason: str, waits: bool) -> None:
    async with running() as (pool, _):
        link = await asked_for(pool, clock)
        assert link is not None
        link.close(reason)
        await wait_all_tasks_blocked()
        assert (await asked_for(pool, clock) is None) == waits


async def test_one_that_does_its_work_ends_the_waiting(clock: MockClock) -> None:
    async with running() as (pool, stage):
        await gaps(pool, clock, stage.tries, 4)
        clock.jump(LONGEST_WAIT)
        link = await asked_for(pool, clock)
        assert link is not None
        link.close(DONE)
        await wait_all_tasks_blocked()
        assert await gaps(pool, clock, stage.tries, 1) == [pytest.approx(FIRST_WAIT, abs=0.051)]


async def test_a_login_taken_for_one_client_shortens_nobodys_wait(clock: MockClock) -> None:
    """The shared link has just been asked for a login twice, while another was being opened."""
    async with running() as (pool, stage):
        pool.links[0].close(ASKED_TO_LOG_IN)
        await wait_all_tasks_blocked()
        stage.hold = trio.Event()
        got: list[Link | None] = []
        pool.open_private(got.append)
        await wait_all_tasks_blocked()
        pool.links[0].close(ASKED_TO_LOG_IN)
        await wait_all_tasks_blocked()
        stage.hold.set()
        stage.tries.clear()
        await wait_all_tasks_blocked()
        assert got[0] is not None
        assert stage.tries == []
        clock.jump(login_waits.FIRST_WAIT)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == 1
