"""Several workers: connections are spread over them, limits and metrics are those of all, and they tell no secrets."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.configuration import PASSWORDS
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap
from tests.support.waiting import eventually
from tests.support.workers import sockets_of, worker_processes

FREE_FAILURES = 5
"""Guesses that are not slowed: mcproxy/auth/throttle.py."""


@pytest.fixture(scope="module")
def several(start_proxy: StartProxy, tap: Tap) -> Proxy:
    limits = {"connections": 2000, "login_connections": 2000, "login_timeout": "2m"}
    return start_proxy(tap.address, workers=2, limits=limits)


@pytest.mark.parametrize("listener", ["plain", "tls", "socket"])
def test_a_thousand_connections_are_spread_within_a_fifth_of_even(several: Proxy, listener: str) -> None:
    """While requests are under way on some of them: a busy worker must get no fewer for being late to accept."""
    processes = worker_processes(several).values()
    before = {process: sockets_of(process) for process in processes}
    with ExitStack() as open_connections:
        for number in range(1000):
            connection = open_connections.enter_context(several.connect_raw(listener))
            if number < 20 and listener != "tls":
                connection.sendall(token("sammy") + b"get app:a\r\n" * 1000)
        eventually("all are accepted", lambda: several.metric("mcproxy_connections_total", listener=listener) >= 1000)
        spread = [sockets_of(process) - before[process] for process in processes]
        assert sum(spread) == 1000
        assert all(400 <= part <= 600 for part in spread), spread
    eventually("all are gone", lambda: all(sockets_of(process) == before[process] for process in processes))


def test_the_metrics_are_those_of_both_and_promtool_takes_them(several: Proxy) -> None:
    asked, logins = several.metric("mcproxy_requests_total"), several.metric("mcproxy_logins_total", result="success")
    with ExitStack() as open_connections:
        for _ in range(20):
            connection = open_connections.enter_context(several.logged_in("sammy"))
            connection.send(b"get app:none\r\n")
            assert connection.line() == b"END\r\n"
        assert several.metric("mcproxy_sessions", listener="plain") == 20
    assert several.metric("mcproxy_requests_total") == asked + 20
    assert several.metric("mcproxy_logins_total", result="success") == logins + 20
    status, body = several.http("/metrics")
    assert status == 200
    checked = subprocess.run(["promtool", "check", "metrics"], input=body.encode(), capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert [several.metric("mcproxy_workers", state=state) for state in ("configured", "alive", "silent")] == [2, 2, 0]
    assert several.metric("mcproxy_ready") == 1
    assert several.metric("mcproxy_build_info") == 1
    links = several.metric("mcproxy_upstream_links")
    assert links == 2 * 2 * 2, "two of each protocol and worker"


def test_the_log_says_which_worker_and_tells_start_once(several: Proxy) -> None:
    for _ in range(20):
        several.logged_in("sammy").close()
    by = Counter(record["worker"] for record in several.events("logged_in"))
    assert set(by) == {1, 2}
    assert len(several.events("started", workers=2)) == 1
    assert len(several.events("listening", listener="plain")) == 1
    assert len(several.events("ready")) == 1
    assert not several.events("not_ready")
    assert all("worker" not in record for record in several.events("listening"))


def test_no_process_shows_a_secret(several: Proxy) -> None:
    secrets = [*PASSWORDS.values(), "PRIVATE KEY"]
    for line in (several.directory / "users").read_text().splitlines():
        secrets += line.partition(":")[2].replace("$", ":").split(":")[2:]
    assert len(secrets) > 15
    for process in (several.pid, *worker_processes(several).values()):
        shown = Path(f"/proc/{process}/cmdline").read_bytes() + Path(f"/proc/{process}/environ").read_bytes()
        assert b"mcproxy" in shown
        for secret in secrets:
            assert secret.encode() not in shown


@pytest.mark.parametrize("workers", [1, 2])
def test_connections_of_both_are_limited_together(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    program = start_proxy(tap.address, workers=workers, limits={"connections": 20})
    held = [program.logged_in("sammy") for _ in range(20)]
    with program.connect() as one_more:
        assert one_more.rest() == b""
    held.pop().close()

    def admitted() -> bool:
        with program.connect() as connection:
            connection.send(token("sammy"))
            return connection.receive(8) == b"STORED\r\n"

    eventually("there is room for one again", admitted)
    eventually("all but one are there", lambda: program.metric("mcproxy_sessions") == 19)
    assert program.metric("mcproxy_connections_refused_total", reason="too_many") >= 1


@pytest.mark.parametrize("workers", [1, 2])
def test_many_logins_at_once_wait_for_their_turn(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    program = start_proxy(tap.address, workers=workers, limits={"login_connections": 4 * workers})
    silent = [program.connect_raw("plain") for _ in range(3)]
    connections = [program.connect_raw("plain") for _ in range(40)]
    for connection in connections:
        connection.sendall(token("sammy"))
    for connection in connections:
        assert connection.recv(100) == b"STORED\r\n"
    assert program.metric("mcproxy_connections_refused_total") == 0
    for connection in silent + connections:
        connection.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_guesser_gets_no_more_guesses_from_two_than_from_one(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    """Each guess on a connection of its own. With so little patience, one that is slowed is refused at once."""
    program = start_proxy(tap.address, workers=workers, limits={"login_timeout": "400ms"})
    started = time.monotonic()
    connections = []
    for _ in range(24):
        connections.append(program.connect())
        connections[-1].send(token("sammy", "wrong"))
    for connection in connections:
        connection.rest()
    checked = program.metric("mcproxy_logins_total", result="failure")
    # One may be under way while the last of them is counted, and one is let through for each second.
    assert FREE_FAILURES <= checked <= FREE_FAILURES + 1 + (time.monotonic() - started)
    assert program.metric("mcproxy_logins_total", result="throttled") == 24 - checked
    if workers == 2:
        assert {record["worker"] for record in program.events("login_failed")} == {1, 2}


def test_auto_is_one_for_each_core(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers="auto")
    assert 1 <= program.metric("mcproxy_workers", state="alive") <= len(os.sched_getaffinity(0))


def test_a_second_program_does_not_share_the_port(several: Proxy, tmp_path: Path) -> None:
    """SO_REUSEPORT alone would let it in, and give it half of the connections."""
    text = several.configuration_path.read_text()
    host, port = several.host_and_port("plain")
    other = several.directory / "other.yaml"
    other.write_text(text.replace(f"- {host}:0", f"- {host}:{port}", 1))
    other.chmod(0o600)
    ended = subprocess.run(
        [*several.process.args[:-1], str(other)], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert f"cannot listen on {host}:{port}: another process listens there" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_worker_is_nothing_to_start_by_hand() -> None:
    for arguments in ([], ["1", "0", "0"], ["1", "99", "98"], ["x"]):
        ended = subprocess.run(
            [sys.executable, "-m", "mcproxy.workers", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == 'mcproxy: this is a part of "mcproxy run", which starts it\n'
