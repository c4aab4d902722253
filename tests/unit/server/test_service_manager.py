"""What a service manager is told, over sockets of both kinds, and that nothing is waited for."""

import os
import socket
import time

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from mcproxy.server.service_manager import ServiceManager


class Manager:
    """The other end. `said` is what came since it was last looked at, each message a list of lines."""

    def __init__(self, address):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(address)

    @property
    def said(self):
        messages = []
        while True:
            try:
                messages.append(self.sock.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def listening(request, tmp_path, monkeypatch):
    """A manager, and the environment that names it."""
    monkeypatch.chdir(tmp_path)  # a path may be too long for a socket
    name = f"mcproxy-{os.getpid()}"
    manager = Manager("n" if request.param == "path" else f"\0{name}")
    address = "/proc/self/cwd/n" if request.param == "path" else f"@{name}"
    yield manager, {"NOTIFY_SOCKET": address}
    manager.sock.close()


def test_a_life(listening):
    manager, environment = listening
    told = ServiceManager.from_environment(environment)
    assert not environment, "a child would take it for its own"
    with told.reloading():
        pass
    assert manager.said == [], "it is not up yet"
    told.ready()
    told.readiness(None)
    told.readiness("no link to upstream:\nSTOPPING=1")
    assert manager.said == [
        ["READY=1", "STATUS=Started"],
        ["STATUS=Ready"],
        ["STATUS=Not ready: no link to upstream: STOPPING=1"],
    ]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with told.reloading():
        [[reloading, when]] = manager.said
    assert reloading == "RELOADING=1"
    assert before <= int(when.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.said == [["READY=1"]]
    told.stopping(17.5)
    assert manager.said == [["STOPPING=1", "STATUS=Draining", "EXTEND_TIMEOUT_USEC=17500000"]]
    told.readiness("draining")
    with told.reloading():
        pass
    assert manager.said == []


def test_a_reload_that_ends_with_the_program_is_not_ready_again(listening):
    manager, environment = listening
    told = ServiceManager.from_environment(environment)
    told.ready()
    with told.reloading():
        told.stopping(1)
    assert [lines[0] for lines in manager.said] == ["READY=1", "RELOADING=1", "STOPPING=1"]


async def test_the_heartbeat_comes_twice_a_period_while_all_is_well(listening, autojump_clock):
    manager, environment = listening
    environment |= {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    told = ServiceManager.from_environment(environment)
    assert not environment
    well = True

    async def healthy():
        return well

    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.keep_informed, healthy)
        await trio.sleep(14.9)
        assert manager.said == [["WATCHDOG=1"]] * 3
        well = False
        with capture_logs() as logged:
            await trio.sleep(20)
        assert [record["event"] for record in logged] == ["watchdog_withheld"]
        assert manager.said == []
        well = True
        await trio.sleep(5)
        assert manager.said == [["WATCHDOG=1"]]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "environment",
    [
        {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9" * 400},
        {"WATCHDOG_USEC": "9" * 5000},
        {},
    ],
    ids=lambda environment: str(environment)[:40],
)
async def test_no_heartbeat_that_nobody_asked_for(listening, environment, autojump_clock):
    manager, named = listening
    told = ServiceManager.from_environment(named | environment)

    async def healthy():
        raise AssertionError("nobody wants to know")

    with trio.move_on_after(60):
        await told.keep_informed(healthy)
    assert manager.said == []


async def test_without_a_manager_nothing_is_told():
    told = ServiceManager.from_environment({"WATCHDOG_USEC": "10000000"})
    told.ready()
    told.stopping(1)
    await told.keep_informed(None)  # returns at once


def test_a_manager_that_is_gone_or_takes_nothing_is_not_waited_for(listening):
    manager, environment = listening
    told = ServiceManager.from_environment(environment)
    with capture_logs() as logged:
        for _ in range(10_000):
            told.readiness(None)
            if logged:
                break
    assert logged[0]["reason"] == "Resource temporarily unavailable"
    manager.sock.close()
    with capture_logs() as logged:
        told.ready()
    assert logged[0]["reason"] == "Connection refused"


def fill(manager):
    """Until it takes no more."""
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_UNIX, kind) as sending, pytest.raises(BlockingIOError):
        while True:
            sending.sendto(b"FILL", manager.sock.getsockname())


async def test_what_a_manager_does_not_take_for_the_moment_is_told_later_and_in_order(listening, autojump_clock):
    manager, environment = listening
    told = ServiceManager.from_environment(environment | {"WATCHDOG_USEC": "4000000"})
    with capture_logs() as logged:
        async with trio.open_nursery() as nursery:

            async def healthy():
                return True

            nursery.start_soon(told.keep_informed, healthy)
            await trio.sleep(0.1)
            assert manager.said == [["WATCHDOG=1"]]
            fill(manager)
            told.readiness("starting")
            told.ready()
            for _ in range(100):
                told.readiness("no link to upstream")
                told.readiness(None)
            with told.reloading():
                await trio.sleep(3)
            assert {tuple(lines) for lines in manager.said} == {("FILL",)}
            await trio.sleep(0.5)
            said = [lines[0] for lines in manager.said]
            assert said == ["STATUS=Not ready: starting", "READY=1", "STATUS=Ready", "RELOADING=1", "READY=1"]
            await trio.sleep(1)
            assert manager.said == [["WATCHDOG=1"]], "not those of the meantime"
            told.stopping(1)
            assert [lines[0] for lines in manager.said] == ["STOPPING=1"], "nothing is waited for any more"
            nursery.cancel_scope.cancel()
    assert [record["event"] for record in logged] == ["service_manager_not_told"]


async def test_what_waits_for_a_manager_is_bounded_and_ends_with_the_newest(listening, autojump_clock):
    manager, environment = listening
    told = ServiceManager.from_environment(environment)
    fill(manager)
    told.ready()
    for _ in range(1000):
        with told.reloading():
            pass
    assert {tuple(lines) for lines in manager.said} == {("FILL",)}
    said = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.keep_informed, None)
        for _ in range(10):
            await trio.sleep(0.3)
            said += [lines[0] for lines in manager.said]
        nursery.cancel_scope.cancel()
    assert said == ["RELOADING=1", "READY=1"] * 8


def test_who_stops_before_it_was_ready_never_says_that_it_is(listening):
    manager, environment = listening
    told = ServiceManager.from_environment(environment)
    told.stopping(1)
    told.ready()
    assert [lines[0] for lines in manager.said] == ["STOPPING=1"]
