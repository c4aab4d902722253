"""Upstream down, and back (case 49): a failure at once, and service again without a restart."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.conversation import SERVER_ERROR, Connection, play
from tests.support.memcached import Memcached
from tests.support.packets import packet
from tests.support.serving import serves
from tests.support.tap import Tap
from tests.support.waiting import eventually


def test_upstream_down_and_back(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    """Down: a failure at once, in both protocols, and readiness says no. Back: served without a restart (case 49)."""
    with Memcached(short_path()) as upstream, Tap(short_path(), upstream) as tap:
        program = start_proxy(tap.address, upstream={"timeout": "1s"})
        text, binary = program.logged_in("sammy"), program.logged_in_binary("sammy")
        for _ in range(2):
            serves(program)
            play(text, b"set app:a 0 0 10\r\nvalue of a\r\n", b"STORED\r\n")
            eventually("it is ready", lambda: program.http("/readyz")[0] == 200)
            upstream.stop()
            for _ in range(5):
                down(text, binary)
            eventually("readiness says no", lambda: program.http("/readyz")[0] == 503)
            assert program.http("/healthz")[0] == 200
            assert program.metric("mcproxy_ready") == 0
            with program.logged_in("sammy") as fresh:
                fresh.send(b"set app:b 0 0 5\r\nhello\r\ndelete app:b noreply\r\nget app:b\r\n")
                assert fresh.line().startswith(SERVER_ERROR.start)
                assert fresh.line().startswith(SERVER_ERROR.start)
            upstream.start()
        serves(program)
        tap.recording.check()


def down(text: Connection, binary: Connection) -> None:
    started = time.monotonic()
    text.send(b"get app:a\r\n")
    answer = text.line()
    assert answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{text}"
    assert binary.ask(packet(packets.GET, b"app:a")).status == packets.UNAVAILABLE
    assert time.monotonic() - started < 1.5


def test_started_while_upstream_is_down(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    upstream = Memcached(short_path())
    program = start_proxy(upstream.address, upstream={"timeout": "1s"})
    down(program.logged_in("sammy"), program.logged_in_binary("sammy"))
    assert program.http("/readyz")[0] == 503
    with upstream:
        serves(program)
        eventually("it is ready", lambda: program.http("/readyz")[0] == 200)
