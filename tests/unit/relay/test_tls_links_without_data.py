"""What upstream's TLS says of its own accord: session tickets, key updates, and what came with the handshake's end."""

import pytest

from tests.support.certificates import Certificates
from tests.support.key_updates import LENGTH, KeyUpdates
from tests.unit.relay.harness import MEGABYTE, TIMEOUT, Play, value_block
from tests.unit.relay.secured_upstream import Contexts, secured_upstream


@pytest.fixture
def modern(certificates: Certificates) -> Contexts:
    """Of TLS 1.3, which alone has these messages."""
    return Contexts(certificates, "1.3")


def test_session_tickets_are_no_surprise(play: Play, certificates: Certificates) -> None:
    """A server of TLS 1.3 sends them when it likes: before the first reply, or with it."""
    for tickets, apart in ((1, True), (2, False), (20, True)):
        upstream = secured_upstream(play, Contexts(certificates, "1.3", tickets=tickets))
        client = play.client()
        sent = upstream.outgoing.read()
        assert len(sent) > 200 * tickets
        upstream.raw(sent)
        if apart:
            play.run()
        client.send(b"get a\r\n")
        play.run()
        upstream.ask(b"get a\r\n")
        upstream.send(b"END\r\n")
        play.run()
        assert client.receive() == b"END\r\n"
        assert not upstream.lost
        client.close()
        upstream.close()
        play.run()


@pytest.mark.parametrize("tickets", [0, 2])
def test_bytes_that_came_with_the_end_of_the_handshake(play: Play, certificates: Certificates, tickets: int) -> None:
    """The TLS layer holds them, and no event will tell of them: tickets are taken, anything else is a surprise."""
    contexts = Contexts(certificates, "1.3", tickets=tickets)
    upstream = secured_upstream(play, contexts, behind_handshake=b"END\r\n")
    assert not upstream.lost
    play.run()
    assert upstream.lost == ["out of step: bytes that answer no request"]
    only_tickets = secured_upstream(play, contexts)
    upstream.close()
    client = play.client()
    only_tickets.raw(only_tickets.outgoing.read())
    client.send(b"mn\r\n")
    play.run()
    only_tickets.send(b"MN\r\n")
    play.run()
    assert client.receive() == b"MN\r\n"


def test_a_link_that_is_closed_before_its_first_look(play: Play, modern: Contexts) -> None:
    upstream = secured_upstream(play, modern, behind_handshake=b"END\r\n")
    upstream.link.close("for a reason")
    play.run()
    assert upstream.lost == ["for a reason"]


def test_key_updates_are_answered_on_an_idle_link(play: Play, modern: Contexts) -> None:
    """Not all at once with the next request; OpenSSL keeps the last answer back until there is one."""
    upstream = secured_upstream(play, modern)
    updates = KeyUpdates(upstream.tls, upstream.outgoing)
    answered = 0
    for _ in range(50):
        upstream.raw(updates.take(1))
        play.run()
        assert upstream.link._secured is not None
        assert upstream.link._secured.unsent == 0
        answered += len(upstream.receive_raw())
    assert answered >= 49 * LENGTH
    assert play.relay.traffic.upstream_sent == 0
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    assert not upstream.lost


def test_key_updates_between_replies(play: Play, modern: Contexts) -> None:
    """They cost nothing but their answers, however many there are in a link's life."""
    upstream = secured_upstream(play, modern)
    updates = KeyUpdates(upstream.tls, upstream.outgoing)
    client = play.client()
    for number in range(3000):
        client.send(b"get a\r\n")
        play.run()
        upstream.ask(b"get a\r\n")
        reply = value_block(b"a", 5) + b"END\r\n"
        if number % 2:
            upstream.raw(upstream.seal(reply[:7]) + updates.take(1) + upstream.seal(reply[7:]))
        else:
            upstream.raw(updates.take(1) + upstream.seal(reply))
        play.run()
        assert client.receive() == reply
        upstream.ask(b"")


def test_key_updates_without_end(play: Play, modern: Contexts) -> None:
    """They carry no data: the link is dropped, and who waits on it is told."""
    upstream = secured_upstream(play, modern)
    updates = KeyUpdates(upstream.tls, upstream.outgoing)
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    for _ in range(200):
        if upstream.lost:
            break
        upstream.raw(updates.take(10))
        play.run()
        upstream.receive_raw()
    assert upstream.lost == ["upstream sends TLS messages that carry no data"]
    assert client.receive() == b"SERVER_ERROR upstream connection lost\r\n"


def test_key_updates_do_not_hide_a_missing_reply(play: Play, modern: Contexts) -> None:
    upstream = secured_upstream(play, modern)
    updates = KeyUpdates(upstream.tls, upstream.outgoing)
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    upstream.raw(updates.take(1))
    play.sweep(TIMEOUT + 0.1)
    assert client.receive() == b"SERVER_ERROR upstream timed out\r\n"


def test_answers_that_upstream_does_not_take_are_bounded(play: Play, modern: Contexts) -> None:
    """It takes nothing and sends data and key updates by turns, so that no bound on messages without data is met."""
    upstream = secured_upstream(play, modern, send_buffer=4096)
    updates = KeyUpdates(upstream.tls, upstream.outgoing)
    client = play.client()
    client.send(b"get big\r\n")
    play.run()
    upstream.ask(b"get big\r\n")
    client.push(b"set k 0 0 900000\r\n" + b"v" * 900_000 + b"\r\n")
    for _ in range(50):
        play.run()
        client.push()
    upstream.send(b"VALUE big 0 %d\r\n" % MEGABYTE)
    for _ in range(400):
        upstream.raw(updates.take(1) + upstream.seal(b"x" * 100))
        play.run()
        client.receive()
    assert upstream.link._secured is not None
    assert upstream.link._secured.unsent > 4096
    play.relay.sweep(play.relay.now)
    play.run()
    assert upstream.lost == ["upstream sends TLS messages that carry no data"]
