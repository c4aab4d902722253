"""SIGTERM: what was asked is answered, whole, before the program ends (cases 59 and 60)."""

import os
import signal
import socket
import time

import pytest

from tests.integration.conftest import StartProxy
from tests.support.conversation import play
from tests.support.proxy import token
from tests.support.tap import Tap
from tests.support.waiting import eventually
from tests.support.workers import worker_processes

LARGE = 1_000_000


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_a_slow_reader_gets_its_whole_reply(start_proxy: StartProxy, tap: Tap, listener: str) -> None:
    """Although it goes on sending: a plain close() over unread input would reset the connection and lose the reply."""
    program = start_proxy(tap.address)
    reply = b"VALUE app:large 0 %d\r\n%s\r\nEND\r\n" % (LARGE, b"v" * LARGE)
    with program.logged_in("sammy", listener) as writer:
        play(writer, b"set app:large 0 0 %d\r\n%s\r\n" % (LARGE, b"v" * LARGE), b"STORED\r\n")
    with program.logged_in("sammy", listener) as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        received = program.metric("mcproxy_upstream_received_bytes_total")
        connection.send(b"get app:large\r\n")
        eventually(
            "the reply has come from upstream",
            lambda: program.metric("mcproxy_upstream_received_bytes_total") > received + LARGE,
        )
        program.process.terminate()
        eventually("it has stopped accepting", lambda: program.log_contains("stopping"))
        connection.send(b"get app:large\r\n")
        assert connection.receive(len(reply)) == reply
    assert program.stop() == 0


def test_idle_clients_do_not_hold_it_up(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, limits={"drain_timeout": "10s"})
    with program.logged_in("sammy") as one, program.logged_in("sammy", "tls") as two:
        one.in_step()
        two.in_step()
        started = time.monotonic()
        program.process.terminate()
        assert one.rest() == b""
        assert two.rest() == b""
    assert program.stop() == 0
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("workers", [1, 2])
def test_who_waits_to_be_accepted_is_let_in_and_not_reset(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    """Closing a listening socket resets what it has queued, one of several on an address too."""
    program = start_proxy(tap.address, workers=workers)
    serving = list(worker_processes(program).values()) if workers > 1 else [program.pid]
    for process in serving:
        os.kill(process, signal.SIGSTOP)
    waiting = [program.connect() for _ in range(200)]
    for client in waiting:
        client.send(token("sammy") + b"get app:none\r\n")
    program.process.terminate()
    if workers > 1:
        eventually("the parent has closed its own", lambda: program.http("/readyz")[0] == 503)
    for process in serving:
        os.kill(process, signal.SIGCONT)
    for client in waiting:
        assert client.rest() == b"STORED\r\nEND\r\n"
    # A second signal would end workers at once.
    assert program.process.wait(15) == 0


def test_a_stranger_who_says_nothing_does_not_hold_it_up(start_proxy: StartProxy, tap: Tap) -> None:
    """And one who is logging in just now gets there."""
    program = start_proxy(tap.address, limits={"drain_timeout": "30s", "login_timeout": "30s"})
    with program.connect() as silent, program.connect() as late:
        late.send(token("sammy")[:-5])
        eventually("both are there", lambda: program.metric("mcproxy_connections_total") >= 2)
        program.process.terminate()
        eventually("it drains", lambda: program.log_contains("draining"))
        late.send(token("sammy")[-5:])
        assert late.rest() == b"STORED\r\n"
        assert silent.rest() == b""
    assert program.stop() == 0
    assert program.log_contains("connection_refused", reason="the proxy is stopping")
    assert not program.log_contains("drain_timed_out")
