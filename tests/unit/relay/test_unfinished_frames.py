"""Requests that come in slowly, not whole, or too large: waited for only so long, and not kept beyond need (R5)."""

import pytest

from mcproxy.relay.interfaces import SessionLimits
from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import BIG, STALL, Client, Play, Store


def test_a_body_goes_up_only_when_it_is_whole(play: Play) -> None:
    """A slow client must not hold up a shared link."""
    upstream = play.upstream()
    slow, other = play.client(), play.client()
    slow.send(b"set k 0 0 300000\r\n")
    for _ in range(3):
        slow.send(b"v" * 100_000)
        play.run()
        upstream.ask(b"")
        assert play.relay.held > 0
    other.send(b"get a\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    slow.send(b"\r\n")
    came = b""
    while not play.quiet():
        play.run()
        came += upstream.receive()
    assert came == b"set k 0 0 300000\r\n" + b"v" * 300_000 + b"\r\n"
    upstream.send(b"END\r\nSTORED\r\n")
    play.run()
    assert slow.receive() == b"STORED\r\n"
    assert play.relay.held == 0


@pytest.mark.parametrize("beginning", [b"set k 0 0 10\r\nhalf", b"get", b"set k 0 0 10000000\r\nswallowed"])
def test_an_unfinished_frame_is_waited_for_only_so_long(play: Play, beginning: bytes) -> None:
    """Case 50, after the login."""
    client, idle = play.client(), play.client()
    client.send(beginning)
    play.run()
    client.receive()
    play.sweep(STALL - 1)
    assert play.end(client) is None
    play.sweep(STALL + 1)
    assert play.end(client) == "leaves a request unfinished"
    assert play.end(idle) is None, "silence between requests is nothing bad"


def test_a_frame_that_trickles_in_is_not_waited_for_for_ever(play: Play) -> None:
    """Case 50: a byte now and then keeps neither a place nor memory for as long as the client likes."""
    client = play.client()
    client.send(b"set k 0 0 1000000\r\n")
    play.run()
    times = 0
    while play.end(client) is None and times < 20:
        times += 1
        client.send(b"v")
        play.run()
        _age(client, STALL * 0.9)
        play.sweep(0)
    assert play.end(client) == "leaves a request unfinished"
    assert times > 1, "a byte now and then is something"


def test_a_large_body_that_keeps_coming_is_not_stalled(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"set k 0 0 1000000\r\n")
    for _ in range(10):
        client.send(b"v" * 100_000)
        play.run()
        _age(client, STALL * 0.5)
        play.sweep(0)
    client.send(b"\r\n")
    for _ in range(10):
        play.run()
        upstream.receive()
    upstream.send(b"STORED\r\n")
    play.run()
    assert client.receive() == b"STORED\r\n"


def test_the_idle_time_counts_only_when_nothing_is_owed(play: Play) -> None:
    limits = SessionLimits(idle_timeout=5.0, stall_timeout=STALL)
    upstream = play.upstream()
    idle, waiting = play.client(limits=limits), play.client(limits=limits)
    waiting.send(b"get a\r\n")
    play.run()
    upstream.link._progress += 100  # the upstream's own time-out is not what this is about
    play.sweep(4)
    assert play.end(idle) is None
    play.sweep(6)
    assert play.end(idle) == "idle"
    assert play.end(waiting) is None
    upstream.send(b"END\r\n")
    play.run()
    assert waiting.receive() == b"END\r\n"


def test_a_client_that_is_reading_is_not_idle(play: Play) -> None:
    """It has asked for much and takes its time, but it takes it."""
    limits = SessionLimits(idle_timeout=5.0, stall_timeout=STALL)
    store = Store(play.upstream(), BIG)
    client = play.client(limits=limits)
    client.send(b"get big1 big2 big3\r\n")
    while store.serve() or not play.quiet():
        play.run()
    heard = 0
    for _ in range(6):
        heard += len(client.receive(200_000))
        play.run()
        _age(client, 2.0, stalled=False)
        play.sweep(0)
    assert play.end(client) is None, f"closed as {play.end(client)!r} while it reads"
    while not play.quiet() or client.receive():
        play.run()
    play.sweep(0)
    assert play.end(client) is None, f"closed as {play.end(client)!r} at the moment it had read all"


def test_a_big_body_is_swallowed_however_old_the_session_is(play: Play) -> None:
    client = play.client(value=1000)
    _age(client, 100 * STALL)
    client.send(b"set k 0 0 2000000\r\n" + b"x" * 10_000)
    play.run()
    play.sweep(0)
    assert play.end(client) is None, play.end(client)


def test_a_big_body_is_swallowed_without_being_kept(play: Play) -> None:
    """Case 19."""
    upstream = play.upstream()
    client = play.client(value=1000)
    client.send(b"set k 0 0 20000000\r\n")
    for _ in range(200):
        client.send(b"x" * 100_000)
        play.run()
        assert play.relay.held == 0
    assert client.receive() == b"SERVER_ERROR object too large for cache\r\n"
    client.send(b"\r\nget a\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_a_big_binary_body_is_swallowed_without_being_kept(play: Play) -> None:
    upstream = play.upstream(binary=True)
    client = play.client(binary=True, value=1000)
    frame = packets.store(packets.SET, b"k", b"x" * 5_000_000, opaque=3) + packet(packets.NOOP, opaque=4)
    for start in range(0, len(frame), 100_000):
        client.send(frame[start : start + 100_000])
        play.run()
        assert play.relay.held < 2000
    assert len(upstream.receive()) == 24
    assert [(answer.opaque, answer.status) for answer in client.responses()] == [(3, packets.TOO_LARGE)]


def _age(client: Client, seconds: float, *, stalled: bool = True) -> None:
    """What the session remembers happened so much longer ago."""
    client.session._active -= seconds
    if stalled:
        client.session.stalled_since -= seconds
