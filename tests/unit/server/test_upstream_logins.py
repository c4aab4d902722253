"""Where logins to upstreams compute: one at a time, in no other upstream's way, not in the time that upstream has."""

import threading

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.server.upstream_logins import UpstreamLogins


async def test_upstreams_time_does_not_run_meanwhile(mock_clock: MockClock) -> None:
    """Neither while it computes nor while it waits for another to have done so."""
    logins, release = UpstreamLogins(), threading.Event()
    left: list[float] = []

    async def compute() -> None:
        with trio.fail_after(1) as clock:
            await trio.sleep(0.25)
            await logins.in_thread(clock, release.wait)
            left.append(clock.deadline - trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(compute)
        await wait_all_tasks_blocked()
        mock_clock.jump(0.25)
        await wait_all_tasks_blocked()
        mock_clock.jump(60)
        await wait_all_tasks_blocked()
        assert not left
        release.set()
    assert left == [0.75, 0.75]


async def test_one_at_a_time() -> None:
    logins, alone = UpstreamLogins(), threading.Lock()
    met: list[bool] = []

    def compute() -> None:
        met.append(not alone.acquire(blocking=False))
        trio.from_thread.run(wait_all_tasks_blocked)
        if not met[-1]:
            alone.release()

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(logins.in_thread, trio.CancelScope(), compute)
    assert met == [False] * 5


async def test_one_that_was_given_up_still_counts() -> None:
    logins, release, begun, next_one = UpstreamLogins(), threading.Event(), trio.Event(), trio.Event()

    def compute() -> None:
        trio.from_thread.run_sync(begun.set)
        release.wait()

    async def follow() -> None:
        await logins.in_thread(trio.CancelScope(), int)
        next_one.set()

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as given_up:
            given_up.start_soon(logins.in_thread, trio.CancelScope(), compute)
            await begun.wait()
            given_up.cancel_scope.cancel()
        nursery.start_soon(follow)
        await wait_all_tasks_blocked()
        assert not next_one.is_set()
        release.set()
        await next_one.wait()


async def test_an_upstream_that_keeps_us_busy_is_in_no_other_s_way() -> None:
    release, there, elsewhere = threading.Event(), UpstreamLogins(), UpstreamLogins()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(there.in_thread, trio.CancelScope(), release.wait)
        await wait_all_tasks_blocked()
        with trio.fail_after(5):
            assert await elsewhere.in_thread(trio.CancelScope(), int, "7") == 7
        release.set()
