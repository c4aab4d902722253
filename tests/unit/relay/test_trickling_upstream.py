"""An upstream that never stops answering: a whole answer has its time too, longer for what is large."""

import pytest

from mcproxy.relay.link import BYTES_IN_A_SECOND, WHOLE_ANSWER
from tests.unit.relay.harness import TIMEOUT, Play, Upstream

STEP = TIMEOUT / 2
LENGTH = 10_000_000


def trickle(play: Play, upstream: Upstream, piece: bytes, seconds: float) -> float:
    """Let a piece arrive at each step for so long, or until the link ends. Returns for how long it did."""
    link, started = upstream.link, play.relay.now
    now = started
    while now - started < seconds and not link.closed:
        now += STEP
        upstream.push(piece)
        play.relay.now = now
        link.readable()
        play.relay.sweep(now)
    return now - started


def answering(play: Play, *, private: bool = False) -> Upstream:
    """One that has begun to answer a client."""
    upstream = play.upstream(private=private)
    client = play.client()
    if private:
        client.send(b"stats\r\n")
        play.run()
        play.links.private.pop()(upstream.link)
        play.run()
        upstream.send(b"STAT pid 1\r\n")
    else:
        client.send(b"get a\r\n")
        play.run()
        upstream.send(b"VALUE a 0 %d\r\n" % LENGTH)
    play.run()
    play.relay.sweep(play.relay.now)
    return upstream


def test_what_trickles_in_does_not_hold_up_others_for_ever(play: Play) -> None:
    upstream = answering(play)
    other = play.client()
    other.send(b"delete b\r\n")
    play.run()
    lasted = trickle(play, upstream, b"x", 1000 * TIMEOUT)
    assert WHOLE_ANSWER * TIMEOUT < lasted <= WHOLE_ANSWER * TIMEOUT + 2 * STEP
    assert upstream.lost == ["upstream timed out"]
    assert other.receive() == b"SERVER_ERROR upstream timed out\r\n"


def test_nor_does_it_hold_a_place_for_ever(play: Play) -> None:
    upstream = answering(play, private=True)
    lasted = trickle(play, upstream, b"STAT a 1\r\n", 1000 * TIMEOUT)
    assert lasted <= WHOLE_ANSWER * TIMEOUT + 2 * STEP
    assert upstream.lost == ["upstream timed out"]


def test_a_large_value_over_a_slow_line_is_waited_for(play: Play) -> None:
    upstream = answering(play)
    piece = b"x" * int(BYTES_IN_A_SECOND * STEP * 1.01)
    trickle(play, upstream, piece, LENGTH / len(piece) * STEP - TIMEOUT)
    assert upstream.lost == []
    upstream.close()


def test_each_answer_has_its_own_time(play: Play) -> None:
    """A link that is busy all the time, with requests that are answered one after the other."""
    upstream = play.upstream()
    client = play.client()
    client.send(b"incr a 1\r\n" * 32)
    play.run()
    play.relay.sweep(play.relay.now)
    seconds = 1.5 * WHOLE_ANSWER * TIMEOUT
    assert trickle(play, upstream, b"1\r\n", seconds) >= seconds
    assert upstream.lost == []
    assert client.receive() == b"1\r\n" * int(seconds / STEP)


def test_an_answer_that_came_while_the_process_stood_still(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"incr a 1\r\nincr b 1\r\n")
    play.run()
    play.relay.sweep(play.relay.now)
    upstream.push(b"1\r\n")
    play.relay.sweep(play.relay.now + WHOLE_ANSWER * TIMEOUT + STEP)
    assert upstream.lost == [], "the second one has only begun to wait"
    assert client.receive() == b"1\r\n"


def test_a_client_that_does_not_read_its_own_link_is_not_upstreams_fault(play: Play) -> None:
    """Its own time bounds that."""
    upstream = answering(play, private=True)
    link = upstream.link
    for number in range(1, 40):
        link.pause(number % 2 == 1)
        play.relay.now += TIMEOUT
        play.relay.sweep(play.relay.now)
    assert upstream.lost == []


@pytest.mark.parametrize("seconds", [0.0, WHOLE_ANSWER * TIMEOUT * 2])
def test_idle_links_have_no_end(play: Play, seconds: float) -> None:
    upstream = play.upstream()
    play.sweep(0)
    play.sweep(seconds)
    assert upstream.lost == []
