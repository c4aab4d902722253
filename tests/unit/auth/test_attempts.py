"""Turns at trying passwords: a pool of connections that come at once, at an address where its name is new."""

import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import Throttle
from mcproxy.server.attempts import LocalAttempts
from tests.unit.auth.checking import ELSEWHERE, HERE, SOON


def guessed_at(*names: str) -> LocalAttempts:
    """Everybody guesses at these."""
    throttle = Throttle()
    for name in names:
        for number in range(1000):
            throttle.attempt(f"10.1.{number // 250}.{number % 250}", name, 0.0, 1e9).failed(0.0)
    return LocalAttempts(throttle)


class Pool:
    """Connections of one client. What each attempt's `wait` was is noted; the checks end when `decided` is set."""

    def __init__(self, attempts: LocalAttempts, outcome: str) -> None:
        self.waits: list[float | None] = []
        self.decided = trio.Event()
        self._attempts = attempts
        self._outcome = outcome

    async def log_in(self, source: str = HERE, name: str = "sammy") -> None:
        async with self._attempts.attempt(source, name, SOON, SOON) as attempt:
            self.waits.append(attempt.wait)
            if attempt.wait is None:
                return
            await self.decided.wait()
            if self._outcome == "right":
                attempt.succeeded()
            elif self._outcome == "wrong":
                await attempt.failed()


async def held(pool: Pool, nursery: trio.Nursery, sources: list[str]) -> None:
    for source in sources:
        nursery.start_soon(pool.log_in, source)
    await wait_all_tasks_blocked()
    assert pool.waits == [0.0], "the others wait for what comes of the first"
    pool.decided.set()


async def test_all_connections_of_a_pool_get_in(mock_clock: trio.testing.MockClock) -> None:
    pool = Pool(guessed_at("sammy"), "right")
    async with trio.open_nursery() as nursery:
        await held(pool, nursery, [HERE] * 10)
    assert pool.waits == [0.0] * 10


async def test_a_network_has_one_chance_at_a_time(mock_clock: trio.testing.MockClock) -> None:
    pool = Pool(guessed_at("sammy"), "right")
    async with trio.open_nursery() as nursery:
        await held(pool, nursery, [f"2001:db8:0:{number}::1" for number in range(10)])
    assert pool.waits == [0.0] * 10


async def test_when_the_first_was_wrong_the_others_wait_for_slots(mock_clock: trio.testing.MockClock) -> None:
    pool = Pool(guessed_at("sammy"), "wrong")
    async with trio.open_nursery() as nursery:
        await held(pool, nursery, [HERE] * 10)
    assert pool.waits == [0.0] + [None] * 9


async def test_when_nobody_checked_the_first_the_next_has_the_chance(mock_clock: trio.testing.MockClock) -> None:
    pool = Pool(guessed_at("sammy"), "left")
    async with trio.open_nursery() as nursery:
        await held(pool, nursery, [HERE] * 10)
    assert pool.waits == [0.0] * 10


async def test_nobody_waits_who_needs_no_chance_or_comes_from_elsewhere(mock_clock: trio.testing.MockClock) -> None:
    attempts = guessed_at("sammy")
    one, another, elsewhere = (Pool(attempts, "left") for _ in range(3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.log_in)
        await wait_all_tasks_blocked()
        nursery.start_soon(another.log_in, HERE, "alex")
        nursery.start_soon(elsewhere.log_in, ELSEWHERE)
        await wait_all_tasks_blocked()
        assert one.waits == another.waits == elsewhere.waits == [0.0]
        nursery.cancel_scope.cancel()
    assert attempts._chances == {}
