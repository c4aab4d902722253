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
        nursery.start_soon(told.keep_watchdog, healthy)
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
        {},
    ],
)
async def test_no_heartbeat_that_nobody_asked_for(listening, environment):
    manager, named = listening
    told = ServiceManager.from_environment(named | environment)

    async def healthy():
        raise AssertionError("nobody wants to know")

    await told.keep_watchdog(healthy)
    assert manager.said == []


def test_without_a_manager_nothing_is_told():
    told = ServiceManager.from_environment({})
    told.ready()
    told.stopping(1)


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
