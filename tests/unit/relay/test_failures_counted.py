"""Requests for which memcached has no answer are counted by what their clients are told; all others aren't."""

import pytest

from mcproxy.relay import obstacle
from mcproxy.relay.link_ends import LOST, TIMED_OUT
from mcproxy.relay.obstacle import NOT_LET_IN, Obstacle
from mcproxy.relay.traffic import FAILURES
from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import TIMEOUT, Play

ERROR = b"SERVER_ERROR "


def counted(play: Play) -> dict[str, int]:
    return dict(play.relay.traffic.refused)


def test_without_a_link_each_request_is_counted(play: Play) -> None:
    client = play.client()
    heard = play.said(client, b"get a\r\nget b\r\nget c d\r\nset e 0 0 1 noreply\r\nx\r\nnonsense\r\n")
    assert heard == (ERROR + b"upstream is unavailable\r\n") * 3 + b"ERROR\r\n"
    assert counted(play) == {"upstream is unavailable": 5}


def test_a_login_that_upstream_refuses_has_its_own_reason(play: Play) -> None:
    play.links.unavailable = NOT_LET_IN
    play.said(play.client(binary=True), packet(packets.GET, key=b"a"))
    assert counted(play) == {"upstream refused the login": 1}


def test_without_a_link_of_its_own_a_request_is_counted(play: Play) -> None:
    play.upstream()
    client = play.client()
    client.send(b"stats items\r\n")
    play.run()
    [ready] = play.links.private
    ready(None)
    play.run()
    assert client.receive() == ERROR + b"upstream is unavailable\r\n"
    assert counted(play) == {"upstream is unavailable": 1}


@pytest.mark.parametrize("gathers", [True, False])
def test_what_a_lost_link_owed_is_counted_and_not_what_was_answered(play: Play, gathers: bool) -> None:
    upstream = play.upstream(gathers=gathers)
    answered, waiting = play.client(), play.client()
    for client, asked in ((answered, b"get a\r\n"), (waiting, b"get b\r\nnonsense\r\nset c 0 0 1\r\nx\r\n")):
        client.send(asked)
    play.run()
    # In one line, a's answer is known to be right once b's has begun.
    upstream.send(b"VALUE a 0 1\r\nx\r\n" + (b"VALUE b 0 1\r\n" if gathers else b"END\r\n"))
    play.run()
    if gathers:
        upstream.send(b"y\r\n")
        play.run()
    upstream.close()
    play.run()
    lost = ERROR + b"upstream connection lost\r\n"
    assert (answered.receive(), waiting.receive()) == (b"VALUE a 0 1\r\nx\r\nEND\r\n", lost + b"ERROR\r\n" + lost)
    assert counted(play) == {"upstream connection lost": 2}


def test_a_late_answer_is_counted_as_late(play: Play) -> None:
    play.upstream()
    client = play.client()
    client.send(b"delete a\r\n")
    play.run()
    play.sweep(TIMEOUT + 1)
    assert client.receive() == ERROR + b"upstream timed out\r\n"
    assert counted(play) == {"upstream timed out": 1}


def test_a_client_that_leaves_its_own_link_is_no_failure(play: Play) -> None:
    client = play.client()
    play.upstream()
    client.send(b"stats items\r\n")
    play.run()
    private = play.upstream(private=True)
    [ready] = play.links.private
    ready(private.link)
    play.run()
    client.close()
    play.run()
    assert private.lost == ["the client has left"]
    assert counted(play) == {}


def test_a_link_that_ends_with_nothing_in_flight_is_no_failure(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    upstream.send(b"END\r\n")
    upstream.close()
    play.run()
    assert client.receive() == b"END\r\n"
    assert counted(play) == {}


def test_what_is_said_of_a_failure_begins_with_upstream() -> None:
    """Alerts and dashboard tell failures from refusals by that."""
    assert all(answer.startswith(b"upstream") for answer in FAILURES)
    obstacles = [value for value in vars(obstacle).values() if isinstance(value, Obstacle)]
    assert {each.answer for each in obstacles} == set(FAILURES) - {LOST, TIMED_OUT}
