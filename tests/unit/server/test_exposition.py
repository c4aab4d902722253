"""Pages that many may ask for: made once for all of them, with rests, and in slices."""

import pytest
import trio
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.observe.principals import PrincipalsCollector
from mcproxy.server.exposition import OPENMETRICS, TEXT, Shared, exposition, negotiated
from mcproxy.server.pace import LONGEST_REST
from mcproxy.wire.tally import Tally


class Making:
    """Pages that take `seconds` to make, numbered."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []
        self.got: list[bytes] = []
        self.shared = Shared(self.make)

    async def make(self, key: str) -> bytes:
        self.times.append(trio.current_time())
        number = len(self.times)
        await trio.sleep(self.seconds)
        return f"{key}{number}".encode()

    async def ask(self, key: str = "") -> None:
        self.got.append(await self.shared.page(key))


async def test_who_asks_at_once_or_meanwhile_gets_the_same_page(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(making.ask)
        await trio.sleep(0.005)
        nursery.start_soon(making.ask)
    assert making.got == [b"1"] * 21


async def test_a_page_is_newer_than_the_question_and_made_after_a_rest(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    await making.ask()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(making.ask)
    assert making.got == [b"1"] + [b"2"] * 20
    assert making.times[1] - making.times[0] == pytest.approx(0.1)


async def test_formats_rest_together_and_never_for_long(autojump_clock: MockClock) -> None:
    making = Making(3)
    await making.ask("a")
    await making.ask("b")
    assert making.got == [b"a1", b"b2"]
    assert making.times[1] - making.times[0] == pytest.approx(3 + LONGEST_REST)


async def test_if_who_makes_it_goes_away_the_next_one_does(autojump_clock: MockClock) -> None:
    making = Making(0.01)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as gone:
            async with trio.open_nursery() as first:
                first.start_soon(making.ask)
                await wait_all_tasks_blocked()
                nursery.start_soon(making.ask)
                await wait_all_tasks_blocked()
                gone.cancel()
    assert making.got == [b"2"]


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
        body = await exposition(registry, content_type)
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
        ("application/openmetrics-text;version=99.9.9", TEXT),
        ("text/plain;version=99.9.9", TEXT),
        (";;,,=", TEXT),
    ],
)
def test_there_are_two_content_types(accept: str, content_type: str) -> None:
    assert negotiated(accept) == content_type
