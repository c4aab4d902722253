"""Slow readers, slow writers and slow upstreams: memory stays bounded, and others are served meanwhile (R5)."""

import socket

import pytest

from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.link import UNSENT_LIMIT
from mcproxy.relay.session import FIRST_WINDOW
from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import LIMITS, MANY_TURNS, STALL, Client, Play, Store, reset, tcp_pair, value_block

MEGABYTE = 1_000_000
BIG = {b"big%d" % number: MEGABYTE for number in range(1000)}
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
        heard += len(client.receive(100_000))
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


def test_an_upstream_that_does_not_read_stops_those_who_write(play: Play) -> None:
    upstream = play.upstream(send_buffer=4096)
    writer = play.client()
    frame = b"set k 0 0 100000\r\n" + b"v" * 100_000 + b"\r\n"
    writer.push(frame * 100)
    for _ in range(200):
        play.run()
        writer.push()
    assert writer.unsent, "the proxy never stopped reading"
    assert upstream.link.unsent <= UNSENT_LIMIT + 2 * len(frame)
    # It goes on when upstream reads, and everything arrives once and in order.
    came = b""
    stored = 0
    while True:
        data = upstream.receive()
        came += data
        upstream.send(b"STORED\r\n" * (len(came) // len(frame) - stored))
        stored = len(came) // len(frame)
        writer.push()
        play.run()
        if not data and play.quiet():
            break
    assert came == frame * 100
    assert writer.receive() == b"STORED\r\n" * 100


def test_the_link_bounds_what_new_sessions_add_too(play: Play) -> None:
    """Each of many clients writes one large value to an upstream that does not read."""
    upstream = play.upstream(send_buffer=4096)
    frame = b"set k 0 0 200000\r\n" + b"v" * 200_000 + b"\r\n"
    writers = [play.client() for _ in range(60)]
    for writer in writers:
        writer.push(frame)
    for _ in range(10):
        play.run()
        for writer in writers:
            writer.push()
    kept = upstream.link.unsent + play.relay.held
    assert upstream.link.unsent <= UNSENT_LIMIT + 2 * len(frame), f"{kept} bytes for {len(writers)} clients"


def test_values_in_flight_are_not_kept_once_they_were_sent(play: Play) -> None:
    """An upstream that reads and does not answer: what it has read needs no place in memory any more."""
    upstream = play.upstream()
    client = play.client()
    frame = b"set k 0 0 100000\r\n" + b"v" * 100_000 + b"\r\n"
    client.push(frame * 30)
    for _ in range(200):
        play.run()
        upstream.receive()
        client.push()
    assert not client.unsent
    assert len(upstream.link.waiting) == 30
    kept = sum(len(request.upstream) for request in upstream.link.waiting)
    assert kept < 10 * len(frame), f"{kept} bytes that nobody accounts for"


def test_a_session_waits_for_a_stalled_link_and_is_told_of_its_end(play: Play) -> None:
    upstream = play.upstream(send_buffer=4096)
    writer = play.client()
    frame = b"set k 0 0 100000\r\n" + b"v" * 100_000 + b"\r\n"
    writer.push(frame * 40)
    for _ in range(100):
        play.run()
        writer.push()
    assert writer.unsent
    upstream.close()
    lost = b""
    for _ in range(100):
        play.run()
        writer.push()
        lost += writer.receive()
    assert not writer.unsent
    assert lost.count(b"SERVER_ERROR ") == 40
    assert play.end(writer) is None


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


def _age(client: Client, seconds: float, *, stalled: bool = True) -> None:
    """What the session remembers happened so much longer ago."""
    client.session._active -= seconds
    if stalled:
        client.session._stalled_since -= seconds


def test_the_kernel_buffer_of_a_socket_pair_is_smaller_than_what_these_tests_send() -> None:
    """What they say about partial writes holds only then."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.setblocking(False)
        assert mine.send(b"x" * (4 << 20)) < 2 << 20
