"""Sessions whose clients may not go on: nothing more of theirs goes up, what is in flight is answered."""

from mcproxy.relay.session import FIRST_WINDOW
from tests.unit.relay.harness import BIG, Play, Store, value_block

WHY = "removed"
LINGERING = f"lingering: {WHY}"


def test_what_is_in_flight_is_answered_and_nothing_else_goes_up(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\nset app:a 0 0 5\r\nab")
    play.run()
    upstream.ask(b"get a\r\n")
    client.session.revoke(WHY, 10.0)
    play.relay.settle()
    client.send(b"cde\r\nget b\r\n")
    play.run()
    upstream.send(value_block(b"a", 3) + b"END\r\n")
    play.run()
    upstream.ask(b"")
    assert client.receive() == value_block(b"a", 3) + b"END\r\n"
    assert play.end(client) == LINGERING


def test_a_pipeline_that_waits_for_its_turn_is_forgotten(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.push(b"get a\r\n" * (4 * FIRST_WINDOW) + b"set app:late 0 0 2\r\nhi\r\n")
    play.run()
    asked = upstream.receive()
    assert 0 < asked.count(b"a") < 4 * FIRST_WINDOW
    client.session.revoke(WHY, 10.0)
    play.relay.settle()
    upstream.send(b"END\r\n" * asked.count(b"get"))
    play.run()
    upstream.ask(b"")
    assert client.receive() == b"END\r\n" * FIRST_WINDOW
    assert play.end(client) == LINGERING
    assert play.relay.held == 0


def test_the_rest_of_a_multi_get_does_not_go_up(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.push(b"get " + b" ".join(b"k%d" % number for number in range(4 * FIRST_WINDOW)) + b"\r\n")
    play.run()
    assert upstream.receive().count(b"k") == FIRST_WINDOW
    client.session.revoke(WHY, 10.0)
    play.relay.settle()
    upstream.send(b"END\r\n")
    play.run()
    upstream.ask(b"")
    assert play.end(client) == LINGERING


def test_who_does_not_read_is_cut_off(play: Play) -> None:
    upstream = play.upstream()
    store = Store(upstream, BIG)
    client = play.client()
    client.send(b"get big1\r\n")
    play.run()
    while store.serve() or not play.quiet():
        play.run()
    assert play.relay.held > 0
    client.session.revoke(WHY, 10.0)
    play.relay.settle()
    play.sweep(9.0)
    assert play.end(client) is None
    play.sweep(11.0)
    assert play.end(client) == WHY
    assert play.relay.held == 0


def test_a_link_of_its_own_is_closed_at_once(play: Play) -> None:
    client = play.client(data=b"stats\r\nget a\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"stats\r\n")
    client.session.revoke(WHY, 10.0)
    play.run()
    assert play.end(client) == WHY
    assert private.link.closed


def test_a_link_of_its_own_that_is_still_to_be_opened_is_not_used(play: Play) -> None:
    client = play.client(data=b"stats\r\n")
    play.run()
    client.session.revoke(WHY, 10.0)
    play.run()
    assert play.end(client) == WHY
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"")
    assert private.link.closed


def test_what_waits_for_a_link_of_its_own_is_forgotten(play: Play) -> None:
    upstream = play.upstream()
    client = play.client(data=b"get a\r\nstats\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    client.session.revoke(WHY, 10.0)
    play.relay.settle()
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    assert not play.links.private
    assert play.end(client) == LINGERING
