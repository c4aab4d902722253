"""Links of a session's own: not read faster than the client reads, and closed with its session."""

import socket

import pytest

from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.link import RECEIVE_SIZE
from tests.unit.relay.harness import MANY_TURNS, STALL, TIMEOUT, Client, Play, Upstream, reset

SMALL = SessionLimits(buffer=1 << 16, stall_timeout=STALL)
BOUND = SMALL.buffer + RECEIVE_SIZE
ITEM = b"key=app%%3A%07d exp=-1 la=1795379037 cas=1 fetch=no cls=1 size=61\n"
DUMP = b"".join(ITEM % number for number in range(20_000)) + b"END\r\n"


def dumping(play: Play, *, reply: bytes = DUMP) -> tuple[Client, Upstream]:
    """A client that is sent a metadump over a link of its own, as far as its buffers take it."""
    mine, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    client = play.client(limits=SMALL, pair=(mine, theirs))
    client.send(b"lru_crawler metadump all\r\n")
    play.run()
    private = play.upstream(private=True, send_buffer=8192)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"lru_crawler metadump all\r\n")
    private.push(reply)
    while not play.quiet():
        play.run()
        private.push()
    return client, private


def test_a_slow_reader_gets_all_of_it_and_never_more_is_kept_than_its_buffer(play: Play) -> None:
    client, private = dumping(play)
    assert private.unsent, "all of it was read although nobody takes it"
    shared = play.upstream()
    other = play.client()
    heard = b""
    most = play.relay.held
    for _ in range(MANY_TURNS):
        heard += client.receive(4096)
        play.run()
        private.push()
        most = max(most, play.relay.held)
        if client.session.in_flight == 0 and play.quiet() and not play.relay.held:
            break
    heard += client.receive()
    assert heard == DUMP
    assert SMALL.buffer < most <= BOUND
    assert private.link.closed
    assert play.end(client) is None
    assert play.said(other, b"mn\r\n") == b""
    shared.ask(b"mn\r\n")
    assert play.said(client, b"version\r\n") == b""
    shared.ask(b"version\r\n")


def test_while_nobody_reads_nothing_is_done(play: Play) -> None:
    client, private = dumping(play)
    assert play.run() == 0
    receives = private.proxy_side.receives
    play.sweep(TIMEOUT + 1)
    assert play.run() == 0
    assert private.proxy_side.receives == receives
    assert not private.link.closed, "it isn't upstream that is late"
    assert play.end(client) is None


def test_upstream_is_late_again_once_the_client_reads(play: Play) -> None:
    client, private = dumping(play, reply=DUMP[: DUMP.index(b"\n", 1_000_000) + 1])
    play.sweep(TIMEOUT + 1)
    heard = b""
    while private.unsent or not play.quiet() or play.relay.held:
        heard += client.receive()
        play.run()
        private.push()
    assert not private.link.closed
    play.sweep(TIMEOUT + 1)
    assert private.link.closed
    heard += client.receive()
    assert heard == DUMP[: DUMP.index(b"\n", 1_000_000) + 1] + b"SERVER_ERROR upstream timed out\r\n"


def test_one_that_takes_nothing_for_long_is_closed_with_its_link(play: Play) -> None:
    client, private = dumping(play)
    play.sweep(STALL + 1)
    assert play.end(client) == "takes no replies"
    assert private.link.closed


@pytest.mark.parametrize("how", ["close", "reset"])
def test_one_that_leaves_takes_its_link_with_it(play: Play, how: str) -> None:
    client, private = dumping(play)
    client.close() if how == "close" else reset(client)
    play.run()
    assert play.end(client) is not None
    assert private.link.closed, "nobody reads what it still says"


def test_upstream_dies_while_it_is_not_read(play: Play) -> None:
    """What it had said is lost with it; the client is told that this isn't all."""
    client, private = dumping(play)
    private.close()
    play.run()
    heard = b""
    while not play.quiet() or play.relay.held:
        heard += client.receive()
        play.run()
    heard += client.receive()
    assert private.link.closed
    *lines, last = heard.splitlines(keepends=True)
    assert last == b"SERVER_ERROR upstream connection lost\r\n"
    assert DUMP.startswith(b"".join(lines))
    assert play.end(client) is None


def test_a_session_that_ends_for_another_reason_takes_its_link_with_it(play: Play) -> None:
    client, private = dumping(play)
    client.session.close("the test ends it")
    play.relay.settle()
    assert private.link.closed
    assert private.lost == ["the client has left"]


def test_one_that_left_before_its_link_was_open(play: Play) -> None:
    client = play.client()
    client.send(b"lru_crawler metadump all\r\n")
    play.run()
    ready = play.links.private.pop()
    client.session.close("gone")
    private = play.upstream(private=True)
    ready(private.link)
    play.run()
    assert private.link.closed
    private.ask(b"")


def test_a_client_that_hangs_up_in_mid_dump_having_read_all_that_came_ends_the_link(play: Play) -> None:
    """A unix socket says no more than that it was hung up, and memcached's crawler waits for the link."""
    client, private = dumping(play)
    while client.receive(1 << 16):
        pass
    client.close()
    play.run()
    assert private.link.closed
    play.sweep(0.3)
    assert play.end(client) is not None
