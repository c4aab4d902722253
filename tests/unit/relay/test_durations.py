"""How long upstream takes: one request of a link at a time is timed, and no more than one in a millisecond."""

import pytest

from mcproxy.relay import link_output
from mcproxy.relay.durations import BOUNDS, SAMPLE_INTERVAL, Durations
from tests.unit.relay.harness import Client, Play, Upstream


class Clock:
    """Stands still until a test moves it on: never to the very end of a bucket, for sums are rounded."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    if not link_output.__file__.endswith(".py"):
        pytest.skip("compiled modules look at the real clock")
    monkeypatch.setattr("mcproxy.relay.link_output.time", clock)
    monkeypatch.setattr("mcproxy.relay.poller.time", clock)
    return clock


def start(play: Play) -> tuple[Upstream, Client, Durations]:
    upstream = play.upstream()
    durations = upstream.link._durations = Durations()
    return upstream, play.client(), durations


def bucket(durations: Durations) -> list[float]:
    """The upper ends of the buckets that something is in."""
    return [end for end, count in zip((*BOUNDS, float("inf")), durations.counts, strict=True) for _ in range(count)]


def test_from_being_handed_to_the_link_until_the_reply_is_whole(play: Play, clock: Clock) -> None:
    upstream, client, durations = start(play)
    client.send(b"set a 0 0 1\r\nx\r\n")
    play.run()
    clock.now += 0.003
    upstream.send(b"STO")
    play.run()
    assert bucket(durations) == []
    clock.now += 0.004
    upstream.send(b"RED\r\n")
    play.run()
    assert bucket(durations) == [0.01]
    assert durations.total == pytest.approx(0.007)


def test_one_at_a_time(play: Play, clock: Clock) -> None:
    """The second begins while the first is timed, and is not."""
    upstream, client, durations = start(play)
    client.send(b"delete a\r\n")
    play.run()
    clock.now += 0.2
    client.send(b"delete b\r\n")
    play.run()
    clock.now += 0.2
    upstream.send(b"DELETED\r\nDELETED\r\n")
    play.run()
    assert bucket(durations) == [0.5]


def test_the_next_one_begins_a_little_later(play: Play, clock: Clock) -> None:
    upstream, client, durations = start(play)
    for pause in (0.0, SAMPLE_INTERVAL / 2, SAMPLE_INTERVAL * 0.6):
        clock.now += pause
        client.send(b"delete a\r\n")
        play.run()
        upstream.send(b"DELETED\r\n")
        play.run()
    assert bucket(durations) == [BOUNDS[0], BOUNDS[0]]


def test_gets_that_go_up_in_one_line_are_one(play: Play, clock: Clock) -> None:
    upstream, client, durations = start(play)
    client.send(b"get a\r\nget b\r\n")
    play.run()
    clock.now += 20.0
    upstream.send(b"END\r\n")
    play.run()
    assert bucket(durations) == [float("inf")]


def test_what_the_proxy_answers_itself_is_not_timed(play: Play, clock: Clock) -> None:
    upstream, client, durations = start(play)
    client.send(b"delete a\r\nbogus\r\n")
    play.run()
    clock.now += 0.07
    upstream.send(b"DELETED\r\n")
    play.run()
    client.send(b"bogus\r\n")
    play.run()
    assert bucket(durations) == [0.1]


def test_a_request_without_an_answer_is_not_counted(play: Play, clock: Clock) -> None:
    upstream, client, durations = start(play)
    client.send(b"delete a\r\n")
    play.run()
    upstream.close()
    play.run()
    assert bucket(durations) == []


def test_bounds_are_inclusive() -> None:
    durations = Durations()
    for seconds in (0.0, 0.00005, 0.000051, 10.0, 10.1):
        durations.observe(seconds)
    assert (durations.counts[0], durations.counts[1], durations.counts[-2], durations.counts[-1]) == (2, 1, 1, 1)
    assert durations.total == pytest.approx(20.100101)
