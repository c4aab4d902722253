"""Asking upstreams for their figures: never longer than a scrape may take, never too often, never a wrong answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.relay.obstacle import LOGIN_REFUSED, UNREACHABLE, NotOpened
from mcproxy.server import upstream_statistics
from mcproxy.server.state import Generation, PoolName, UpstreamState
from mcproxy.server.statistics_connection import StatisticsConnection
from mcproxy.server.upstream_statistics import FRESH, PATIENCE, UpstreamStatistics
from tests.unit.server.opening import VERSION, Says, state, upstream

END = b"END\r\n"
DENIED = b"CLIENT_ERROR access denied\r\n"
FIGURES = b"STAT version 1.6.18\r\nSTAT curr_items 12\r\n" + END


@dataclass
class Files:
    """What a generation is asked for here."""

    upstreams: dict[str, UpstreamState]
    wanted: bool = True
    pools: set[PoolName] = field(default_factory=lambda: {PoolName("upstream", "text")})

    @property
    def settings(self) -> Any:
        return SimpleNamespace(admin=SimpleNamespace(upstream_statistics=self.wanted))

    def now(self) -> Generation:
        return cast(Generation, self)


@asynccontextmanager
async def asking(files: Files) -> AsyncIterator[UpstreamStatistics]:
    statistics = UpstreamStatistics(files.now)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(statistics.run)
        yield statistics
        nursery.cancel_scope.cancel()


def told(statistics: UpstreamStatistics) -> list[tuple[str, Any]]:
    """What each upstream said of its items; None for one that didn't answer."""
    return [(name, figures and dict(figures.server)) for name, figures in statistics.rows()]


async def test_a_connection_is_kept_and_an_answer_does_for_a_while(tmp_path: Path, mock_clock: MockClock) -> None:
    says = Says(VERSION, FIGURES, END, END, END, FIGURES.replace(b"12", b"13"), END, END, END)
    async with upstream(tmp_path, says) as one, asking(Files({"upstream": one})) as statistics:
        for _ in range(3):
            await statistics.refresh()
            assert told(statistics) == [("upstream", {"curr_items": 12})]
        mock_clock.jump(FRESH)
        await statistics.refresh()
        assert told(statistics) == [("upstream", {"curr_items": 13})]
        assert says.said.is_set()


async def test_nobody_is_asked_where_the_configuration_says_so(tmp_path: Path) -> None:
    async def never(_: trio.SocketStream) -> None:
        raise AssertionError("asked")

    files = Files({}, wanted=False)
    async with upstream(tmp_path, never) as one:
        files.upstreams["upstream"] = one
        async with asking(files) as statistics:
            await statistics.refresh()
            assert told(statistics) == []


async def test_nobody_is_asked_who_has_no_requests(tmp_path: Path) -> None:
    async with upstream(tmp_path, Says(VERSION, FIGURES, END, END, END)) as one:
        files = Files({"unused": state(tmp_path / "nowhere"), "upstream": one})
        async with asking(files) as statistics:
            await statistics.refresh()
            assert told(statistics) == [("upstream", {"curr_items": 12})]
            files.pools.clear()
            await statistics.refresh()
            assert told(statistics) == []
            assert all(asked._connection is None for asked in statistics._asked)


async def test_a_memcached_that_does_not_know_the_rest_is_up(tmp_path: Path) -> None:
    says = Says(VERSION, FIGURES, b"ERROR\r\n", b"ERROR\r\n", b"ERROR\r\n")
    async with upstream(tmp_path, says) as one, asking(Files({"upstream": one})) as statistics:
        await statistics.refresh()
        assert told(statistics) == [("upstream", {"curr_items": 12})]


async def test_what_was_told_is_forgotten_when_nobody_wants_it_any_more(tmp_path: Path) -> None:
    async with upstream(tmp_path, Says(VERSION, FIGURES, END, END, END)) as one:
        files = Files({"upstream": one})
        async with asking(files) as statistics:
            await statistics.refresh()
            files.wanted = False
            await statistics.refresh()
            assert (told(statistics), statistics._asked[0]._connection) == ([], None)


async def test_a_silent_upstream_delays_a_scrape_by_no_more_than_patience(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    async with upstream(tmp_path, Says(VERSION)) as one:
        slow = replace(one, settings=one.settings.model_copy(update={"timeout": 60.0}))
        async with asking(Files({"upstream": slow})) as statistics:
            scraped = trio.Event()

            async def scrape() -> None:
                await statistics.refresh()
                scraped.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(scrape)
                await wait_all_tasks_blocked(0.05)
                assert not scraped.is_set()
                mock_clock.jump(PATIENCE)
                await wait_all_tasks_blocked(0.05)
                assert scraped.is_set(), "upstream's own time isn't over yet"
            assert told(statistics) == [("upstream", None)]


@pytest.mark.parametrize(
    "answers",
    [
        (b"STAT curr_items many\r\n" + END, END, END, END),
        (b"VALUE a 0 1\r\nx\r\nEND\r\n",),
        (FIGURES + b"STAT more 1\r\n",),
        (FIGURES, b"junk\r\n"),
        (b"CLIENT_ERROR unauthenticated\r\n",),
        (b"SERVER_ERROR out of memory\r\n", END, END, END),
        (b"ERROR\r\n", END, END, END),
        (END, END, END, END),
        (b"STAT a " + b"x" * 3000,),
    ],
)
async def test_a_wrong_answer_is_none(tmp_path: Path, answers: tuple[bytes, ...]) -> None:
    async with upstream(tmp_path, Says(VERSION, *answers)) as one, asking(Files({"upstream": one})) as statistics:
        await statistics.refresh()
        assert told(statistics) == [("upstream", None)]
        assert statistics._asked[0]._connection is None


async def test_denials_are_not_asked_for_again(tmp_path: Path, mock_clock: MockClock) -> None:
    """The upstream is there all the same: it is asked for its version."""
    says = Says(VERSION, DENIED, DENIED, DENIED, DENIED, VERSION, VERSION)
    async with upstream(tmp_path, says) as one, asking(Files({"upstream": one})) as statistics:
        for _ in range(2):
            await statistics.refresh()
            assert told(statistics) == [("upstream", {})]
            mock_clock.jump(FRESH)
        assert says.said.is_set()


async def test_a_connection_that_upstream_has_closed_is_opened_again_at_once(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    lines = [VERSION, FIGURES, END, END, END]
    closed = trio.Event()

    async def one_scrape(stream: trio.SocketStream) -> None:
        await Says(*lines, stays=False)(stream)
        closed.set()

    async with upstream(tmp_path, one_scrape) as one, asking(Files({"upstream": one})) as statistics:
        await statistics.refresh()
        await closed.wait()
        mock_clock.jump(FRESH)
        await statistics.refresh()
        assert told(statistics) == [("upstream", {"curr_items": 12})]


class Doors:
    """Stands for opening a connection: counts the tries, and lets none in."""

    def __init__(self, problem: NotOpened) -> None:
        self.tries = 0
        self._problem = problem

    async def __call__(self, upstream: UpstreamState, protocol: str) -> StatisticsConnection:
        self.tries += 1
        raise self._problem


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Callable[[NotOpened], Doors]:
    def counting(problem: NotOpened) -> Doors:
        doors = Doors(problem)
        monkeypatch.setattr(StatisticsConnection, "open", doors)
        return doors

    return counting


@pytest.mark.parametrize(("obstacle", "most"), [(LOGIN_REFUSED, 8), (UNREACHABLE, 60)])
async def test_a_refused_login_is_not_tried_at_every_scrape(
    tmp_path: Path, tries: Callable[[NotOpened], Doors], autojump_clock: MockClock, obstacle: Any, most: int
) -> None:
    doors = tries(NotOpened(obstacle))
    async with asking(Files({"upstream": state(tmp_path / "nowhere")})) as statistics:
        for _ in range(60):
            await statistics.refresh()
            assert told(statistics) == [("upstream", None)]
            await trio.sleep(FRESH)
    assert most - 1 <= doors.tries <= most


async def test_a_bug_costs_the_figures_and_not_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: Callable[[NotOpened], Doors]
) -> None:
    bugs: list[BaseException] = []
    monkeypatch.setattr(upstream_statistics, "log_bug", bugs.append)
    monkeypatch.setattr(StatisticsConnection, "open", None)
    async with asking(Files({"upstream": state(tmp_path / "nowhere")})) as statistics:
        await statistics.refresh()
        await wait_all_tasks_blocked()
        assert told(statistics) == [("upstream", None)]
        assert [type(bug) for bug in bugs] == [TypeError]


async def test_twemproxy_is_not_asked_and_binary_only_where_nothing_else_is_spoken(tmp_path: Path) -> None:
    binary = state(tmp_path / "nowhere")
    twemproxy = replace(binary, settings=binary.settings.model_copy(update={"engine": "twemproxy"}))
    files = Files({"one": binary, "two": twemproxy}, pools={PoolName("one", "binary"), PoolName("two", "text")})
    statistics = UpstreamStatistics(files.now)
    assert [one.name for one in statistics._asked] == ["one"]
    assert statistics._asked[0]._protocol() == "binary"
    files.pools.add(PoolName("one", "text"))
    assert statistics._asked[0]._protocol() == "text"
