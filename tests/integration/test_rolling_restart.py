"""Restarts under load, with listening sockets that outlive the program (case 60).

MCPROXY_RESTARTS=100 makes it a long run, whose figures are printed (pytest -s).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.activation import hand_over, listening
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, configuration
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.reconnecting import COMING, KEEPING
from tests.support.waiting import eventually

RESTARTS = int(os.environ.get("MCPROXY_RESTARTS", "3"))
DEADLINE = 5.0
ALL = 2 * (KEEPING + COMING)
BETWEEN = 2000
"""Counters' increments between two restarts."""


def percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def served(memcached: Memcached) -> int:
    return int(memcached.statistics()["incr_hits"])


@pytest.mark.timeout(300 + 20 * RESTARTS)
@pytest.mark.parametrize(
    ("workers", "overlapping"), [(1, False), (2, True)], ids=["one after the other", "the next before the last ends"]
)
def test_nobody_notices_but_for_connections_that_close_between_replies(
    short_path: Callable[[], Path],
    certificates: Certificates,
    memcached: Memcached,
    workers: int,
    overlapping: bool,
) -> None:
    drains: list[float] = []
    ends: list[float] = []
    with ExitStack() as stack:
        sockets = {name: stack.enter_context(listening()) for name in ("plain", "tls")}
        directory = short_path()

        def start() -> Proxy:
            limits = {"drain_timeout": f"{DEADLINE}s"}
            settings = configuration(
                directory, memcached.address, certificates, workers=workers, limits=limits, listeners={"socket": None}
            )
            program = Proxy(directory, settings, certificates)
            hand_over(program, sockets)
            stack.callback(program.kill)
            return program.start()

        def stop(program: Proxy) -> None:
            began = time.monotonic()
            assert program.stop() == 0, str(program)
            ends.append(time.monotonic() - began)
            drained = program.events("drained")
            assert len(drained) == workers and not program.log_contains("drain_timed_out"), str(program)
            drains.append(max(float(record["seconds"]) for record in drained))
            assert program.events("listening", listener="plain", inherited=True)

        program = start()
        ports = [str(sock.getsockname()[1]) for sock in sockets.values()]
        command = [sys.executable, "-m", "tests.support.reconnecting"]
        clients = subprocess.Popen(
            [*command, PASSWORDS["sammy"], str(certificates.authority), *ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        stack.callback(clients.kill)
        assert clients.stdin is not None and clients.stdout is not None
        assert clients.stdout.readline() == b"running\n"
        for _ in range(RESTARTS):
            eventually("all are back", lambda one=program: len(one.events("logged_in")) >= ALL, within=30)
            enough = served(memcached) + BETWEEN
            eventually("they are served", lambda enough=enough: served(memcached) >= enough, within=30, every=0.05)
            if overlapping:
                program, last = start(), program
                stop(last)
            else:
                stop(program)
                program = start()
        said, _ = clients.communicate(timeout=60)
        stop(program)
    result = json.loads(said)
    print(
        f"\n{workers} workers, {RESTARTS} restarts: {result}\n"
        f"drain p50 {statistics.median(drains):.3f} s, p99 {percentile(drains, 99):.3f} s; "
        f"SIGTERM to exit p50 {statistics.median(ends):.3f} s, p99 {percentile(ends, 99):.3f} s"
    )
    assert result["failures"] == []
    assert result.get("refused connections", 0) == result.get("logins cut", 0) == 0
    assert result["requests"] >= BETWEEN * RESTARTS
    assert result["closed between replies"] >= RESTARTS
    assert percentile(drains, 99) < DEADLINE
