"""What goes wrong on a link over TLS: whoever waits is told so, and nothing doubtful is delivered (R3, R4)."""

import pytest

from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.packets import packet
from tests.unit.relay.harness import Play, value_block
from tests.unit.relay.secured_upstream import Contexts, SecuredUpstream, secured_upstream

LOST = b"SERVER_ERROR upstream connection lost\r\n"
CLOSED = "upstream closed the connection"
HIT = value_block(b"a", 20) + b"END\r\n"
FORGED = b"\x17\x03\x03\x00\x20" + b"STORED\r\n".ljust(32)


@pytest.fixture(params=["1.2", "1.3"])
def contexts(request: pytest.FixtureRequest, certificates: Certificates) -> Contexts:
    return Contexts(certificates, request.param)


@pytest.fixture
def upstream(play: Play, contexts: Contexts) -> SecuredUpstream:
    return secured_upstream(play, contexts)


GARBAGE = {
    "a record that is not authentic": FORGED,
    "plain text": b"VALUE a 0 1\r\nx\r\nEND\r\n",
    "zeros": b"\0" * 64,
    "a record that is too long": b"\x17\x03\x03\xff\xff" + b"x" * 100,
    "an alert that is not authentic": b"\x15\x03\x03\x00\x02\x01\x00",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_drops_the_link(play: Play, upstream: SecuredUpstream, name: str) -> None:
    client, behind = play.client(), play.client()
    client.send(b"gets a\r\n")
    play.run()
    behind.send(b"incr n 1\r\nset a 0 0 1\r\nx\r\n")
    play.run()
    upstream.raw(GARBAGE[name])
    play.run()
    assert upstream.link.closed
    [reason] = upstream.lost
    assert reason.startswith("upstream's TLS: ")
    assert reason.isprintable()
    assert (client.receive(), behind.receive()) == (LOST, LOST * 2)
    assert not client.ended
    following = play.upstream()
    client.send(b"get a\r\n")
    play.run()
    following.ask(b"get a\r\n")


def test_a_record_that_was_changed(play: Play, contexts: Contexts) -> None:
    """Whichever of its bytes it was."""
    client = play.client()
    for index in range(60):
        upstream = secured_upstream(play, contexts)
        client.send(b"get a\r\n")
        play.run()
        record = bytearray(upstream.seal(HIT))
        if index == len(record):
            break
        record[index] ^= 1
        upstream.raw(bytes(record) + upstream.seal(b""))
        play.run()
        upstream.close()
        play.run()
        assert client.receive() == LOST, index
        assert len(upstream.lost) == 1


def test_a_record_twice(play: Play, upstream: SecuredUpstream) -> None:
    client = play.client()
    client.send(b"get a\r\nget a\r\n")
    play.run()
    record = upstream.seal(HIT)
    upstream.raw(record + record)
    play.run()
    assert client.receive() == LOST * 2, "neither is believed: they came in one receive"
    assert upstream.link.closed


def test_what_came_before_garbage_was_believed(play: Play, upstream: SecuredUpstream) -> None:
    """Where it came in an earlier receive: it was authentic, and whole."""
    client = play.client()
    client.send(b"gets a\r\nget b\r\n")
    play.run()
    reply = b"VALUE a 0 1 7\r\nx\r\nEND\r\n"
    upstream.send(reply)
    play.run()
    assert client.receive() == reply
    upstream.raw(FORGED)
    play.run()
    assert client.receive() == LOST


def test_upstream_dies_at_every_byte_of_its_ciphertext(play: Play, contexts: Contexts) -> None:
    """Case 46. Without its goodbye it is an end as any other: nothing that was cut off is delivered."""
    client = play.client()
    for length in range(1000):
        upstream = secured_upstream(play, contexts)
        client.send(b"get a\r\nincr n 1\r\n")
        play.run()
        upstream.ask(b"get a\r\nincr n 1\r\n")
        record = upstream.seal(HIT)
        data = record + upstream.seal(b"12\r\n")
        if length == len(data):
            break
        upstream.raw(data[:length])
        play.run()
        upstream.close()
        play.run()
        assert client.receive() == (LOST * 2 if length < len(record) else HIT + LOST), length
        assert upstream.lost == [CLOSED]
    upstream.raw(data)
    play.run()
    assert client.receive() == HIT + b"12\r\n"


@pytest.mark.parametrize("together", [True, False])
def test_a_goodbye_in_the_middle_of_a_reply(play: Play, upstream: SecuredUpstream, together: bool) -> None:
    """Whole replies before it are delivered; the rest is lost, though the socket stays open."""
    client = play.client()
    client.send(b"gets a\r\nincr n 1\r\n")
    play.run()
    reply = b"VALUE a 0 1 7\r\nx\r\nEND\r\n"
    upstream.raw(upstream.seal(reply + b"12"))
    if not together:
        play.run()
    upstream.raw(upstream.farewell())
    play.run()
    assert client.receive() == reply + LOST
    assert upstream.lost == [CLOSED]
    upstream.receive()
    assert upstream.said_goodbye


def test_a_goodbye_in_the_middle_of_a_large_value(play: Play, upstream: SecuredUpstream) -> None:
    client = play.client()
    client.send(b"get big\r\n")
    play.run()
    upstream.raw(upstream.seal(value_block(b"big", 60_000)[:50_000]) + upstream.farewell())
    play.run()
    client.receive()
    assert client.ended
    assert play.end(client) == "upstream ended within a reply"


def test_a_goodbye_on_an_idle_link(play: Play, upstream: SecuredUpstream) -> None:
    client = play.client()
    upstream.raw(upstream.farewell())
    play.run()
    assert upstream.lost == [CLOSED]
    assert play.said(client, b"get a\r\n") == b"SERVER_ERROR upstream is unavailable\r\n"


def test_the_link_says_goodbye(play: Play, upstream: SecuredUpstream) -> None:
    upstream.link.close("for a reason")
    assert upstream.receive() == b""
    assert upstream.said_goodbye


def test_a_link_of_its_own_says_goodbye_when_it_is_done(play: Play, contexts: Contexts) -> None:
    client = play.client(data=b"stats\r\n")
    play.run()
    private = secured_upstream(play, contexts, private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"stats\r\n")
    private.send(b"STAT pid 1\r\nEND\r\n")
    play.run()
    assert client.receive() == b"STAT pid 1\r\nEND\r\n"
    assert private.lost == ["done"]
    assert private.receive() == b""
    assert private.said_goodbye


def test_nothing_follows_a_part_of_a_record(play: Play, contexts: Contexts) -> None:
    """A goodbye behind it would be garbage, and a request that is cut off must not look whole."""
    upstream = secured_upstream(play, contexts, send_buffer=4096)
    client = play.client()
    frame = b"set k 0 0 400000\r\n" + b"v" * 400_000 + b"\r\n"
    client.push(frame)
    for _ in range(50):
        play.run()
        client.push()
    assert upstream.link.unsent > 0
    # Now there is room for more, but nothing may come of it.
    came = upstream.receive()
    assert frame.startswith(came)
    assert len(came) < len(frame)
    upstream.link.close("for a reason")
    play.relay.settle()
    assert client.receive() == LOST
    assert upstream.receive_raw() == b""
    assert upstream.ended


def test_an_alert(play: Play, upstream: SecuredUpstream) -> None:
    """What upstream makes of bytes that it can't take for ours."""
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    upstream._incoming.write(FORGED)
    with pytest.raises(OSError, match="BAD_RECORD_MAC"):
        while True:
            upstream.tls.read(4096)
    upstream.raw(upstream.outgoing.read())
    play.run()
    assert client.receive() == LOST
    assert len(upstream.lost) == 1
    assert "alert bad record mac" in upstream.lost[0]


def test_shutdown_over_tls(play: Play, contexts: Contexts) -> None:
    """memcached leaves without a goodbye, which says that it obeyed; bytes that aren't its own say nothing."""
    for garbage in (b"", FORGED):
        client = play.client(data=b"shutdown\r\n")
        play.run()
        private = secured_upstream(play, contexts, private=True)
        play.links.private.pop()(private.link)
        play.run()
        private.ask(b"shutdown\r\n")
        if garbage:
            private.raw(garbage)
            play.run()
        private.close()
        play.run()
        assert client.receive() == (LOST if garbage else b"")
        assert client.ended is not bool(garbage)


def test_a_surprise_is_one_over_tls_too(play: Play, upstream: SecuredUpstream) -> None:
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    upstream.send(value_block(b"b", 3) + b"END\r\n")
    play.run()
    assert client.receive() == LOST
    assert upstream.lost == ["out of step: a value under a key that was not asked for"]


@pytest.mark.parametrize("secured", [False, True])
def test_upstream_asks_for_a_login(play: Play, contexts: Contexts, secured: bool) -> None:
    """Case 26: only another link can be logged in anew, and what was sent on this one is not sent again."""
    upstream = secured_upstream(play, contexts, binary=True) if secured else play.upstream(binary=True)
    other = play.upstream(binary=True)
    client = play.client(binary=True)
    client.send(packets.store(packets.SET, b"a", b"x", opaque=7) + packet(packets.GETQ, b"b", opaque=8))
    play.run()
    upstream.receive()
    upstream.send(packets.HEADER.pack(0x81, packets.SET, 0, 0, 0, 0x20, 13, 1, 0) + b"Auth failure.")
    play.run()
    assert upstream.lost == ["upstream asks for a login"]
    assert [(answer.opaque, answer.status) for answer in client.responses()] == [
        (7, packets.UNAVAILABLE),
        (8, packets.UNAVAILABLE),
    ]
    other.ask(b"")
    client.send(packet(packets.GET, b"c", opaque=9))
    play.run()
    other.ask(packet(packets.GET, b"c", opaque=1))
