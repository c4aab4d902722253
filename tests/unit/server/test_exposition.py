"""Pages that many may ask for: made once for all of them, with rests, and in slices."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
import trio
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from trio.testing import MockClock

from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.observe.principals import PrincipalsCollector
from mcproxy.server.exposition import OPENMETRICS, TEXT, Shared, exposition, negotiated, shared_alone
from mcproxy.server.pace import LONGEST_REST
from mcproxy.wire.tally import Tally


class Making:
    """Pages that take `seconds` to make and as much of a processor's time, numbered."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.costs = seconds
        self.spent = 0.0
        self.times: list[float] = []
        self.got: list[bytes] = []
        self.shared = Shared(self.make, lambda: self.spent)

    async def make(self, keys: Collection[str]) -> dict[str, bytes]:
        self.times.append(trio.current_time())
        number = len(self.times)
        await trio.sleep(self.seconds)
        self.spent += self.costs
        return {key: f"{key}{number}".encode() for key in keys}

    async def ask(self, key: str = "") -> None:
        self.got.append(await self.shared.page(key))


@asynccontextmanager
async def running(making: Making) -> AsyncIterator[trio.Nursery]:
    async with trio.open_nursery() as running:
        running.start_soon(making.shared.run)
        async with trio.open_nursery() as nursery:
            yield nursery
        running.cancel_scope.cancel()


async def test_who_asks_at_once_or_meanwhile_gets_the_same_page(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    async with running(making) as nursery:
        for _ in range(20):
            nursery.start_soon(making.ask)
        await trio.sleep(0.005)
        nursery.start_soon(making.ask)
    assert making.got == [b"1"] * 21


async def test_a_page_is_newer_than_the_question_and_made_after_a_rest(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    async with running(making) as nursery:
        await making.ask()
        for _ in range(20):
            nursery.start_soon(making.ask)
    assert making.got == [b"1"] + [b"2"] * 20
    assert making.times[1] - making.times[0] == pytest.approx(0.1)


async def test_formats_are_made_together_and_rests_are_never_long(autojump_clock: MockClock) -> None:
    making = Making(3)
    async with running(making) as nursery:
        await making.ask("a")
        for key in "abab":
            nursery.start_soon(making.ask, key)
    assert (making.got[0], sorted(making.got[1:])) == (b"a1", [b"a2", b"a2", b"b2", b"b2"])
    assert making.times[1] - making.times[0] == pytest.approx(3 + LONGEST_REST)


async def test_what_is_made_without_the_format_asked_for_does_not_do(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    async with running(making) as nursery:
        nursery.start_soon(making.ask, "a")
        await trio.sleep(0.005)
        nursery.start_soon(making.ask, "b")
    assert making.got == [b"a1", b"b2"]


async def test_waiting_for_others_is_no_work_to_rest_from(autojump_clock: MockClock) -> None:
    """A worker that hangs, say: scrapes would be late for it twice."""
    making = Making(1)
    making.costs = 0.001
    async with running(making):
        await making.ask()
        await making.ask()
    assert making.times[1] - making.times[0] == pytest.approx(1.009)


async def test_who_goes_away_costs_the_others_nothing(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    async with running(making) as nursery:
        with trio.move_on_after(0.005):
            nursery.start_soon(making.ask)
            await making.ask()
    assert making.got == [b"1"]


async def test_a_failure_is_for_who_asked_and_the_next_is_made(autojump_clock: MockClock) -> None:
    failures = [RuntimeError("it failed")]

    async def make() -> bytes:
        if failures:
            raise failures.pop()
        return b"page"

    shared = shared_alone(make)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shared.run)
        with pytest.raises(RuntimeError, match="it failed"):
            await shared.page()
        assert await shared.page() == b"page"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("content_type", "encoder"), [(TEXT, generate_latest), (OPENMETRICS, generate_openmetrics)])
async def test_the_bytes_are_the_librarys_and_others_get_turns_between(content_type, encoder) -> None:
    registry = Metrics(["private"], ["cache"], TrafficSnapshot, lambda: True).registry
    for collector in list(registry._collector_to_names):
        if type(collector).__name__ == "ProcessCollector":  # its figures change
            registry.unregister(collector)
    tallies = {("user", f"user{number}"): Tally() for number in range(200)}
    for tally in tallies.values():
        tally.requests.update(["read", "write", "touch", "counter", "delete", "stats"])
    registry.register(PrincipalsCollector(tallies))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        body = (await exposition(registry, [content_type]))[content_type]
        nursery.cancel_scope.cancel()
    assert body == encoder(registry)
    metrics = list(registry.collect())
    assert turns >= len(metrics) + sum(len(metric.samples) // 64 for metric in metrics) - 2 > 40


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("text/html, application/openmetrics-text; version=1.0.0; q=0.5", OPENMETRICS),
        ("application/openmetrics-text;version=0.0.1,application/openmetrics-text;version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;q=0, text/plain", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.000", TEXT),
        ("application/openmetrics-text;q=0.001", OPENMETRICS),
        ("application/openmetrics-text;version=99.9.9", TEXT),
        ("text/plain;version=99.9.9", TEXT),
        (";;,,=", TEXT),
    ],
)
def test_there_are_two_content_types(accept: str, content_type: str) -> None:
    assert negotiated(accept) == content_type
