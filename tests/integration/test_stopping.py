"""SIGTERM: what was asked is answered, whole, before the program ends (cases 59 and 60)."""

import socket
import time

import pytest

from tests.integration.conftest import StartProxy
from tests.support.conversation import play
from tests.support.tap import Tap
from tests.support.waiting import eventually

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
