"""`watch` against the real memcached: what it logs reaches who watches, for as long as he watches, and nobody else."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.conversation import DENIED, Connection, play
from tests.support.memcached import Memcached
from tests.support.processes import resident_bytes
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually


def watchers(memcached: Memcached, count: int) -> None:
    """So many watch, by memcached's own count, which follows after a while."""
    eventually(f"{count} watch", lambda: memcached.statistics()["log_watchers"] == str(count))


@pytest.fixture(scope="module")
def watched(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """Links that time out soon: one that watches never does."""
    return start_proxy(tap.address, upstream={"timeout": "300ms"}, limits={"session_buffer": "64KiB"})


@pytest.fixture
def program(watched: Proxy, memcached: Memcached) -> Iterator[Proxy]:
    yield watched
    watched.close_connections()
    watchers(memcached, 0)


def watching(program: Proxy, words: bytes, listener: str = "plain") -> Connection:
    connection = program.logged_in("root", listener)
    connection.send(words + b"\r\n")
    assert connection.line() == b"OK\r\n", str(connection)
    return connection


def logged(connection: Connection, what: bytes) -> bytes:
    """The next line that holds this, past others."""
    while what not in (line := connection.line()):
        assert line.endswith(b"\n"), f"no line with {what!r}\n{connection}"
        assert line.startswith((b"ts=", b"skipped=")), str(connection)
    return line


@pytest.mark.parametrize("listener", ["plain", "tls", "socket"])
def test_two_watch_while_others_work(program: Proxy, memcached: Memcached, listener: str) -> None:
    fetchers, mutations = (
        watching(program, b"watch fetchers", listener),
        watching(program, b"watch mutations", listener),
    )
    watchers(memcached, 2)
    with program.logged_in("sammy", listener) as worker:
        for number in range(20):
            key = b"app:%s:%d" % (listener.encode(), number)
            play(
                worker, b"set %s 0 0 1\r\nx\r\nget %s\r\n" % (key, key), b"STORED\r\nVALUE %s 0 1\r\nx\r\nEND\r\n" % key
            )
            shown = key.replace(b":", b"%3A")
            assert b"type=item_get" in logged(fetchers, shown + b" ")
            assert b"type=item_store" in logged(mutations, shown + b" ")


def test_it_outlives_the_time_that_a_reply_may_take(program: Proxy) -> None:
    watcher = watching(program, b"watch fetchers")
    with program.logged_in("sammy") as worker:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            play(worker, b"get app:quiet\r\n", b"END\r\n")
            logged(watcher, b"app%3Aquiet ")
    assert not program.log_contains("upstream_link_lost")


def test_what_the_watcher_sends_is_thrown_away(program: Proxy, tap: Tap) -> None:
    watcher = watching(program, b"watch fetchers")
    tap.recording.forget()
    watcher.send(b"set app:w 0 0 1\r\nx\r\nflush_all\r\nquit\r\n" * 1000)
    with program.logged_in("sammy") as worker:
        play(worker, b"get app:w\r\n", b"END\r\n")
    logged(watcher, b"app%3Aw ")
    assert [frame.raw for frame in tap.recording.requests()] == [b"get app:w\r\n"]


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
@pytest.mark.parametrize("listener", ["plain", "tls", "socket"])
def test_it_ends_with_its_client(program: Proxy, memcached: Memcached, listener: str, how: str) -> None:
    watcher = watching(program, b"watch", listener)
    watchers(memcached, 1)
    if how == "close":
        watcher.close()
    elif how == "reset":
        watcher.reset()
    else:
        watcher.finish_sending()
    watchers(memcached, 0)


def test_who_may_not(program: Proxy, memcached: Memcached) -> None:
    for user in ("sammy", "reader", "watcher", "nobody"):
        with program.logged_in(user) as connection:
            play(connection, b"watch\r\nwatch fetchers mutations\r\n", DENIED * 2)
    watchers(memcached, 0)


def test_more_than_memcached_has_room_for(program: Proxy) -> None:
    """It allows 20; the next is told so, and goes on as before."""
    for _ in range(20):
        watching(program, b"watch")
    with program.logged_in("root") as late:
        play(late, b"watch\r\n", b"WATCHER_TOO_MANY log watcher limit reached\r\n")
        play(late, b"get a\r\n", b"END\r\n")


def test_one_that_does_not_read_costs_little_and_holds_nobody(program: Proxy) -> None:
    idle = watching(program, b"watch fetchers", "socket")
    memory = resident_bytes(program.pid)
    with program.logged_in("sammy") as worker:
        for number in range(100):
            play(worker, b"get app:%d:%s\r\n" % (number, b"k" * 200) * 500, b"END\r\n" * 500)
    assert resident_bytes(program.pid) - memory < 4 << 20
    assert logged(idle, b"app%3A0%3A").endswith(b"\n")


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_it_does_not_hold_up_a_stop(start_proxy: StartProxy, tap: Tap, listener: str) -> None:
    program = start_proxy(tap.address)
    watcher = watching(program, b"watch fetchers", listener)
    started = time.monotonic()
    assert program.process is not None
    program.process.terminate()
    watcher.rest()
    assert program.stop() == 0
    assert time.monotonic() - started < 5


def test_it_ends_with_memcached(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    with Memcached(short_path()) as upstream:
        program = start_proxy(upstream.address)
        watcher = watching(program, b"watch fetchers")
        upstream.stop()
        watcher.expect_closed()
