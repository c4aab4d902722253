"""What a worker tells of itself, and that its clients get their turns meanwhile."""

import contextlib
from types import SimpleNamespace

import trio
from prometheus_client import CollectorRegistry, Counter, disable_created_metrics
from trio.testing import wait_all_tasks_blocked

from mcproxy.observe.together import SLICE, Together
from mcproxy.wire.tally import Tally
from mcproxy.workers.reports import INTERVAL, Detail, Reports

CLASSES = ("read", "write", "touch", "counter", "delete", "stats", "inspect", "flush", "admin")
PRINCIPALS = 200


class Channel:
    """Keeps what is sent, each with the turns that others have had by then."""

    congested = False
    others_hurry = 0

    def __init__(self):
        self.frames = []
        self.turns = 0
        self.turns_at = []

    def send(self, *frame):
        assert self.others_hurry == (frame[1] == "figures")
        self.frames.append(frame)
        self.turns_at.append(self.turns)

    async def others(self):
        while True:
            await trio.lowlevel.checkpoint()
            self.turns += 1

    def figures(self):
        return [family for families in self.slices() for family in families]

    def slices(self):
        return [frame[2] for frame in self.frames if frame[1] == "figures"]

    def names(self):
        return {name for name, *_ in self.figures()}

    def reports(self):
        return [frame[2:] for frame in self.frames if frame[1] == "report"]


class Worker:
    """A worker's state, of as many principals as are ever told apart."""

    def __init__(self):
        self.tallies = {}
        for number in range(PRINCIPALS):
            tally = self.tallies["user", f"user{number}"] = Tally()
            tally.requests.update(CLASSES)
        disable_created_metrics()
        registry = CollectorRegistry()
        self.counter = Counter("things", "Things.", registry=registry)
        self.channel = Channel()
        relay = SimpleNamespace(traffic=SimpleNamespace(tallies=self.tallies), turns=self.turns, busy=self.busy)
        metrics = SimpleNamespace(registry=registry)
        state = SimpleNamespace(metrics=metrics, relay=relay, not_ready=lambda: None, pools={})
        self.reports = Reports(state, self.channel)

    async def turns(self):
        return True

    @contextlib.contextmanager
    def busy(self):
        self.channel.others_hurry += 1
        yield
        self.channel.others_hurry -= 1


async def test_principals_are_told_when_somebody_asks_and_at_the_end():
    worker = Worker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.reports.answer_forever)
        worker.reports.ask(0, Detail.READINESS)
        await wait_all_tasks_blocked()
        assert worker.channel.frames == [(0, "report", 0, None, None)], "whoever wants to know that makes no work"
        worker.channel.frames.clear()
        worker.reports.ask(1, Detail.BRIEF)
        await wait_all_tasks_blocked()
        assert worker.channel.names() == {"things"}
        worker.reports.ask(2, Detail.METRICS)
        await wait_all_tasks_blocked()
        assert {"things", "mcproxy_principal_requests", "mcproxy_principal_denied_requests"} < worker.channel.names()
        worker.reports.ask(3, Detail.STATUS)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [(asked, part is not None) for asked, _, part in worker.channel.reports()] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    worker.channel.frames.clear()
    await worker.reports.make_last()
    assert "mcproxy_principal_requests" in worker.channel.names()


async def test_what_nobody_asks_for_is_brief(autojump_clock):
    worker = Worker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.reports.repeat_forever)
        await trio.sleep(2.5 * INTERVAL)
        worker.channel.congested = True
        await trio.sleep(2 * INTERVAL)
        nursery.cancel_scope.cancel()
    assert worker.channel.names() == {"things"}
    assert len(worker.channel.reports()) == 2


async def test_others_have_a_turn_after_each_slice():
    worker = Worker()
    channel = worker.channel
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.others)
        await worker.reports.make_last()
        nursery.cancel_scope.cancel()
    sizes = [sum(len(family[3]) for family in families) for families in channel.slices()]
    assert sum(sizes) == 1 + PRINCIPALS * (len(CLASSES) + 4)
    assert max(sizes) == SLICE
    # Of two tasks of one round either may be the first, so two slices may come between two turns, never three.
    assert all(later > earlier for earlier, later in zip(channel.turns_at, channel.turns_at[2:], strict=False))


async def test_an_older_report_never_comes_after_a_newer_one():
    worker = Worker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.reports.answer_forever)
        nursery.start_soon(worker.reports.make_last)
        while not worker.channel.frames:
            await trio.lowlevel.checkpoint()
        worker.counter.inc()
        worker.reports.ask(1, Detail.METRICS)
        worker.reports.ask(2, Detail.BRIEF)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    # Two who ask at once are answered at once, with as much as any of them wants.
    assert [asked for asked, *_ in worker.channel.reports()] == [0, 2]
    [before, after] = [samples for name, _, _, samples in worker.channel.figures() if name == "things"]
    assert (before[0][2], after[0][2]) == (0, 1)
    end_of_first = [frame[1] for frame in worker.channel.frames].index("report")
    assert worker.channel.frames.index((0, "figures", [["things", "Things.", "counter", after]])) > end_of_first


async def test_what_was_shown_of_principals_stays_when_brief_reports_follow_and_the_worker_is_killed():
    worker, together = Worker(), Together()
    await worker.reports.make_last()
    together.update(1, worker.channel.figures())
    worker.channel.frames.clear()
    worker.counter.inc()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.reports.answer_forever)
        worker.reports.ask(1, Detail.BRIEF)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    together.update(1, worker.channel.figures())
    for _ in range(2):
        totals = {metric.name: sum(sample.value for sample in metric.samples) for metric in together.collect()}
        assert totals["things"] == 1
        assert totals["mcproxy_principal_requests"] == PRINCIPALS * len(CLASSES)
        together.ended(1)
