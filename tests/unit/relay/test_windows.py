"""Slow readers and large values: memory stays bounded, and others are served meanwhile (R5)."""

import socket

import pytest

from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.session import FIRST_WINDOW
from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import (
    BIG,
    LIMITS,
    MANY_TURNS,
    MEGABYTE,
    STALL,
    Client,
    Play,
    Store,
    tcp_pair,
    value_block,
)

MEDIUM = {b"medium%d" % number: 16_000 for number in range(500)}


def test_a_slow_reader_of_a_thousand_large_values(play: Play) -> None:
    """Case 51: bounded from the first value on, and closed after the time for stalling."""
    upstream = play.upstream()
    store = Store(upstream, BIG | {b"small": 3})
    slow, other = play.client(), play.client()
    slow.push(b"".join(b"get %s\r\n" % key for key in BIG))
    bound = (FIRST_WINDOW + 1) * MEGABYTE
    most = 0
    while store.serve() or not play.quiet():
        play.run()
        most = max(most, play.relay.held)
    assert most < bound, f"{most} bytes were kept for one client"
    assert len(store.asked) <= FIRST_WINDOW
    assert not upstream.unsent, "the shared link is always read"

    # Others are served meanwhile, over the same link.
    for _ in range(20):
        other.send(b"get small\r\n")
        play.run()
        store.serve()
        play.run()
        assert other.receive() == value_block(b"small", 3) + b"END\r\n"

    play.sweep(STALL - 1)
    assert play.end(slow) is None
    play.sweep(STALL + 1)
    assert play.end(slow) == "takes no replies"
    assert play.end(other) is None
    assert play.relay.held == 0


def test_a_slow_reader_that_reads_a_little_is_asked_for_a_little(play: Play) -> None:
    """Once its values are known to be large, no more of them are in flight than its buffer holds."""
    upstream = play.upstream()
    store = Store(upstream, BIG)
    slow = play.client()
    slow.push(b"".join(b"get %s\r\n" % key for key in BIG))
    read = 0
    most = 0
    # The first window was asked for before anything was known.
    while read < (FIRST_WINDOW + 2) * MEGABYTE:
        play.run()
        store.serve()
        read += len(slow.receive(100_000))
    for _ in range(300):
        play.run()
        store.serve()
        read += len(slow.receive(100_000))
        most = max(most, play.relay.held)
    assert most <= LIMITS.buffer + 2 * MEGABYTE, f"{most} bytes were kept"


@pytest.mark.parametrize("one_line", [True, False])
def test_an_honest_reader_gets_a_hundred_large_values(play: Play, one_line: bool) -> None:
    upstream = play.upstream()
    keys = list(BIG)[:100]
    store = Store(upstream, BIG)
    client = play.client()
    asked = b"get " + b" ".join(keys) + b"\r\n" if one_line else b"".join(b"get %s\r\n" % key for key in keys)
    client.send(asked)
    ends = 1 if one_line else len(keys)
    wanted = sum(len(value_block(key, MEGABYTE)) for key in keys) + 5 * ends
    heard: list[bytes] = []
    size = 0
    for _ in range(100_000):
        play.run()
        store.serve()
        data = client.receive(1 << 20)
        heard.append(data)
        size += len(data)
        if size >= wanted:
            break
    play.run()
    assert size == wanted
    stream = b"".join(heard)
    position = 0
    for key in keys:
        block = value_block(key, MEGABYTE) + (b"" if one_line else b"END\r\n")
        assert stream.startswith(block, position), key
        position += len(block)
    assert stream[position:] == (b"END\r\n" if one_line else b"")
    assert store.asked == keys


def test_a_flood_of_large_values_after_small_ones_ends_only_who_asked_for_it(small_play: Play) -> None:
    """A client whose window grew with small values asks for large ones, and reads nothing."""
    play = small_play
    store, client, other = _warmed_up(play)
    client.push(b"".join(b"get %s\r\n" % key for key in MEDIUM))
    while store.serve() or not play.quiet():
        play.run()
        assert play.relay.held <= play.total_buffer + (1 << 20)
    assert play.end(client) in (None, "total_buffer exceeded")
    other.send(b"get small\r\n")
    play.run()
    store.serve()
    play.run()
    assert other.receive() == value_block(b"small", 3) + b"END\r\n"


def test_an_honest_reader_gets_large_values_after_small_ones_too(small_play: Play) -> None:
    """As a pooled connection is used. It reads all the time, only slower than upstream can send."""
    play = small_play
    store, client, _ = _warmed_up(play)
    client.send(b"get " + b" ".join(MEDIUM) + b"\r\n")
    wanted = sum(len(value_block(key, size)) for key, size in MEDIUM.items()) + 5
    heard = 0
    for _ in range(10_000):
        play.run()
        store.serve()
        heard += len(client.receive(300_000))
        if heard >= wanted or play.end(client) is not None:
            break
    assert play.end(client) is None, f"cut off after {heard} of {wanted} bytes: {play.end(client)}"
    assert heard == wanted


def _warmed_up(play: Play) -> tuple[Store, Client, Client]:
    """Limits of the usual proportions, 64 times smaller. The client has asked for many small values."""
    limits = SessionLimits(pipeline=1000, buffer=32 << 10, stall_timeout=STALL)
    store = Store(play.upstream(), MEDIUM | {b"small": 3})
    client, other = play.client(limits=limits), play.client(limits=limits)
    for _ in range(20):
        client.send(b"get small\r\n" * 1000)
        while store.serve() or not play.quiet():
            play.run()
            client.receive()
    return store, client, other


def test_an_endless_pipeline_that_nobody_reads_is_not_read_either(play: Play) -> None:
    """Case 52."""
    upstream = play.upstream()
    store = Store(upstream, {b"key": 1000})
    client = play.client()
    sent = 0
    for _ in range(200):
        client.push(b"get key\r\n" * 1000 if len(client.unsent) < 1000 else b"")
        sent = len(store.asked)
        while store.serve() or not play.quiet():
            play.run()
        if client.unsent and len(store.asked) == sent:
            break
    else:
        pytest.fail("the proxy never stopped reading")
    assert play.relay.held <= LIMITS.buffer + 1000 * 1100 + (64 << 10)
    receives = client.proxy_side.receives  # type: ignore[attr-defined]
    for _ in range(10):
        client.push()
        play.run()
    assert client.proxy_side.receives == receives  # type: ignore[attr-defined]
    # It goes on as soon as the client reads.
    heard = 0
    for _ in range(MANY_TURNS):
        client.push()
        play.run()
        store.serve()
        heard += len(client.receive())
        if not client.unsent and play.quiet() and not store.serve():
            break
    block = len(value_block(b"key", 1000) + b"END\r\n")
    assert heard == len(store.asked) * block


@pytest.mark.parametrize("asked", [b"bogus\r\n", b"\r\n", b"get x\r\n"])
def test_an_endless_pipeline_of_refusals_is_not_read_either(play: Play, asked: bytes) -> None:
    """Own replies need no upstream, and take memory all the same. (Without a link, a get is refused as well.)"""
    limits = SessionLimits(pipeline=1000, buffer=100_000, stall_timeout=STALL)
    client = play.client(limits=limits)
    block = asked * (60_000 // len(asked))
    for _ in range(300):
        if not client.unsent:
            client.push(block)
        client.push()
        play.run()
        assert play.relay.held < 300_000
        if client.unsent and client.session.held > limits.buffer:
            break
    else:
        pytest.fail("the proxy never stopped reading")


def test_whoever_keeps_most_is_closed_when_all_together_keep_too_much(small_play: Play) -> None:
    """Values may be larger than limits.value says, where somebody else stored them: the window can't prevent that."""
    play = small_play
    play.relay._largest_value = 1000
    play.relay.most_in_flight = 2000
    store = Store(play.upstream(), BIG | {b"medium": 100_000})
    modest, greedy = play.client(), play.client()
    modest.send(b"get medium\r\n" * 8)
    while store.serve() or not play.quiet():
        play.run()
    modest_holds = play.relay.held
    assert modest_holds > 300_000
    greedy.send(b"".join(b"get big%d\r\n" % number for number in range(10)))
    while store.serve() or not play.quiet():
        play.run()
        assert play.relay.held <= play.total_buffer + (1 << 20)
    assert play.end(greedy) == "total_buffer exceeded"
    assert play.end(modest) is None
    assert modest.receive() != b""


def test_input_counts_towards_the_total_too(small_play: Play) -> None:
    play = small_play
    writers = [play.client() for _ in range(9)]
    for writer in writers:
        writer.send(b"set k 0 0 1000000\r\n")
        for _ in range(5):
            writer.send(b"v" * 100_000)
            play.run()
        assert play.relay.held <= play.total_buffer
    assert sum(play.end(writer) == "total_buffer exceeded" for writer in writers) == 1


@pytest.mark.parametrize("take", [1, 10, 1000])
def test_pipelines_larger_than_the_window_arrive_whole_and_in_order(play: Play, take: int) -> None:
    upstream = play.upstream()
    client = play.client(limits=SessionLimits(pipeline=take))
    numbers = range(700)
    client.send(b"".join(b"incr k%d 1\r\n" % number for number in numbers))
    came = b""
    most = 0
    while True:
        play.run()
        data = upstream.receive()
        if not data:
            break
        most = max(most, data.count(b"\n"))
        came += data
        upstream.send(b"".join(line.split()[1][1:] + b"\r\n" for line in data.splitlines()))
    assert most <= take
    assert came == b"".join(b"incr k%d 1\r\n" % number for number in numbers)
    heard = client.receive()
    # The kernel counts small replies by the buffers that they take, so they don't all fit at once.
    while not play.quiet():
        play.run()
        heard += client.receive()
    assert heard == b"".join(b"%d\r\n" % number for number in numbers)


def test_many_quiet_gets_then_noop(play: Play) -> None:
    """Case 24, with 20,000 of them."""
    upstream = play.upstream(binary=True)
    client = play.client(binary=True)
    client.push(packet(packets.GETQ, b"miss") * 20_000 + packet(packets.NOOP, opaque=99))
    partial = b""
    for _ in range(MANY_TURNS):
        play.run()
        client.push()
        assert play.relay.held < 1 << 20
        partial += upstream.receive()
        replies = []
        position = 0
        while position + 24 <= len(partial):
            _, opcode, _keylen, _, _, _, body, opaque, _ = packets.HEADER.unpack_from(partial, position)
            if position + 24 + body > len(partial):
                break
            position += 24 + body
            miss = opcode == packets.GET
            text = b"Not found" if miss else b""
            replies.append(packets.HEADER.pack(0x81, opcode, 0, 0, 0, int(miss), len(text), opaque, 0) + text)
        partial = partial[position:]
        upstream.push(b"".join(replies))
        if not replies and play.quiet() and not upstream.unsent:
            break
    answers = client.responses()
    assert [(answer.opcode, answer.opaque) for answer in answers] == [(packets.NOOP, 99)]


def test_the_kernel_buffer_of_a_socket_pair_is_smaller_than_what_these_tests_send() -> None:
    """What they say about partial writes holds only then."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.setblocking(False)
        assert mine.send(b"x" * (4 << 20)) < 2 << 20


def test_a_client_that_reads_slowly_but_steadily_is_not_stalled(play: Play) -> None:
    """Its socket is writable again only once a large part of what the kernel holds for it is gone."""
    upstream = play.upstream()
    store = Store(upstream, BIG)
    mine, theirs = tcp_pair()
    # What its own kernel holds for it is not seen from here.
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client = play.client(pair=(mine, theirs))
    client.push(b"".join(b"get %s\r\n" % key for key in list(BIG)[:12]))
    while store.serve() or not play.quiet():
        play.run()
    assert play.relay.held, "the kernel took it all"
    heard = 0
    for _ in range(10):
        heard += len(client.receive(300_000))
        play.sweep(STALL * 0.9)
        assert play.end(client) is None, f"closed after it had read {heard} bytes"
    play.sweep(STALL * 0.9)
    play.sweep(STALL * 0.9)
    assert play.end(client) == "takes no replies"


def test_a_client_that_reads_next_to_nothing_is_not_spared_for_it(play: Play) -> None:
    """Neither for ever, nor when memory runs out: it is still who has kept most for longest."""
    upstream = play.upstream()
    store = Store(upstream, BIG)
    mine, theirs = tcp_pair()
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
    client = play.client(pair=(mine, theirs))
    client.push(b"".join(b"get %s\r\n" % key for key in list(BIG)[:12]))
    while store.serve() or not play.quiet():
        play.run()
    since = client.session.stalled_since
    for _ in range(20):
        client.receive(3000)
        play.sweep(STALL * 0.9)
        assert client.session.stalled_since == since
    assert play.end(client) == "takes no replies"
