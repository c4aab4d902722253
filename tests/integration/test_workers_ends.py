"""How workers end, and what becomes of their clients: killed, told to, stuck, and with their parent."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.configuration import configuration
from tests.support.conversation import Connection, play
from tests.support.proxy import BAD_SIGNS, Proxy, token
from tests.support.tap import Tap
from tests.support.waiting import eventually
from tests.support.workers import is_running, restarted, worker_processes

LARGE = 1_000_000


def has_ended(connection: Connection) -> bool:
    """Whether the other side has closed it; nothing else is on its way."""
    connection.socket.setblocking(False)
    try:
        return connection.socket.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        connection.socket.settimeout(10)


def test_a_killed_worker_is_replaced_and_only_its_own_clients_notice(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2, limits={"connections": 30})
    clients = [program.logged_in("sammy") for _ in range(30)]
    for client in clients:
        play(client, b"get app:none\r\n", b"END\r\n")
    counted = program.metric("mcproxy_requests_total"), program.metric("mcproxy_logins_total")
    theirs = {worker: len(program.events("logged_in", worker=worker)) for worker in (1, 2)}
    assert min(theirs.values()) > 0
    process = worker_processes(program)[1]
    os.kill(process, signal.SIGKILL)
    restarted(program, 1, process)
    lost = [client for client in clients if has_ended(client)]
    assert len(lost) == theirs[1]
    for client in clients:
        if client not in lost:
            play(client, b"get app:none\r\n", b"END\r\n")
    [ended] = program.events("worker_ended")
    assert (ended["worker"], ended["reason"]) == (1, "killed by signal SIGKILL")
    assert program.metric("mcproxy_worker_restarts_total") == 1
    # What it held is free again, and nothing more than that.
    again = [program.logged_in("sammy") for _ in lost]
    with program.connect() as one_more:
        assert one_more.rest() == b""
    assert program.metric("mcproxy_sessions") == 30
    assert program.metric("mcproxy_requests_total") == counted[0] + theirs[2] * counted[0] / len(clients)
    assert program.metric("mcproxy_logins_total") == counted[1] + len(again)
    assert program.http("/healthz") == (200, "ok\n")
    eventually("it is ready again", lambda: program.http("/readyz")[0] == 200)


def test_what_waits_for_a_killed_worker_is_served_by_the_next(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2)
    before = worker_processes(program)
    for process in before.values():
        os.kill(process, signal.SIGSTOP)
    connections = [program.connect() for _ in range(10)]
    for connection in connections:
        connection.send(token("sammy"))
    for process in before.values():
        os.kill(process, signal.SIGKILL)
    for connection in connections:
        assert connection.line() == b"STORED\r\n"


def test_workers_that_keep_ending_are_started_at_growing_intervals(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2)
    began = time.monotonic()
    for _ in range(4):
        process = worker_processes(program)[2]
        os.kill(process, signal.SIGKILL)
        restarted(program, 2, process)
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4 + 0.8
    waits = [record["starts_again_in"] for record in program.events("worker_ended", worker=2)]
    assert waits == [0.1, 0.2, 0.4, 0.8]


def test_a_new_worker_has_what_the_others_have_whatever_became_of_the_files(
    start_proxy: StartProxy, tap: Tap, certificates: Certificates, tmp_path: Path
) -> None:
    tls = {"certificate": tmp_path / "tls.crt", "key": tmp_path / "tls.key"}
    for copy, original in zip(tls.values(), (certificates.server_certificate, certificates.server_key), strict=True):
        copy.write_bytes(original.read_bytes())
        copy.chmod(0o600)
    listener = {
        "bind": ["127.0.0.1:0"],
        "allow": ["127.0.0.0/8"],
        "authentication": ["token"],
        "tls": {key: str(path) for key, path in tls.items()},
    }
    program = start_proxy(tap.address, workers=2, listeners={"tls": listener})
    for path in (*tls.values(), program.directory / "users", program.configuration_path):
        path.write_text("not what it was")
    for number, process in worker_processes(program).items():
        os.kill(process, signal.SIGKILL)
        restarted(program, number, process)
    for _ in range(10):
        with program.logged_in("sammy", "tls") as connection:
            play(connection, b"get app:none\r\n", b"END\r\n")


def test_a_worker_that_is_told_to_stop_by_itself_drains_and_is_replaced(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2)
    process = worker_processes(program)[1]
    os.kill(process, signal.SIGTERM)
    restarted(program, 1, process)
    [ended] = program.events("worker_ended")
    assert ended["reason"] == "exit status 0"


def test_a_stuck_worker_is_told_and_does_not_hold_up_the_metrics(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2)
    process = worker_processes(program)[2]
    logins = program.metric("mcproxy_logins_total")
    os.kill(process, signal.SIGSTOP)
    try:
        assert program.metric("mcproxy_workers", state="silent") == 1
        assert program.metric("mcproxy_logins_total") == logins
        assert program.http("/readyz") == (503, "worker 2 does not answer\n")
    finally:
        os.kill(process, signal.SIGCONT)
    eventually("it answers again", lambda: program.http("/readyz")[0] == 200)
    assert program.metric("mcproxy_workers", state="silent") == 0


def test_while_the_parent_is_stuck_nobody_is_admitted_and_sessions_go_on(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2)
    with program.logged_in("sammy") as session:
        os.kill(program.pid, signal.SIGSTOP)
        try:
            with program.connect() as connection:
                assert connection.rest() == b""
            play(session, b"get app:none\r\n", b"END\r\n")
        finally:
            os.kill(program.pid, signal.SIGCONT)
    refused = {"reason": "the parent process does not answer"}
    eventually("it is in the log", lambda: program.log_contains("connection_refused", **refused))
    eventually("others are admitted again", lambda: program.logged_in("sammy"))
    assert program.metric("mcproxy_connections_refused_total", reason="undecided") == 1


def test_replies_are_delivered_by_all_workers_before_they_end(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2)
    reply = b"VALUE app:large 0 %d\r\n%s\r\nEND\r\n" % (LARGE, b"v" * LARGE)
    with program.logged_in("sammy") as writer:
        play(writer, b"set app:large 0 0 %d\r\n%s\r\n" % (LARGE, b"v" * LARGE), b"STORED\r\n")
    readers = [program.logged_in("sammy") for _ in range(10)]
    assert {record["worker"] for record in program.events("logged_in")} == {1, 2}
    received = program.metric("mcproxy_upstream_received_bytes_total")
    for reader in readers:
        reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        reader.send(b"get app:large\r\n")
    eventually(
        "the replies have come from upstream",
        lambda: program.metric("mcproxy_upstream_received_bytes_total") > received + len(readers) * LARGE,
    )
    program.process.terminate()
    eventually("it is stopping", lambda: program.log_contains("stopping"))
    assert program.http("/readyz") == (503, "draining\n")
    assert program.http("/healthz") == (200, "ok\n")
    for reader in readers:
        assert reader.receive(len(reply)) == reply
    assert program.stop() == 0
    assert len(program.events("stopping")) == len(program.events("stopped")) == 1


Make = Callable[[], Path]


@contextmanager
def doomed(short_path: Make, certificates: Certificates, tap: Tap, workers: int = 2, **changes: Any) -> Iterator[Proxy]:
    """A program whose end isn't a good one."""
    directory = short_path()
    settings = configuration(directory, tap.address, certificates, workers=workers, **changes)
    program = Proxy(directory, settings, certificates)
    try:
        yield program.start()
    finally:
        program.kill()


@pytest.mark.parametrize(("workers", "event"), [(1, "drain_cut_short"), (2, "workers_killed")])
def test_a_second_signal_ends_it_at_once(
    short_path: Make, certificates: Certificates, tap: Tap, workers: int, event: str
) -> None:
    """With the exit status of an end that is not in order."""
    with doomed(short_path, certificates, tap, workers, limits={"drain_timeout": "1h"}) as program:
        connection = program.logged_in("sammy")
        play(connection, b"set app:large 0 0 %d\r\n%s\r\n" % (LARGE, b"v" * LARGE), b"STORED\r\n")
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        received = program.metric("mcproxy_upstream_received_bytes_total")
        connection.send(b"get app:large\r\n" * 20)
        eventually(
            "replies have come",
            lambda: program.metric("mcproxy_upstream_received_bytes_total") > received + 10 * LARGE,
        )
        processes = worker_processes(program)
        program.process.terminate()
        eventually("it is stopping", lambda: program.log_contains("stopping"))
        at = time.monotonic()
        eventually("a signal is another one", lambda: time.monotonic() - at > 0.6)
        program.process.terminate()
        assert program.process.wait(10) == 1
        assert program.log_contains(event, reason="told to stop a second time")
        assert not any(sign in line for line in program.log for sign in BAD_SIGNS)
        assert not any(is_running(process) for process in processes.values())


def test_workers_do_not_outlive_their_parent(short_path: Make, certificates: Certificates, tap: Tap) -> None:
    with doomed(short_path, certificates, tap) as program:
        address = program.host_and_port("plain")
        processes = worker_processes(program)
        clients = [program.logged_in("sammy") for _ in range(10)]
        os.kill(processes[2], signal.SIGSTOP)  # nor does one that can't notice
        os.kill(program.pid, signal.SIGKILL)
        for client in clients:
            eventually("its connection is closed", lambda client=client: has_ended(client))
        eventually("the workers are gone", lambda: not any(map(is_running, processes.values())))
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(address)
            free.listen()
