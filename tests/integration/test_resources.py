"""Resources (cases 52, 63, 64): clients that send without reading, leave, or ask for all there is."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.configuration import PASSWORDS
from tests.support.conversation import Connection, play
from tests.support.memcached import Memcached
from tests.support.packets import packet
from tests.support.pressure import push_until_refused, push_until_refused_tls
from tests.support.processes import open_descriptors, processor_seconds, processor_share, resident_bytes
from tests.support.proxy import Proxy, token
from tests.support.waiting import eventually

pytestmark = pytest.mark.alone

MIB = 1 << 20
LISTENERS = ["plain", "tls", "socket"]
VALUE = b"v" * 10_000
# As long as a key may be: the kernel's buffers take some 8 MB of requests before a proxy that doesn't read is noticed.
KEY = b"app:" + b"k" * 246
GET = b"get " + KEY + b"\r\n"
ANSWER = b"VALUE " + KEY + b" 0 10000\r\n" + VALUE + b"\r\nEND\r\n"


@pytest.fixture
def stored(proxy: Proxy) -> Proxy:
    with proxy.logged_in("sammy") as connection:
        play(connection, b"set %s 0 0 10000\r\n%s\r\n" % (KEY, VALUE), b"STORED\r\n")
    return proxy


@pytest.mark.parametrize("listener", ["plain", "socket"])
def test_an_endless_pipeline_without_reading_stops_being_read(stored: Proxy, listener: str) -> None:
    """400 MB of replies are asked for; nobody reads. Then somebody does, and every reply is right."""
    count = 40_000
    with stored.logged_in("sammy", listener) as connection:
        before = resident_bytes(stored.pid)
        sent = GET * count
        taken = push_until_refused(connection, sent)
        assert taken < len(sent), "the proxy took everything although nobody read"
        assert resident_bytes(stored.pid) - before < 16 * MIB
        with stored.logged_in("sammy") as other:
            play(other, b"get app:none\r\n", b"END\r\n")
        connection.send_while_reading(sent[taken:])
        for _ in range(count // 40):
            assert connection.receive(40 * len(ANSWER)) == ANSWER * 40
        connection.in_step()
        assert resident_bytes(stored.pid) - before < 16 * MIB


@pytest.mark.parametrize("pipeline", [b"x\r\n", b"get other:denied\r\n", b"version\r\n", b"set k 0 0 99999999\r\n"])
def test_an_endless_pipeline_that_the_proxy_answers_itself(proxy: Proxy, pipeline: bytes) -> None:
    with proxy.logged_in("sammy") as connection:
        before = resident_bytes(proxy.pid)
        push_until_refused(connection, pipeline * (16 * MIB // len(pipeline)))
        assert resident_bytes(proxy.pid) - before < 8 * MIB


def paused(program: Proxy, listener: str) -> Connection:
    """A session that is owed replies, reads none, and has unread input waiting."""
    connection = program.connect(listener)
    connection.send(token("sammy"))
    assert connection.line() == b"STORED\r\n"
    push_until_refused_tls(connection, GET * 40_000)
    return connection


@pytest.mark.parametrize("listener", LISTENERS)
def test_a_paused_session_costs_nothing_and_a_reset_ends_it(stored: Proxy, listener: str) -> None:
    eventually("earlier connections are gone", lambda: processor_share(stored.pid, 0.2) < 0.05)
    descriptors = open_descriptors(stored.pid)
    connection = paused(stored, listener)
    assert processor_share(stored.pid, 1.0) < 0.1
    assert open_descriptors(stored.pid) > descriptors
    connection.reset()
    eventually("its descriptor is closed", lambda: open_descriptors(stored.pid) <= descriptors, within=1.0)
    assert processor_share(stored.pid, 0.5) < 0.1


@pytest.mark.parametrize("listener", LISTENERS)
def test_idle_sessions_cost_nothing(proxy: Proxy, listener: str) -> None:
    for _ in range(20):
        proxy.logged_in("sammy", listener)
    half_closed = proxy.logged_in("sammy", "socket")
    half_closed.finish_sending()
    eventually("the start of it is over", lambda: processor_share(proxy.pid, 0.2) < 0.05)
    assert processor_share(proxy.pid, 1.0) < 0.1


def test_clients_that_come_and_go_leave_nothing_behind(proxy: Proxy) -> None:
    def visit(number: int) -> None:
        connection = proxy.logged_in("sammy", LISTENERS[number % 3])
        connection.send(b"get app:none\r\n" if number % 2 else b"set app:x 0 0 100\r\nabc")
        connection.reset() if number % 5 == 0 else connection.close()

    for number in range(30):
        visit(number)
    eventually("all are gone", lambda: proxy.metric("mcproxy_sessions") == 0)
    descriptors, memory = open_descriptors(proxy.pid), resident_bytes(proxy.pid)
    for number in range(300):
        visit(number)
    eventually("all are gone", lambda: proxy.metric("mcproxy_sessions") == 0)
    eventually("descriptors are closed", lambda: open_descriptors(proxy.pid) <= descriptors)
    assert resident_bytes(proxy.pid) - memory < 4 * MIB


def test_a_saturated_relay_still_logs_in_and_tells_its_health(start_proxy: StartProxy, memcached: Memcached) -> None:
    """Pipelined load from another process; p99 of logins and /healthz stays under 50 ms (case 64).

    The one test without the tap: its threads would take the processor that is measured here.
    """
    program = start_proxy(memcached.address)
    with program.logged_in("sammy") as connection:
        play(connection, b"set app:load 0 0 100\r\n%s\r\n" % (b"v" * 100), b"STORED\r\n")
    host, port = program.host_and_port("plain")
    command = [sys.executable, "-m", "tests.support.load", host, str(port), PASSWORDS["sammy"]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        try:
            assert load.stdout.readline() == "running\n"
            before, started = processor_seconds(program.pid), time.monotonic()
            times = timed(
                {
                    "token over plain": lambda: program.logged_in("sammy").close(),
                    "SASL over TLS": lambda: program.logged_in_binary("sammy", "tls").close(),
                    "/healthz": lambda: program.http("/healthz"),
                },
                seconds=6,
            )
            share = (processor_seconds(program.pid) - before) / (time.monotonic() - started)
        finally:
            load.stdin.close()
        report = json.loads(load.stdout.readline())
    assert report["wrong"] == 0
    assert share > 0.5, f"the relay was not saturated: {share:.0%} of a processor, {report}"
    for name, taken in times.items():
        assert len(taken) >= 100, f"{name}: only {len(taken)} in time"
        assert percentile(taken, 0.99) < 0.05, f"{name}: p99 {percentile(taken, 0.99) * 1000:.1f} ms of {len(taken)}"


def timed(actions: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """How long each action takes, in turns for that many seconds."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, action in actions.items():
            start = time.monotonic()
            action()
            times[name].append(time.monotonic() - start)
    return times


def percentile(times: list[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * part))]


def test_a_value_that_never_comes_holds_nobody(proxy: Proxy) -> None:
    """Slow in the middle of a body: others share the links and are served meanwhile."""
    slow = [proxy.logged_in("sammy") for _ in range(5)]
    for connection in slow:
        connection.send(b"set app:slow 0 0 100000\r\n" + b"v" * 50_000)
    with proxy.logged_in("sammy") as other, proxy.logged_in_binary("sammy") as binary:
        for _ in range(20):
            play(other, b"get app:none\r\n", b"END\r\n")
            assert binary.ask(packet(packets.GET, b"app:none")).status == packets.NOT_FOUND
    for connection in slow:
        play(connection, b"v" * 50_000 + b"\r\n", b"STORED\r\n")
