"""An upstream that does not read: those who write to it wait, and go on when it reads again."""

from mcproxy.relay.link_output import UNSENT_LIMIT
from tests.unit.relay.harness import Play
from tests.unit.relay.writing import assert_writers_wait


def test_an_upstream_that_does_not_read_stops_those_who_write(play: Play) -> None:
    upstream = play.upstream(send_buffer=4096)
    assert_writers_wait(play, upstream, 100)


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
