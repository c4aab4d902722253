"""Who is next where many wait: by standing, and name by name."""

from collections.abc import Iterable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import Standing
from mcproxy.server.queue import CELLS, HALF_LIFE, MUCH, Busy, Queue

KNOWN, NEW, FAILED = Standing
Who = tuple[Standing, str]


class Waiting:
    """Those who wait come one after the other, and note it when they have a turn or had to leave."""

    def __init__(self, nursery: trio.Nursery, queue: Queue) -> None:
        self.queue = queue
        self.had: list[str] = []
        self.left: list[str] = []
        self._nursery = nursery

    async def come(self, *who: Who) -> None:
        for standing, name in who:
            self._nursery.start_soon(self._wait, standing, name)
            await wait_all_tasks_blocked()

    async def all_had(self) -> list[str]:
        """In the order of their turns, one at a time."""
        while len(self.queue):
            self.queue.give_back()
            await wait_all_tasks_blocked()
        return self.had

    async def _wait(self, standing: Standing, name: str) -> None:
        try:
            await self.queue.turn(standing, name)
        except Busy:
            self.left.append(name)
        else:
            self.had.append(name)


@pytest.fixture
async def waiting(nursery: trio.Nursery) -> Waiting:
    """One turn, which somebody has, and room for six."""
    queue = Queue(1, 6)
    await queue.turn(NEW, "who has it")
    return Waiting(nursery, queue)


def times(number: int, who: Who) -> Iterable[Who]:
    return [who] * number


async def test_by_standing_and_then_in_order(waiting: Waiting) -> None:
    await waiting.come((FAILED, "a"), (NEW, "b"), (NEW, "c"), (KNOWN, "d"), (KNOWN, "e"))
    assert await waiting.all_had() == ["d", "e", "b", "c", "a"]
    waiting.queue.give_back()
    assert waiting.queue.idle == 1


@pytest.mark.parametrize("standing", Standing)
async def test_one_name_has_one_turn_in_each_round(waiting: Waiting, standing: Standing) -> None:
    await waiting.come(*times(4, (standing, "a")), (standing, "b"), (standing, "c"))
    assert await waiting.all_had() == ["a", "b", "c", "a", "a", "a"]


async def test_when_it_is_full_the_last_of_least_standing_leaves(waiting: Waiting) -> None:
    await waiting.come(*times(3, (NEW, "a")), (NEW, "b"), (FAILED, "c"), (FAILED, "d"), (NEW, "e"))
    assert waiting.left == ["c"]
    await waiting.come((FAILED, "f"))
    assert waiting.left == ["c", "f"]
    assert await waiting.all_had() == ["a", "b", "e", "a", "a", "d"]


async def test_when_it_is_full_of_one_name_another_gets_in(waiting: Waiting) -> None:
    await waiting.come(*times(6, (NEW, "a")), (NEW, "a"), (NEW, "b"), (NEW, "b"), (NEW, "c"))
    assert waiting.left == ["a", "a", "a", "a"]
    await waiting.come((NEW, "b"))
    assert waiting.left[-1] == "b", "who has as much as the others may not push one out"
    assert await waiting.all_had() == ["a", "b", "c", "a", "b", "a"]


async def test_a_name_that_has_had_much_in_front_goes_with_the_newcomers(
    waiting: Waiting, mock_clock: trio.testing.MockClock
) -> None:
    for _ in range(MUCH):
        waiting.queue.give_back()
        await waiting.queue.turn(KNOWN, "a")
    await waiting.come((NEW, "b"), (KNOWN, "a"), (KNOWN, "c"))
    assert await waiting.all_had() == ["c", "b", "a"]
    mock_clock.jump(HALF_LIFE)
    await waiting.come((NEW, "b"), (KNOWN, "a"))
    assert await waiting.all_had() == ["c", "b", "a", "a", "b"]


async def test_guesses_at_a_name_do_not_take_its_place_in_front(waiting: Waiting) -> None:
    for _ in range(2 * MUCH):
        waiting.queue.give_back()
        await waiting.queue.turn(NEW, "a")
    await waiting.come((NEW, "b"), (KNOWN, "a"))
    assert await waiting.all_had() == ["a", "b"]


async def test_who_goes_away_leaves_his_place_to_others(waiting: Waiting) -> None:
    async with trio.open_nursery() as leaving:
        for name in ("a", "a", "b"):
            leaving.start_soon(waiting.queue.turn, NEW, name)
        await wait_all_tasks_blocked()
        leaving.cancel_scope.cancel()
    await waiting.come((NEW, "c"))
    assert await waiting.all_had() == ["c"]


async def test_many_names_take_no_more_memory() -> None:
    queue = Queue(1, 0)
    for number in range(2 * CELLS):
        await queue.turn(KNOWN, f"name {number}")
        queue.give_back()
    assert len(queue._recent._cells) <= CELLS
