"""How much of the time work may take that strangers can bring about."""

import math

import pytest
import trio
from trio.testing import MockClock

from mcproxy.server.pace import LONGEST_REST, Pace


class Work:
    """Pieces that take `seconds` of a processor's time, which is not the time that passes here."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.done: list[tuple[str, float]] = []
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    async def do(self, name: str, source: str = "a") -> None:
        async with self.pace.piece(source):
            self.now += self.seconds
            self.done.append((name, trio.current_time()))


@pytest.mark.parametrize(("seconds", "rest"), [(0.002, 0.018), (5, LONGEST_REST)])
async def test_it_is_done_in_the_order_asked_and_with_rests(
    autojump_clock: MockClock, seconds: float, rest: float
) -> None:
    work = Work(seconds)
    async with trio.open_nursery() as nursery:
        for name in "abcd":
            nursery.start_soon(work.do, name)
            await trio.testing.wait_all_tasks_blocked()
    assert [name for name, _ in work.done] == list("abcd")
    began = work.done[0][1]
    assert [at - began for _, at in work.done] == pytest.approx([number * rest for number in range(4)])


async def test_who_fails_or_goes_away_leaves_the_turn_to_the_next(autojump_clock: MockClock) -> None:
    work = Work(0.1)
    with pytest.raises(ValueError, match="it failed"):
        async with work.pace.piece("a"):
            work.now += 0.1
            raise ValueError("it failed")
    began = trio.current_time()
    with trio.move_on_after(0.5):
        await work.do("gone")
    await work.do("next")
    assert work.done == [("next", pytest.approx(began + 0.9))]


async def test_who_wants_much_keeps_no_other_source_waiting(autojump_clock: MockClock) -> None:
    work = Work(0.01)
    autojump_clock.autojump_threshold = math.inf
    async with trio.open_nursery() as nursery:
        for name, source in (("1", "a"), ("2", "a"), ("3", "a"), ("4", "a"), ("b", "b"), ("c", "c")):
            nursery.start_soon(work.do, name, source)
            await trio.testing.wait_all_tasks_blocked()
        autojump_clock.autojump_threshold = 0
    assert [name for name, _ in work.done] == ["1", "2", "3", "b", "c", "4"]
