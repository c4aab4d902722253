"""The parent's watch over processes that don't do what workers do."""

import contextlib
import sys

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from mcproxy.server.opening import Opened
from mcproxy.server.reload import load_first
from mcproxy.server.service_manager import ServiceManager
from mcproxy.workers import process, supervisor
from mcproxy.workers.supervisor import Supervisor

CONFIGURATION = """
listeners: {a: {bind: ["127.0.0.1:0"], allow: ["127.0.0.1"], authentication: [none]}}
upstream: {address: "127.0.0.1:1"}
limits: {drain_timeout: 0s}
workers: 2
"""


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Makes a supervisor whose workers run this Python text instead, with the number of their control socket."""

    def make(source, *arguments, workers=2):
        def command(number, control, handover):
            return [sys.executable, "-c", source, str(control), *arguments]

        monkeypatch.setattr(process, "_command", command)
        path = tmp_path / "mcproxy.yaml"
        path.write_text(CONFIGURATION)
        opened = Opened([[]] * workers, {}, contextlib.ExitStack(), frozenset())
        return Supervisor(load_first(path), opened, ServiceManager())

    return make


async def signals():
    """None ever comes."""
    await trio.sleep_forever()
    yield 0


async def terminated(watched):
    """SIGTERM, once there are processes."""
    await until(lambda: len(watched.watch.running()) == 2)
    yield 15
    await trio.sleep_forever()


async def until(condition):
    with trio.fail_after(30):
        while not condition():
            await trio.lowlevel.checkpoint()


async def test_workers_that_cannot_start_are_tried_at_growing_intervals(start, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.05)
    watched = start("raise SystemExit(3)")
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.run, signals())
            await until(lambda: sum(entry["event"] == "worker_ended" for entry in logs) >= 12)
            assert watched.watch.not_ready() in ("worker 1 is not serving", "worker 2 is not serving")
            assert watched.watch.count().alive == 0
            nursery.cancel_scope.cancel()
    ended = [entry for entry in logs if entry["event"] == "worker_ended" and entry["worker"] == 1]
    assert {entry["reason"] for entry in ended} == {"exit status 3"}
    assert [entry["starts_again_in"] for entry in ended][:4] == [0.01, 0.02, 0.04, 0.05]


@pytest.mark.parametrize(
    "said",
    [
        "x",
        "[1]",
        '[1,"give me all"]',
        '[0,"report"]',
        '[0,"report",1,2,null]',
        '[0,"report",1,null,3]',
        '[0,"report",null,null,null]',
        '[0,"readiness",3]',
        '[0,"figures"]',
        '[0,"figures",3]',
        '[0,"figures",[3]]\n[0,"report",0,null,null]',
        '[0,"figures",[["a","b","counter",[["a",[],1]]]]]\n[0,"report",0,null,null]',
        '[0,"figures",[["a","b","counter",[["a",{},"1"]]]]]\n[0,"report",0,null,null]',
        '[1,"enter"]',
        '[1,"enter",[]]',
        '[[],"enter",null]',
        '[1,"attempt",5,"sammy",5,5]',
        '[1,"attempt","10.0.0.1","sammy","5",5]',
    ],
)
async def test_a_process_that_does_not_speak_like_a_worker_is_cut_off(start, said):
    """Its socket ends, which is the end of any worker."""
    source = (
        "import socket, sys\nend = socket.socket(fileno=int(sys.argv[1]))\nend.setblocking(True)\n"
        "end.sendall(sys.argv[2].encode() + b'\\n')\nwhile end.recv(100): pass\nsys.exit(7)"
    )
    watched = start(source, said, workers=1)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.run, signals())
            await until(lambda: any(entry["event"] == "worker_ended" for entry in logs))
            nursery.cancel_scope.cancel()
    assert logs[0]["reason"] == "exit status 7"


LATE_WORKER = """
import json, socket, sys
end = socket.socket(fileno=int(sys.argv[1]))
end.setblocking(True)
lines = end.makefile("rw")

def say(*frame):
    lines.write(json.dumps(frame) + chr(10))
    lines.flush()

def hear(wanted):
    for line in lines:
        number, what, *_ = json.loads(line)
        if number or what == wanted:
            return [number, what]

say(0, "started")
hear("look_again")
say(1, "attempt", "10.0.0.1", "sammy", 5, 5)
say(2, "enter", "a", None)
first = hear("")
say(0, "serves", 99, 0)
say(3, "enter", "a", None)
second = hear("")
sys.exit(7 if [first, second] == [[2, "undecided"], [3, None]] else 8)
"""


async def test_a_late_worker_lets_nobody_in_until_it_serves_what_the_others_do(start):
    """What it knows may be what was taken away. A password turn isn't given: it gets no answer at all."""
    watched = start(LATE_WORKER, workers=1)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.run, signals())
            await until(lambda: watched.watch.running() and watched.watch.running()[0].started.is_set())
            worker = watched.watch.running()[0]
            worker.is_late()
            worker.look_again()
            await until(lambda: any(entry["event"] == "worker_ended" for entry in logs))
            nursery.cancel_scope.cancel()
    assert [entry["reason"] for entry in logs if entry["event"] == "worker_ended"] == ["exit status 7"]
    assert [entry["generation"] for entry in logs if entry["event"] == "late_worker_reloaded"] == [99]


async def test_processes_that_do_not_stop_are_killed(start, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 0.2)
    watched = start("import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)")
    with capture_logs() as logs, trio.fail_after(20):
        await watched.run(terminated(watched))
    assert watched.status == 1
    assert [entry["reason"] for entry in logs if entry["event"] == "workers_killed"] == ["they did not end in time"]


async def test_who_has_more_connections_is_ahead():
    watch = supervisor.Watch(3, trio.Event())

    class Fake:
        def __init__(self, number, connections):
            self.number, self.connections = number, connections
            self.pid, self.started = 0, trio.Event()
            self.started.set()

    few, many, starting = Fake(1, 5), Fake(2, 6), Fake(3, 0)
    starting.started = trio.Event()
    async with trio.open_nursery() as nursery:
        for worker in (few, many, starting):
            nursery.start_soon(watch.see_start, worker)
        await trio.testing.wait_all_tasks_blocked()
        assert watch.is_ahead(many)
        assert not watch.is_ahead(few), "who doesn't serve yet is nobody to wait for"
        watch.see_end(few)
        assert not watch.is_ahead(many)
        nursery.cancel_scope.cancel()


async def test_a_worker_missing_for_longer_than_a_restart_takes_is_told(autojump_clock):
    watch = supervisor.Watch(1, trio.Event())

    class Fake:
        number, connections, pid = 1, 0, 0

        def __init__(self):
            self.started, self.reported_at = trio.Event(), trio.current_time()

    worker = Fake()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.see_start, worker)
        await trio.sleep(9)
        assert watch.not_healthy() is None
        await trio.sleep(2)
        assert watch.not_healthy() == "worker 1 is down"
        worker.started.set()
        worker.reported_at = trio.current_time()
        await trio.sleep(1)
        assert watch.not_healthy() is None
        await trio.sleep(10)
        assert watch.not_healthy() == "worker 1 does not answer"
        watch.see_end(worker)
        assert watch.not_healthy() is None
        await trio.sleep(11)
        assert watch.not_healthy() == "worker 1 is down"
