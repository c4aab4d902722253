"""Links that are opened anew after a reload, and those whose login was refused. The clock stands still."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.relay import login_waits
from mcproxy.relay.link import Link
from mcproxy.relay.link_ends import ASKED_TO_LOG_IN
from mcproxy.relay.obstacle import LOGIN_REFUSED, LOGIN_SILENT, OUTDATED, UNREACHABLE, UNTRUSTED, Obstacle
from mcproxy.relay.pool import TRUSTED_ON
from mcproxy.relay.retry import FIRST_WAIT, LONGEST_WAIT
from tests.unit.relay.stage import running, waiting


async def test_a_new_link_comes_first_and_the_old_one_answers_what_it_was_asked(clock: MockClock) -> None:
    async with running(2) as (pool, stage):
        first, second = pool.links
        first.waiting.append(waiting())
        pool.renew(trusted=True)
        assert pool.links == [first, second], "there is always one"
        await wait_all_tasks_blocked()
        assert stage.new() == ["opened", "retired"] * 2
        assert len(pool.links) == 2
        assert first not in pool.links
        assert second not in pool.links
        assert first.retired
        assert not first.closed, "it is still owed an answer"
        assert second.closed
        assert stage.outdated == 0


async def test_without_a_new_link_the_old_one_serves_on(clock: MockClock) -> None:
    """A password that upstream doesn't take: nobody need notice but whoever changed it."""
    async with running(2) as (pool, stage):
        before = list(pool.links)
        stage.obstacle = LOGIN_REFUSED
        pool.renew(trusted=True)
        await wait_all_tasks_blocked()
        assert pool.links == before
        assert stage.new() == ["failed"]
        assert stage.outdated == 2
        assert pool.unavailable == b"upstream refused the login"
        before[0].close("a test")
        assert stage.outdated == 1
        stage.obstacle = None
        clock.jump(login_waits.FIRST_WAIT)
        await wait_all_tasks_blocked()
        assert stage.outdated == 0
        assert len(pool.links) == 2
        assert before[1].closed
        assert pool.unavailable == b"upstream is unavailable"


@pytest.mark.parametrize("obstacle", [UNTRUSTED, LOGIN_REFUSED, UNREACHABLE])
async def test_what_is_not_trusted_any_more_ends_all_the_same(clock: MockClock, obstacle: Obstacle) -> None:
    async with running(2) as (pool, stage):
        before = list(pool.links)
        stage.obstacle = obstacle
        pool.renew(trusted=False)
        await wait_all_tasks_blocked()
        assert pool.links == []
        assert all(link.closed for link in before)
        assert stage.new().count("retired") == 2
        assert pool.unavailable == obstacle.answer
        stage.obstacle = None
        clock.jump(LONGEST_WAIT)
        await wait_all_tasks_blocked()
        assert len(pool.links) == 2


async def test_what_is_not_trusted_any_more_does_not_wait_for_what_hangs(clock: MockClock) -> None:
    """A new link may take as long as its handshake may take; the old ones answer what they were asked, and end."""
    async with running(2) as (pool, stage):
        first, second = pool.links
        first.submit(waiting())
        stage.hold = hold = trio.Event()
        pool.renew(trusted=False)
        await wait_all_tasks_blocked()
        clock.jump(TRUSTED_ON * 0.99)
        await wait_all_tasks_blocked()
        assert pool.links == [first, second]
        clock.jump(TRUSTED_ON * 0.02)
        await wait_all_tasks_blocked()
        assert pool.links == []
        assert first.retired
        assert not first.closed
        assert second.closed
        assert stage.new() == ["retired"] * 2
        assert stage.outdated == 0
        assert pool.obstacle is OUTDATED
        hold.set()
        await wait_all_tasks_blocked()
        assert stage.new() == ["opened"] * 2
        assert pool.obstacle is None


async def test_each_reload_has_its_own_second(clock: MockClock) -> None:
    async with running() as (pool, stage):
        pool.renew(trusted=False)
        await wait_all_tasks_blocked()
        (second,) = pool.links
        clock.jump(TRUSTED_ON / 2)
        stage.hold = trio.Event()
        pool.renew(trusted=False)
        await wait_all_tasks_blocked()
        clock.jump(TRUSTED_ON * 0.75)
        await wait_all_tasks_blocked()
        assert pool.links == [second], "the first reload's second is over, and not its own"
        clock.jump(TRUSTED_ON / 2)
        await wait_all_tasks_blocked()
        assert pool.links == []


async def test_what_is_being_opened_with_the_old_is_given_up(clock: MockClock) -> None:
    async with running() as (pool, stage):
        stage.hold = trio.Event()
        pool.links[0].close("a test")
        await wait_all_tasks_blocked()
        clock.jump(FIRST_WAIT)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == 2, "it hangs"
        stage.hold = None
        pool.renew(trusted=False)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == 3
        assert stage.new() == ["lost", "opened"]


async def test_what_is_opened_just_when_it_is_old_is_not_used(clock: MockClock) -> None:
    async with running() as (pool, stage):
        stage.hold = hold = trio.Event()
        pool.links[0].close("a test")
        await wait_all_tasks_blocked()
        clock.jump(FIRST_WAIT)
        await wait_all_tasks_blocked()
        hold.set()
        pool.renew(trusted=False)
        await wait_all_tasks_blocked()
        # Whether the first of these was given up or came too late: it serves nobody.
        assert stage.new() == ["lost", "opened"]
        assert len(stage.tries) == 3


async def test_links_of_their_own_end_when_they_are_not_trusted(clock: MockClock) -> None:
    async with running() as (pool, _):
        got: list[Link | None] = []
        for _ in range(3):
            pool.open_private(got.append)
        await wait_all_tasks_blocked()
        watching, asking, idle = got
        assert watching is not None
        assert asking is not None
        assert idle is not None
        watching.waiting.append(waiting(endless=True))
        asking.waiting.append(waiting())
        pool.renew(trusted=True)
        assert not any(link.closed for link in (watching, asking, idle))
        pool.renew(trusted=False)
        assert watching.closed
        assert idle.closed
        assert not asking.closed
        assert asking.retired


async def test_refused_logins_come_seldom_and_one_at_a_time(clock: MockClock) -> None:
    async with running(3) as (pool, stage):
        stage.obstacle = LOGIN_REFUSED
        stage.tries.clear()
        clock.jump(LONGEST_WAIT + 1)
        started = trio.current_time()
        for link in list(pool.links):
            link.close("a test")
        for _ in range(1000):
            await wait_all_tasks_blocked()
            clock.jump(0.1)
        gaps = [round(later - before, 3) for before, later in zip(stage.tries, stage.tries[1:], strict=False)]
        assert stage.tries[0] == started
        # The clock moves by tenths, so each may come up to one late.
        expected = [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15]
        assert len(gaps) >= 8
        assert all(wait <= gap <= wait + 0.11 for gap, wait in zip(gaps, expected, strict=False)), gaps
        assert stage.waits[:3] == [0.5, 1, 2]


async def test_after_a_refused_login_nobody_has_a_link_of_his_own(clock: MockClock) -> None:
    """Clients must not make us guess: neither without a shared link nor beside one."""
    async with running() as (pool, stage):
        got: list[Link | None] = []
        stage.obstacle = LOGIN_REFUSED
        stage.tries.clear()
        for _ in range(5):
            pool.open_private(got.append)
            await wait_all_tasks_blocked()
        assert got == [None] * 5
        assert len(stage.tries) == 1
        assert stage.new() == ["failed"]
        assert pool.unavailable == b"upstream refused the login"
        stage.obstacle = None
        clock.jump(login_waits.FIRST_WAIT)
        pool.open_private(got.append)
        await wait_all_tasks_blocked()
        assert got[-1] is not None
        pool.links[0].close("a test")
        pool.open_private(got.append)
        await wait_all_tasks_blocked()
        assert got[-1] is None, "there is no shared link"


@pytest.mark.parametrize("obstacle", [LOGIN_REFUSED, UNREACHABLE, LOGIN_SILENT])
@pytest.mark.parametrize("new", [False, True])
async def test_a_reload_cuts_the_wait_short(clock: MockClock, obstacle: Obstacle, new: bool) -> None:
    async with running() as (pool, stage):
        stage.obstacle = obstacle
        clock.jump(LONGEST_WAIT + 1)
        pool.links[0].close("a test")
        for _ in range(5):
            await wait_all_tasks_blocked()
            clock.jump(20)
        await wait_all_tasks_blocked()
        stage.obstacle = None
        if new:
            pool.renew(trusted=True)
        else:
            pool.hurry()
        await wait_all_tasks_blocked()
        assert len(pool.links) == 1


async def test_asked_to_log_in_a_link_is_followed_by_one_login_at_once(clock: MockClock) -> None:
    """Case 26; and if that happens again and again, by fewer and fewer."""
    async with running() as (pool, stage):
        stage.tries.clear()
        pool.links[0].close(ASKED_TO_LOG_IN)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == 1
        gaps = []
        for _ in range(4):
            pool.links[0].close(ASKED_TO_LOG_IN)
            before = trio.current_time()
            while not pool.links:
                await wait_all_tasks_blocked()
                clock.jump(0.0625)
            gaps.append(stage.tries[-1] - before)
        assert gaps == [0.5, 1, 2, 4]
        clock.jump(LONGEST_WAIT + 1)
        stage.tries.clear()
        pool.links[0].close(ASKED_TO_LOG_IN)
        await wait_all_tasks_blocked()
        assert len(stage.tries) == 1, "after a while it is a new story"


async def test_links_that_nobody_needs_answer_and_end_until_they_are_needed_again(clock: MockClock) -> None:
    async with running(2) as (pool, stage):
        first, second = pool.links
        first.waiting.append(waiting())
        pool.rest()
        pool.rest()
        assert pool.links == []
        assert (first.retired, first.closed, second.closed) == (True, False, True)
        assert stage.new() == ["retired"] * 2
        stage.obstacle = UNREACHABLE
        pool.hurry()
        clock.jump(LONGEST_WAIT)
        await wait_all_tasks_blocked()
        assert stage.new() == [], "nothing is tried"
        stage.obstacle = None
        pool.wake()
        await wait_all_tasks_blocked()
        clock.jump(LONGEST_WAIT)
        await wait_all_tasks_blocked()
        assert stage.new() == ["opened"] * 2
        assert len(pool.links) == 2


async def test_links_that_are_needed_again_do_not_wait_for_what_the_last_ones_still_answer(clock: MockClock) -> None:
    async with running(1) as (pool, stage):
        (first,) = pool.links
        first.waiting.append(waiting())
        pool.rest()
        await wait_all_tasks_blocked()
        pool.wake()
        await wait_all_tasks_blocked()
        assert stage.new() == ["retired", "opened"]
        assert not first.closed
        assert len(pool.links) == 1


async def test_a_link_that_is_being_opened_when_nobody_needs_it_any_more_ends(clock: MockClock) -> None:
    async with running(1) as (pool, stage):
        stage.hold = hold = trio.Event()
        pool.renew(trusted=True)
        await wait_all_tasks_blocked()
        pool.rest()
        hold.set()
        await wait_all_tasks_blocked()
        assert pool.links == []
        assert stage.new() == ["retired"], "the new one was never in service"
        assert stage.far[-1].recv(1) == b"", "it is closed"
