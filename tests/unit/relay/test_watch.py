"""`watch`: a reply without an end, over a link that lives as long as its session does."""

import pytest

from mcproxy.relay.interfaces import SessionLimits
from tests.unit.relay.harness import LIMITS, STALL, TIMEOUT, Client, Play, Upstream, reset

LOGGED = b"ts=1.2 gid=%d type=item_get key=a status=not_found clsid=0 cfd=24\n"


def watching(play: Play, *, data: bytes = b"", limits: SessionLimits = LIMITS) -> tuple[Client, Upstream]:
    """A client that watches, and the link that it watches over; `data` was sent with its command."""
    client = play.client(limits=limits)
    client.send(b"watch fetchers\r\n" + data)
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"watch fetchers\r\n")
    private.send(b"OK\r\n")
    play.run()
    assert client.receive() == b"OK\r\n"
    return client, private


def test_lines_come_as_they_are_logged_and_the_link_is_never_late(play: Play) -> None:
    shared = play.upstream()
    client, private = watching(play)
    other = play.client()
    for number in range(5):
        play.sweep(TIMEOUT * 10)
        private.send(LOGGED % number)
        play.run()
        assert client.receive() == LOGGED % number
        other.send(b"get z\r\n")
        play.run()
        shared.ask(b"get z\r\n")
        shared.send(b"END\r\n")
        play.run()
        assert other.receive() == b"END\r\n"
    play.sweep(STALL * 10)
    assert play.end(client) is None
    assert not private.link.closed


def test_a_client_that_is_idle_too_long_is_not_one_that_watches(play: Play) -> None:
    limits = SessionLimits(stall_timeout=STALL, idle_timeout=60.0)
    client, _ = watching(play, limits=limits)
    play.sweep(61)
    play.sweep(61)
    assert play.end(client) is None


def test_what_it_sends_meanwhile_is_thrown_away(play: Play) -> None:
    shared = play.upstream()
    client, private = watching(play, data=b"set a 0 0 1\r\nx\r\nflush_")
    for _ in range(50):
        client.send(b"all\r\nget a\r\n" * 1000)
        play.run()
    shared.ask(b"")
    private.ask(b"")
    assert play.relay.held == 0
    private.send(LOGGED % 1)
    play.run()
    assert client.receive() == LOGGED % 1


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
def test_it_ends_with_its_client_at_once(play: Play, how: str) -> None:
    client, private = watching(play)
    if how == "half-close":
        client.half_close()
    elif how == "close":
        client.close()
    else:
        reset(client)
    play.run()
    assert play.end(client) is not None
    assert private.link.closed
    private.receive()
    assert private.ended


def test_it_ends_with_its_link(play: Play) -> None:
    """The client's connection closes, as it would at memcached itself: nothing else tells it that no more comes."""
    client, private = watching(play)
    private.send(LOGGED % 1)
    private.close()
    play.run()
    assert client.receive() == LOGGED % 1
    assert client.ended
    assert play.end(client) == "upstream ended within a reply"


def test_it_ends_at_once_when_the_proxy_stops(play: Play) -> None:
    client, private = watching(play)
    client.session.drain()
    play.relay.settle()
    assert client.session.closed
    assert private.link.closed
    play.run()
    client.receive()
    assert client.ended


@pytest.mark.parametrize("how", ["drain", "close", "half-close"])
def test_it_does_not_begin_where_nobody_is_left_to_see_it(play: Play, how: str) -> None:
    client = play.client()
    client.send(b"watch\r\n")
    play.run()
    if how == "drain":
        client.session.drain()
        play.relay.settle()
    elif how == "close":
        client.close()
    else:
        client.half_close()
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.push(b"OK\r\n")
    play.run()
    assert client.session.closed
    assert private.link.closed


@pytest.mark.parametrize(
    "error",
    [b"ERROR\r\n", b"CLIENT_ERROR watch commands not allowed\r\n", b"WATCHER_TOO_MANY log watcher limit reached\r\n"],
)
def test_where_it_is_refused_the_client_goes_on(play: Play, error: bytes) -> None:
    shared = play.upstream()
    client = play.client()
    client.send(b"watch\r\nget a\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.send(error)
    play.run()
    assert client.receive() == error
    assert private.link.closed
    shared.ask(b"get a\r\n")
    shared.send(b"END\r\n")
    play.run()
    assert play.said(client, b"version\r\n") == b"END\r\n"
    shared.ask(b"version\r\n")


def test_an_ok_that_does_not_come_is_late(play: Play) -> None:
    client = play.client()
    client.send(b"watch\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    play.sweep(TIMEOUT + 1)
    assert client.receive() == b"SERVER_ERROR upstream timed out\r\n"
    assert play.end(client) is None


def test_one_that_does_not_read_is_closed(play: Play) -> None:
    client, private = watching(play, limits=SessionLimits(buffer=1 << 16, stall_timeout=STALL))
    line = LOGGED % 1
    private.push(line * 100_000)
    while private.unsent and not play.quiet():
        play.run()
        private.push()
    assert private.unsent, "everything was read although nobody takes it"
    play.sweep(STALL + 1)
    assert play.end(client) == "takes no replies"
    assert private.link.closed


def test_shutdown_closes_the_client_as_memcached_would(play: Play) -> None:
    shared = play.upstream()
    client = play.client()
    client.send(b"shutdown graceful\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"shutdown graceful\r\n")
    private.close()
    play.run()
    assert client.receive() == b""
    assert client.ended
    assert not shared.link.closed


def test_shutdown_that_is_not_allowed(play: Play) -> None:
    shared = play.upstream()
    client = play.client()
    client.send(b"shutdown\r\nmn\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.send(b"ERROR: shutdown not enabled\r\n")
    play.run()
    assert client.receive() == b"ERROR: shutdown not enabled\r\n"
    shared.ask(b"mn\r\n")
