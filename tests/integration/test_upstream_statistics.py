"""memcached's own figures on our /metrics: asked as links are opened, whatever stands there, and never for long."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.fake_upstream import HANG, FakeUpstream, on
from tests.support.gateway import FarEnd, gateway
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads
from tests.support.waiting import eventually

ASKING = {"bind": "127.0.0.1:0", "upstream_statistics": True}
WAYS = ("sasl-tls", "token-tls", "guard-scram", "guard-bound", "guard-certificate")


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-workers"])
def plain(request: pytest.FixtureRequest, start_proxy: StartProxy, memcached: Memcached) -> Proxy:
    return start_proxy(memcached.address, workers=request.param, admin=ASKING)


def up(program: Proxy, upstream: str = "upstream") -> float:
    return program.metric("memcached_up", upstream=upstream)


def test_they_are_what_memcached_says(plain: Proxy, memcached: Memcached) -> None:
    with plain.logged_in() as client:
        client.send(b"set app:a 0 0 1\r\nx\r\n")
        assert client.line() == b"STORED\r\n"
    said = memcached.statistics()
    status, body = plain.http("/metrics")
    assert status == 200
    for line in (
        'memcached_up{upstream="upstream"} 1.0',
        f'memcached_version{{upstream="upstream",version="{said["version"]}"}} 1.0',
        f'memcached_current_items{{upstream="upstream"}} {float(said["curr_items"])}',
        'memcached_slab_current_items{slab="1",upstream="upstream"} 1.0',
        'memcached_slab_chunk_size_bytes{slab="1",upstream="upstream"} 96.0',
        'memcached_max_connections{upstream="upstream"} 1024.0',
    ):
        assert line in body.splitlines()
    checked = subprocess.run(["promtool", "check", "metrics"], input=body.encode(), capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_one_connection_is_kept_for_all_scrapes(plain: Proxy, memcached: Memcached) -> None:
    assert up(plain) == 1
    before = memcached.statistics()["total_connections"]
    for _ in range(3):
        time.sleep(0.4)  # what is measured: answers are asked for anew after a second
        assert up(plain) == 1
    # The one who asks now.
    assert int(memcached.statistics()["total_connections"]) == int(before) + 1


@pytest.fixture(scope="module")
def far_end(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[FarEnd]:
    with FarEnd(short_path, certificates, *WAYS) as far:
        yield far


@pytest.fixture(scope="module")
def gate(far_end: FarEnd, short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    program = gateway(short_path(), certificates, far_end.upstreams, admin=ASKING)
    try:
        yield program.start()
    finally:
        program.assert_good_end()


@pytest.mark.parametrize("way", WAYS)
def test_with_tls_and_a_login_in_text_and_in_binary(gate: Proxy, way: str) -> None:
    eventually("it has answered", lambda: up(gate, way) == 1)
    assert gate.metric("memcached_max_connections", upstream=way) == 1024
    assert gate.metric("memcached_limit_bytes", upstream=way) == 64 << 20


def test_a_guard_that_tells_us_nothing_is_up(
    far_end: FarEnd, short_path: Callable[[], Path], certificates: Certificates
) -> None:
    """And is asked once only: whoever watches it would take more for an attack."""
    guard = far_end.guard
    settings = {**far_end.upstreams["guard-scram"], "engine": "mcproxy"}
    password = short_path() / "password"
    password.touch(mode=0o600)
    password.write_text("only-looking\n")
    settings["login"] = {**settings["login"], "username": "reader", "password_file": str(password)}
    program = gateway(short_path(), certificates, {"guard": settings}, admin=ASKING)
    with_denials = {"principal": "user:reader", "reason": "denied"}
    try:
        program.start()
        for _ in range(2):
            eventually("it is up", lambda: up(program, "guard") == 1)
            assert program.metric("memcached_max_connections") == program.metric("memcached_limit_bytes") == 0
            time.sleep(1.1)  # what is measured: answers are asked for anew after a second
    finally:
        program.assert_good_end()
    eventually("they are in its log", lambda: len(guard.events("request_refused", **with_denials)) == 4)


def test_an_upstream_that_is_gone_and_comes_back(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    server = Memcached(short_path())
    server.start()
    program = start_proxy(server.address, admin=ASKING)
    assert up(program) == 1
    server.kill()
    eventually("it is down", lambda: up(program) == 0)
    assert "memcached_version" not in program.http("/metrics")[1]
    with server:
        eventually("it is up again", lambda: up(program) == 1)


def test_one_that_hangs_delays_a_scrape_by_a_second_at_most(start_proxy: StartProxy) -> None:
    with FakeUpstream(on("stats", HANG)) as upstream:
        program = start_proxy(upstream.address, upstream={"timeout": "30s"}, admin=ASKING)
        began = time.monotonic()
        assert up(program) == 0
        assert 0.9 < time.monotonic() - began < 5
        with program.logged_in() as client:
            client.send(b"get a\r\n")
            assert client.line() == b"END\r\n"


def test_a_reload_turns_it_off_and_on(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    """Before a memcached of its own, so that nobody else's connections are counted."""
    server = Memcached(short_path()).start()
    try:
        without = connections(server)
        turned_off_and_on(start_proxy(server.address, admin=ASKING), server, without)
    finally:
        server.kill()


def connections(memcached: Memcached) -> int:
    """What it counts, the one that asks included."""
    return int(memcached.statistics()["curr_connections"])


def turned_off_and_on(program: Proxy, memcached: Memcached, without: int) -> None:
    """`without` mcproxy it counts so many connections."""
    reloads = Reloads(program)
    assert up(program) == 1
    links = sum(pool["wanted"] for pool in pools(program))
    eventually("links and one that asks are there", lambda: connections(memcached) == without + links + 1)
    reloads.settings["admin"] = {**ASKING, "upstream_statistics": False}
    reloads.write()
    os.kill(program.pid, signal.SIGHUP)
    eventually("nothing is told", lambda: "memcached_up" not in program.http("/metrics")[1])
    # A scrape that began before the reload has asked once more; the next one closes.
    assert "memcached_up" not in program.http("/metrics")[1]
    eventually("the connection is closed", lambda: connections(memcached) == without + links)
    reloads.settings["admin"] = ASKING
    reloads.write()
    os.kill(program.pid, signal.SIGHUP)
    eventually("it is told again", lambda: up(program) == 1)


def pools(program: Proxy) -> list[dict[str, Any]]:
    status = json.loads(program.http("/status.json")[1])
    return [pool for upstream in status["upstreams"] for pool in upstream["pools"]]
