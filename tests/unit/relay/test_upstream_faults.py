"""What an upstream can do wrong, and that nothing doubtful reaches a client (R3, R4)."""

from typing import Any

import pytest

from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import TIMEOUT, Play, value_block

LOST = b"SERVER_ERROR upstream connection lost\r\n"
TIMED_OUT = b"SERVER_ERROR upstream timed out\r\n"
UNAVAILABLE = b"SERVER_ERROR upstream is unavailable\r\n"
LARGE = value_block(b"big", 20_000) + b"END\r\n"
# Around the header, the start and the end of the value.
LARGE_CUTS = [*range(0, 40), 10_000, 16_384, *range(len(LARGE) - 12, len(LARGE))]

CONVERSATIONS = {
    "get": (b"get a\r\n", b"VALUE a 0 5\r\nEND\r\n\r\nEND\r\n"),
    "a multi-get": (b"get a b c\r\n", b"VALUE a 0 1\r\nx\r\nVALUE c 0 1\r\nz\r\nEND\r\n"),
    "pipelined gets": (b"gets a\r\ngets b\r\n", b"VALUE a 0 1 7\r\nx\r\nEND\r\nVALUE b 0 1 8\r\ny\r\nEND\r\n"),
    "gets": (b"gets a\r\n", b"VALUE a 0 4 123456\r\nGET \r\nEND\r\n"),
    "gat": (b"gat 10 a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n"),
    "set": (b"set a 0 0 1\r\nx\r\n", b"STORED\r\n"),
    "cas": (b"cas a 0 0 1 5\r\nx\r\n", b"EXISTS\r\n"),
    "incr": (b"incr a 1\r\n", b"12345\r\n"),
    "delete": (b"delete a\r\n", b"DELETED\r\n"),
    "touch": (b"touch a 0\r\n", b"TOUCHED\r\n"),
    "a miss": (b"get a\r\n", b"END\r\n"),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_upstream_dies_at_every_byte_of_a_reply(play: Play, name: str) -> None:
    """Case 46: whole replies, then SERVER_ERROR or the end; never a cut-short hit, never a made-up miss."""
    asked, reply = CONVERSATIONS[name]
    commands = asked.count(b"\r\n") - (1 if name in ("set", "cas") else 0)
    for length in range(len(reply)):
        upstream = play.upstream()
        client = play.client()
        client.send(asked)
        play.run()
        upstream.ask(asked)
        upstream.send(reply[:length])
        play.run()
        upstream.close()
        play.run()
        heard = client.receive()
        assert heard.endswith(LOST), (length, heard)
        assert not client.ended
        whole = heard[: heard.index(b"SERVER_ERROR")]
        assert reply.startswith(whole), (length, heard)
        assert len(whole) <= length
        # No value is begun that does not end, and each command has one end of its own: END or the error.
        assert whole == b"" or whole.endswith(b"\r\n")
        if name != "get":  # its value holds the word
            assert whole.count(b"END\r\n") + heard.count(b"SERVER_ERROR") == commands, (length, heard)
        assert upstream.lost == ["upstream closed the connection"]
        # The session lives on, over another link.
        following = play.upstream()
        client.send(b"mn\r\n")
        play.run()
        following.ask(b"mn\r\n")
        following.send(b"MN\r\n")
        play.run()
        assert client.receive() == b"MN\r\n"
        client.close()
        play.run()
        following.close()
        play.run()


@pytest.mark.parametrize("length", LARGE_CUTS)
def test_upstream_dies_within_a_large_value(play: Play, length: int) -> None:
    """A value that is passed on as it comes: once its beginning is out, only the connection's end tells the truth."""
    upstream = play.upstream()
    client, behind = play.client(), play.client()
    client.send(b"get big\r\n")
    play.run()
    behind.send(b"get other\r\n")
    play.run()
    upstream.send(LARGE[:length])
    play.run()
    upstream.close()
    play.run()
    heard = client.receive()
    if client.ended:
        assert LARGE.startswith(heard)
        assert len(heard) < len(LARGE) - 5, "a whole value needs no closing"
        assert play.end(client) == "upstream ended within a reply"
    else:
        assert heard.endswith(LOST)
        whole = heard[: -len(LOST)]
        assert whole in (b"", LARGE[:-5])
    assert behind.receive() == LOST
    assert not behind.ended


def test_upstream_dies_at_every_byte_of_a_reply_to_many(play: Play) -> None:
    """Case 46 for gets that went up together: to each the whole value or SERVER_ERROR, and never a miss."""
    blocks = [value_block(b"k%d" % number, 3) for number in range(3)]
    reply = b"".join(blocks) + b"END\r\n"
    lost = b"SERVER_ERROR upstream connection lost\r\n"
    for length in range(len(reply)):
        upstream = play.upstream()
        clients = [play.client() for _ in blocks]
        for number, client in enumerate(clients):
            client.send(b"get k%d\r\n" % number)
        play.run()
        upstream.ask(b"get k0 k1 k2\r\n")
        upstream.send(reply[:length])
        play.run()
        upstream.close()
        play.run()
        received = [client.receive() for client in clients]
        for block, got in zip(blocks, received, strict=True):
            assert got in (block + b"END\r\n", lost), length
        assert received[-1] == lost, length
        for client in clients:
            client.send(b"quit\r\n")
        play.run()


def test_upstream_dies_at_every_byte_of_binary_replies(play: Play) -> None:
    replies = [
        _reply(packets.GETK, 1, key=b"a", value=b"value", extras=b"\0\0\0\0"),
        _reply(packets.SET, 2),
        _reply(packets.INCR, 3, value=b"\0" * 8),
        _reply(packets.GET, 4, status=1, value=b"Not found"),
    ]
    stream = b"".join(replies)
    ends = [sum(map(len, replies[: number + 1])) for number in range(len(replies))]
    asked = (
        packet(packets.GETK, b"a", opaque=11)
        + packets.store(packets.SET, b"a", b"x", opaque=12)
        + packets.arithmetic(packets.INCR, b"n", 1, opaque=13)
        + packet(packets.GETQ, b"b", opaque=14)
        + packet(packets.NOOP, opaque=15)
    )
    for length in range(len(stream)):
        upstream = play.upstream(binary=True)
        client = play.client(binary=True)
        client.send(asked)
        play.run()
        upstream.send(stream[:length])
        play.run()
        upstream.close()
        play.run()
        answers = client.responses()
        whole = sum(end <= length for end in ends)
        assert [answer.opaque for answer in answers] == [11, 12, 13, 14, 15]
        assert [answer.status for answer in answers] == [0] * whole + [packets.UNAVAILABLE] * (5 - whole), length
        client.close()
        play.run()


def test_upstream_dies_within_a_large_binary_value(play: Play) -> None:
    upstream = play.upstream(binary=True)
    client = play.client(binary=True)
    client.send(packet(packets.GET, b"a"))
    play.run()
    reply = _reply(packets.GET, 1, value=b"v" * 50_000, extras=b"\0" * 4)
    upstream.send(reply[:40_000])
    play.run()
    upstream.close()
    play.run()
    assert len(client.receive()) < len(reply)
    assert client.ended


SURPRISES = {
    "another key": (b"get a\r\n", b"VALUE b 0 1\r\nx\r\nEND\r\n"),
    "a key that begins the same": (b"get a\r\n", b"VALUE ab 0 1\r\nx\r\nEND\r\n"),
    "a beginning of the key": (b"get ab\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n"),
    "the keys in another order": (b"get a b\r\n", b"VALUE b 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
    "a key twice": (b"get a b\r\n", b"VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"),
    "the next line's key": (b"gets a\r\ngets b\r\n", b"VALUE b 0 1 7\r\nx\r\nEND\r\nEND\r\n"),
    "a longer value": (b"get a\r\n", b"VALUE a 0 1\r\nxx\r\nEND\r\n"),
    "a cas that was not asked for": (b"get a\r\n", b"VALUE a 0 1 7\r\nx\r\nEND\r\n"),
    "no cas": (b"gets a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n"),
    "no END": (b"get a\r\n", b"VALUE a 0 1\r\nx\r\nSTORED\r\n"),
    "another verb's reply": (b"set a 0 0 1\r\nx\r\n", b"DELETED\r\n"),
    "a value for a set": (b"set a 0 0 1\r\nx\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n"),
    "ERROR": (b"get a\r\n", b"ERROR\r\n"),
    "too many connections": (b"get a\r\n", b"ERROR Too many open connections\r\n"),
    "a bare line feed": (b"set a 0 0 1\r\nx\r\n", b"STORED\n"),
    "a number with a sign": (b"incr a 1\r\n", b"-1\r\n"),
    "a line without an end": (b"set a 0 0 1\r\nx\r\n", b"S" * 3000),
    "one reply too many": (b"mn\r\n", b"MN\r\nMN\r\n"),
}


@pytest.mark.parametrize("name", SURPRISES)
def test_a_reply_that_cannot_be_drops_the_link(play: Play, name: str) -> None:
    """Cases 27 and 48: everybody who waits is told so, and what upstream says afterwards is not listened to."""
    asked, reply = SURPRISES[name]
    upstream = play.upstream()
    client, behind = play.client(), play.client()
    client.send(asked)
    play.run()
    behind.send(b"get z\r\nset z 0 0 1\r\nz\r\n")
    play.run()
    upstream.send(reply + b"STORED\r\nEND\r\nSTORED\r\nEND\r\n")
    play.run()
    assert upstream.link.closed
    assert len(upstream.lost) == 1
    assert upstream.lost[0].startswith("out of step")
    heard = client.receive()
    if name == "one reply too many":
        assert heard == b"MN\r\n"
    else:
        assert heard.count(LOST) == asked.count(b"get") + asked.count(b"set ") + asked.count(b"incr")
        assert heard.endswith(LOST)
    assert behind.receive() == LOST * 2
    assert not client.ended
    assert not behind.ended


def test_nothing_doubtful_is_delivered_before_the_surprise_is_seen(play: Play) -> None:
    """A foreign value never goes out, whatever its size and however it is cut up."""
    for size in (1, 20_000):
        reply = value_block(b"b", size) + b"END\r\n"
        for cut in [*range(1, 30), len(reply) - 1]:
            upstream = play.upstream()
            client = play.client()
            client.send(b"get a\r\n")
            play.run()
            for part in (reply[:cut], reply[cut:]):
                if not upstream.link.closed:
                    upstream.send(part)
                    play.run()
            assert client.receive() == LOST, (size, cut)
            client.close()
            play.run()


BINARY_SURPRISES: dict[str, dict[str, Any]] = {
    "another opaque": {"opaque": 2},
    "another opcode": {"opcode": packets.GET},
    "another key": {"key": b"b"},
    "no key": {"key": b""},
    "a request": {"magic": 0x80},
    "a status that it cannot have": {"status": packets.AUTH_ERROR},
    "wrong extras": {"extras": b""},
}


@pytest.mark.parametrize("name", BINARY_SURPRISES)
def test_a_binary_reply_that_cannot_be_drops_the_link(play: Play, name: str) -> None:
    upstream = play.upstream(binary=True)
    client = play.client(binary=True)
    client.send(packet(packets.GETK, b"a", opaque=9) + packet(packets.NOOP, opaque=10))
    play.run()
    upstream.receive()
    right: dict[str, Any] = {"opcode": packets.GETK, "opaque": 1, "key": b"a", "value": b"v", "extras": b"\0" * 4}
    upstream.send(_reply(**{**right, **BINARY_SURPRISES[name]}))
    play.run()
    assert upstream.link.closed
    assert [(answer.opaque, answer.status) for answer in client.responses()] == [
        (9, packets.UNAVAILABLE),
        (10, packets.UNAVAILABLE),
    ]


@pytest.mark.parametrize("surprise", [b"END\r\n", b"\0", b"ERROR\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n"])
def test_bytes_on_an_idle_link_drop_it(play: Play, surprise: bytes) -> None:
    upstream = play.upstream()
    client = play.client()
    upstream.send(surprise)
    play.run()
    assert upstream.link.closed
    assert upstream.lost == ["out of step: bytes that answer no request"]
    assert play.said(client, b"get a\r\n") == UNAVAILABLE


def test_bytes_that_came_before_the_request_was_sent_are_not_its_reply(play: Play) -> None:
    """R3: the request is in flight once it was sent. What upstream had said before that is a surprise."""
    upstream = play.upstream()
    client = play.client()
    # The client's event comes first, so its request is submitted before the link is read, and sent after that.
    client.send(b"set a 0 0 1\r\nx\r\n")
    upstream.send(b"STORED\r\n")
    play.run()
    assert client.receive() != b"STORED\r\n", "the reply to a request that upstream has not even seen"
    assert upstream.link.closed


def test_a_mutation_is_never_sent_twice(play: Play) -> None:
    """R4: neither when the link is lost nor when the reply is late, and with another link at hand."""
    first, second = play.upstream(), play.upstream()
    client = play.client()
    client.send(b"incr n 1\r\n")
    play.run()
    first.ask(b"incr n 1\r\n")
    first.close()
    play.run()
    assert client.receive() == LOST
    second.ask(b"")
    client.send(b"incr n 2\r\n")
    play.run()
    second.ask(b"incr n 2\r\n")
    play.sweep(TIMEOUT + 1)
    assert client.receive() == TIMED_OUT
    third = play.upstream()
    play.run()
    third.ask(b"")


def test_upstream_down_is_said_at_once(play: Play) -> None:
    client, binary = play.client(), play.client(binary=True)
    assert play.said(client, b"get a b\r\nset a 0 0 1\r\nx\r\nincr n 1 noreply\r\nget c\r\n") == UNAVAILABLE * 3
    binary.send(packet(packets.GET, b"a", opaque=5) + packets.store(packets.SETQ, b"a", b"x", opaque=6))
    play.run()
    assert [(answer.opaque, answer.status) for answer in binary.responses()] == [
        (5, packets.UNAVAILABLE),
        (6, packets.UNAVAILABLE),
    ]
    upstream = play.upstream()
    client.send(b"get a\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_upstream_lost_with_own_replies_in_the_queue(play: Play) -> None:
    """They don't depend on upstream, and keep their places."""
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\nbogus\r\nset b 0 0 1\r\nx\r\n\r\n")
    play.run()
    upstream.close()
    play.run()
    assert client.receive() == LOST + b"ERROR\r\n" + LOST + b"ERROR\r\n"


def test_a_multi_get_that_was_cut_up_gets_one_error(play: Play) -> None:
    keys = [b"k%d" % number for number in range(90)]
    upstream = play.upstream()
    client = play.client()
    client.send(b"get " + b" ".join(keys) + b"\r\n")
    play.run()
    upstream.send(value_block(b"k0", 3))
    play.run()
    upstream.close()
    play.run()
    heard = client.receive()
    assert heard in (LOST, value_block(b"k0", 3) + LOST)
    assert play.said(client, b"bogus\r\n") == b"ERROR\r\n", "the rest of the multi-get is forgotten"


def test_a_hanging_upstream_times_out(play: Play) -> None:
    upstream = play.upstream()
    client, other = play.client(), play.client()
    client.send(b"get a\r\nset b 0 0 1\r\nx\r\n")
    other.send(b"get c\r\n")
    play.run()
    play.sweep(TIMEOUT * 0.5)
    assert client.receive() == b""
    play.sweep(TIMEOUT * 0.6)
    assert client.receive() == TIMED_OUT * 2
    assert other.receive() == TIMED_OUT
    assert upstream.link.closed
    assert upstream.lost == ["upstream timed out"]


def test_a_late_reply_reaches_nobody(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    play.sweep(TIMEOUT + 0.1)
    assert client.receive() == TIMED_OUT
    following = play.upstream()
    client.send(b"get a\r\n")
    play.run()
    with pytest.raises(BrokenPipeError):
        upstream.send(value_block(b"a", 3) + b"END\r\n")
    play.run()
    assert client.receive() == b""
    following.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_an_idle_link_does_not_time_out(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    play.sweep(1000)
    assert not upstream.link.closed
    client.send(b"get a\r\n")
    play.run()
    play.sweep(TIMEOUT * 0.9)
    assert not upstream.link.closed, "the time counts from the request on"
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_a_surprise_after_a_time_out_of_the_value_closes_the_session(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get big\r\n")
    play.run()
    upstream.send(LARGE[:18_000])
    play.run()
    play.sweep(TIMEOUT + 1)
    assert len(client.receive()) < len(LARGE)
    assert client.ended


def _reply(
    opcode: int,
    opaque: int,
    *,
    status: int = 0,
    key: bytes = b"",
    value: bytes = b"",
    extras: bytes = b"",
    magic: int = 0x81,
) -> bytes:
    body = extras + key + value
    return packets.HEADER.pack(magic, opcode, len(key), len(extras), 0, status, len(body), opaque, 0) + body
