"""Clients that leave while the session is paused or owed something."""

import pytest

from mcproxy.relay.interfaces import SessionLimits
from tests.unit.relay.harness import BIG, STALL, Play, Store, reset, tcp_pair


def test_a_paused_session_with_unread_input_whose_peer_resets(play: Play) -> None:
    """Case 63: closed at once, and no spinning: neither before nor after."""
    upstream = play.upstream()
    client = play.client(limits=SessionLimits(pipeline=1), pair=tcp_pair())
    client.send(b"get a\r\nget b\r\nget c\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    client.send(b"get d\r\n" * 1000)
    assert play.run() <= 5, "unread input keeps waking the relay"
    assert play.run() == 0
    reset(client)
    assert 1 <= play.run() <= 5
    assert play.end(client) == "connection reset"
    upstream.send(b"END\r\n")
    assert play.run() <= 5
    upstream.ask(b"")


def test_a_finishing_session_whose_peer_resets(play: Play) -> None:
    upstream = play.upstream()
    client = play.client(pair=tcp_pair())
    client.send(b"get a\r\n")
    client.half_close()
    play.run()
    assert play.run() == 0
    reset(client)
    assert play.run() <= 5
    assert play.end(client) == "connection reset"
    upstream.send(b"END\r\n")
    play.run()
    assert not upstream.link.closed


def test_what_was_sent_before_the_client_closed_a_unix_socket_is_not_lost(play: Play) -> None:
    """`set ... noreply` many times, then close: memcached stores them all."""
    upstream = play.upstream()
    client = play.client()
    frames = b"".join(b"set k%d 0 0 1 noreply\r\nx\r\n" % number for number in range(100))
    client.send(frames)
    client.close()
    came = b""
    for _ in range(20):
        play.run()
        data = upstream.receive()
        if not data:
            break
        came += data
        upstream.send(b"STORED\r\n" * data.count(b"set "))
    assert came == frames.replace(b" noreply", b"")


@pytest.mark.parametrize("waiting_for", ["its reader", "upstream"])
def test_a_client_that_hangs_up_with_replies_queued_is_forgotten(play: Play, waiting_for: str) -> None:
    """It reads all that the kernel holds, and closes a unix socket before the proxy can send the rest."""
    upstream = play.upstream()
    store = Store(upstream, BIG | {b"medium": 300_000})
    client = play.client()
    client.send(b"get big1 big2 big3\r\n" if waiting_for == "its reader" else b"get medium\r\n")
    while store.serve() or not play.quiet():
        play.run()
    for _ in range(2):
        # Input that is not read any more is not listened for either.
        client.send(b"get later\r\n" * (100 if waiting_for == "upstream" else 1))
        play.run()
    assert play.relay.held > 0
    client.receive()
    client.close()
    while store.serve() or not play.quiet():
        play.run()
    play.sweep(100 * STALL)
    assert play.end(client) is not None, "nobody will ever end it"
    assert play.relay.held == 0
