"""A link that is retired takes no more requests, answers those that it has, and ends; its sessions move to another."""

from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.packets import packet
from tests.unit.relay.harness import LIMITS, TIMEOUT, Client, Play, Upstream
from tests.unit.relay.secured_upstream import Contexts, secured_upstream


def retire(play: Play, upstream: Upstream) -> None:
    """As the pool does: out of service first."""
    play.links.links.remove(upstream.link)
    upstream.link.retire()
    play.relay.settle()


def asking(play: Play, asked: bytes, *, binary: bool = False, one_command: bool = False) -> tuple[Upstream, Client]:
    """A link that owes a client the answer to what was asked."""
    old = play.upstream(binary=binary)
    client = play.client(binary=binary, one_command=one_command)
    client.send(asked)
    play.run()
    return old, client


def waiting_behind(
    play: Play, asked: bytes, *, binary: bool = False, one_command: bool = False
) -> tuple[Upstream, Upstream, Client]:
    """The same when that link is retired and another follows it: old, new, client."""
    old, client = asking(play, asked, binary=binary, one_command=one_command)
    new = play.upstream(binary=binary)
    retire(play, old)
    return old, new, client


def answered(play: Play, upstream: Upstream) -> bytes:
    """Let it answer, round after round, that nothing is found and that counters are 3; returns what it was asked."""
    asked = b""
    for _ in range(20):
        came = upstream.receive()
        asked += came
        upstream.send(b"END\r\n" * came.count(b"get ") + b"3\r\n" * came.count(b"incr "))
        play.run()
    return asked


def numbered_keys() -> list[bytes]:
    """More than go up in one line."""
    return [b"k%03d" % number for number in range(250)]


def keys_of(lines: bytes) -> list[bytes]:
    """The keys of retrieval lines."""
    return lines.replace(b"\r\n", b"").replace(b"get ", b" ").split()


def test_an_idle_link_ends_at_once(play: Play) -> None:
    upstream = play.upstream()
    retire(play, upstream)
    assert upstream.lost == ["retired"]
    assert upstream.receive() == b""
    assert upstream.ended


def test_an_idle_link_over_tls_says_goodbye(play: Play, certificates: Certificates) -> None:
    upstream = secured_upstream(play, Contexts(certificates))
    retire(play, upstream)
    assert upstream.lost == ["retired"]
    assert upstream.receive() == b""
    assert upstream.said_goodbye


def test_what_is_in_flight_is_answered(play: Play) -> None:
    old = play.upstream()
    client, other = play.client(), play.client()
    client.send(b"incr n 1\r\ngets a\r\n")
    other.send(b"get b\r\n")
    play.run()
    new = play.upstream()
    retire(play, old)
    assert not old.lost
    old.receive()
    old.send(b"1\r\nEND\r\n")
    play.run()
    assert client.receive() == b"1\r\nEND\r\n"
    assert not old.lost
    old.send(b"END\r\n")
    play.run()
    assert other.receive() == b"END\r\n"
    assert old.lost == ["retired"]
    old.receive()
    assert old.ended
    client.send(b"get c\r\n")
    play.run()
    new.ask(b"get c\r\n")


def test_what_was_submitted_and_not_sent_yet_still_goes_up(play: Play) -> None:
    """It was counted on; that it goes up once is what matters."""
    old = play.upstream(send_buffer=4096)
    client = play.client()
    frame = b"set k 0 0 300000\r\n" + b"v" * 300_000 + b"\r\n"
    client.push(frame)
    for _ in range(20):
        play.run()
        client.push()
    new = play.upstream()
    assert old.link.unsent > 0
    retire(play, old)
    came = b""
    for _ in range(1000):
        play.run()
        came += old.receive()
        if len(came) == len(frame):
            break
    assert came == frame
    old.send(b"STORED\r\n")
    play.run()
    assert client.receive() == b"STORED\r\n"
    assert old.lost == ["retired"]
    new.ask(b"")


def test_a_session_that_never_pauses_moves(play: Play) -> None:
    """It sends its next request before each reply: without a bound it would keep the old link for ever."""
    old, new, client = waiting_behind(play, b"incr a 1\r\n")
    client.send(b"incr b 1\r\nget c\r\n")
    play.run()
    old.ask(b"incr a 1\r\n")
    new.ask(b"")
    client.send(b"incr d 1\r\nbogus\r\n")
    play.run()
    old.ask(b"")
    old.send(b"1\r\n")
    play.run()
    assert old.lost == ["retired"]
    assert client.receive() == b"1\r\n"
    new.ask(b"incr b 1\r\nget c\r\nincr d 1\r\n")
    new.send(b"2\r\nEND\r\n3\r\n")
    play.run()
    assert client.receive() == b"2\r\nEND\r\n3\r\nERROR\r\n"


def test_replies_keep_their_order_while_a_session_moves(play: Play) -> None:
    """However many of those in flight are answered at a time, and with a multi-get that was cut up among them."""
    old, new, client = waiting_behind(play, b"incr a 1\r\nincr b 1\r\n")
    keys = numbered_keys()
    client.send(b"get " + b" ".join(keys) + b"\r\nincr c 1\r\n")
    play.run()
    old.ask(b"incr a 1\r\nincr b 1\r\n")
    old.send(b"1\r\n")
    play.run()
    assert client.receive() == b"1\r\n"
    new.ask(b"")
    old.send(b"2\r\n")
    play.run()
    assert old.lost == ["retired"]
    retrieval, between, last = answered(play, new).partition(b"incr c 1\r\n")
    assert (between, last) == (b"incr c 1\r\n", b"")
    assert keys_of(retrieval) == keys
    assert client.receive() == b"2\r\nEND\r\n3\r\n"


def test_a_cut_retrieval_moves_in_its_middle(play: Play) -> None:
    """Its window held back some of its lines when the link was retired: they go up on the other."""
    old = play.upstream()
    client = play.client()
    keys = numbered_keys()
    client.send(b"get " + b" ".join(keys) + b"\r\n")
    play.run()
    first = old.receive()
    assert first.count(b"k") < 250
    new = play.upstream()
    retire(play, old)
    old.send(b"END\r\n" * first.count(b"\r\n"))
    play.run()
    asked = first + answered(play, new)
    assert old.lost == ["retired"]
    assert keys_of(asked) == keys
    assert client.receive() == b"END\r\n"


def test_a_client_that_leaves_while_it_waits(play: Play) -> None:
    old, client = asking(play, b"incr a 1\r\n")
    retire(play, old)
    client.send(b"incr b 1\r\n")
    play.run()
    client.close()
    play.run()
    old.send(b"1\r\n")
    play.run()
    assert old.lost == ["retired"]
    assert play.end(client) is not None


def test_a_retired_link_without_another(play: Play) -> None:
    old, client = asking(play, b"incr a 1\r\n")
    retire(play, old)
    client.send(b"incr b 1\r\n")
    play.run()
    old.send(b"1\r\n")
    play.run()
    assert client.receive() == b"1\r\nSERVER_ERROR upstream is unavailable\r\n"


def test_a_retired_link_that_hangs_times_out(play: Play) -> None:
    old, new, client = waiting_behind(play, b"incr a 1\r\n")
    client.send(b"incr b 1\r\n")
    play.run()
    play.sweep(TIMEOUT + 0.1)
    assert old.lost == ["upstream timed out"]
    assert client.receive() == b"SERVER_ERROR upstream timed out\r\n"
    new.ask(b"incr b 1\r\n")


def test_a_frame_that_comes_in_parts_while_its_session_waits(play: Play) -> None:
    old, new, client = waiting_behind(play, b"incr a 1\r\n")
    for part in (b"set b 0 0 10", b"\r\n01234", b"56789\r", b"\nget c\r\n"):
        client.send(part)
        play.run()
    old.send(b"1\r\n")
    play.run()
    new.ask(b"set b 0 0 10\r\n0123456789\r\nget c\r\n")
    assert LIMITS.buffer > play.relay.held == 0


def test_binary_sessions_move_too(play: Play) -> None:
    old, new, client = waiting_behind(play, packet(packets.GET, b"a", opaque=7), binary=True)
    client.send(packet(packets.NOOP, opaque=8))
    play.run()
    old.ask(packet(packets.GET, b"a", opaque=1))
    new.ask(b"")
    old.send(packets.HEADER.pack(0x81, packets.GET, 0, 0, 0, 1, 9, 1, 0) + b"Not found")
    play.run()
    new.ask(packet(packets.NOOP, opaque=1))
    new.send(packets.HEADER.pack(0x81, packets.NOOP, 0, 0, 0, 0, 0, 1, 0))
    play.run()
    assert [(answer.opaque, answer.status) for answer in client.responses()] == [(7, 1), (8, 0)]
    assert old.lost == ["retired"]


def test_waiting_for_another_link_is_no_way_around_the_guard(play: Play) -> None:
    """Where pipelines are refused: the second command came while the first one's reply was owed."""
    old, new, client = waiting_behind(play, b"incr a 1\r\n", one_command=True)
    client.send(b"flush_all\r\n")
    play.run()
    old.send(b"1\r\n")
    play.run()
    new.ask(b"")
    assert client.receive() == b"1\r\nCLIENT_ERROR pipelining is refused\r\n"


def test_an_honest_client_of_the_guard_moves(play: Play) -> None:
    old, new, client = waiting_behind(play, b"incr a 1\r\n", one_command=True)
    old.send(b"1\r\n")
    play.run()
    assert client.receive() == b"1\r\n"
    keys = numbered_keys()
    client.send(b"get " + b" ".join(keys) + b"\r\n")
    play.run()
    answered(play, new)
    assert client.receive() == b"END\r\n"
    assert play.said(client, b"bogus\r\n") == b"ERROR\r\n"
