"""Requests that need a link of their own: `stats` in both protocols."""

import pytest

from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import TIMEOUT, Play, Store, value_block

STATS = b"STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n"


def test_stats_wait_for_what_is_in_flight_and_nothing_overtakes_them(play: Play) -> None:
    shared = play.upstream()
    client, other = play.client(), play.client()
    client.send(b"get a\r\nstats\r\nget b\r\nbogus\r\n")
    play.run()
    shared.ask(b"get a\r\n")
    assert not play.links.private, "a reply is still to come"
    shared.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    [ready] = play.links.private
    shared.ask(b"")

    private = play.upstream(private=True)
    ready(private.link)
    play.run()
    private.ask(b"stats\r\n")
    client.send(b"get c\r\n")
    play.run()
    shared.ask(b"")
    other.send(b"get z\r\n")
    play.run()
    shared.ask(b"get z\r\n")
    shared.send(b"END\r\n")
    play.run()
    assert other.receive() == b"END\r\n", "others are served meanwhile"

    private.send(STATS[:20])
    play.run()
    private.send(STATS[20:])
    play.run()
    assert private.link.closed
    assert private.lost == ["done"]
    private.receive()
    assert private.ended
    shared.ask(b"get b\r\nget c\r\n")
    shared.send(b"END\r\nEND\r\n")
    play.run()
    assert client.receive() == STATS + b"END\r\nERROR\r\nEND\r\n"
    assert len(play.links.private) == 1


def test_stats_as_the_first_request(play: Play) -> None:
    client = play.client(data=b"stats\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"stats\r\n")
    private.send(STATS)
    play.run()
    assert client.receive() == STATS


def test_no_link_to_be_had(play: Play) -> None:
    shared = play.upstream()
    client = play.client()
    client.send(b"stats\r\nget a\r\n")
    play.run()
    play.links.private.pop()(None)
    play.run()
    assert client.receive() == b"SERVER_ERROR upstream is unavailable\r\n"
    shared.ask(b"get a\r\n")
    shared.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_no_link_to_be_had_is_known_at_once(play: Play) -> None:
    """As a pool that has too many open already says it: from within the call."""
    shared = play.upstream()
    play.links.open_private = lambda ready: ready(None)  # type: ignore[method-assign]
    client = play.client()
    client.send(b"stats\r\nstats\r\nmn\r\n")
    play.run()
    shared.ask(b"mn\r\n")
    assert client.receive() == b"SERVER_ERROR upstream is unavailable\r\n" * 2


def test_the_link_is_lost_within_the_answer(play: Play) -> None:
    play.upstream()
    client = play.client()
    client.send(b"stats\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.send(b"STAT pid 1\r\nSTAT ver")
    play.run()
    private.close()
    play.run()
    assert client.receive() == b"STAT pid 1\r\nSERVER_ERROR upstream connection lost\r\n"
    assert play.end(client) is None


def test_the_link_of_its_own_times_out(play: Play) -> None:
    shared = play.upstream()
    client = play.client()
    client.send(b"stats\r\nget a\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    play.sweep(TIMEOUT + 1)
    assert private.link.closed
    assert not shared.link.closed
    assert client.receive() == b"SERVER_ERROR upstream timed out\r\n"
    shared.ask(b"get a\r\n")


@pytest.mark.parametrize("surprise", [STATS + b"END\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n", b"STAT a\nEND\r\n"])
def test_a_surprise_on_a_link_of_its_own(play: Play, surprise: bytes) -> None:
    """Keys are printed raw in some of these answers, so whatever follows one END is nobody's."""
    client = play.client()
    client.send(b"stats\r\n")
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.send(surprise)
    play.run()
    assert private.link.closed
    heard = client.receive()
    assert heard in (STATS, b"SERVER_ERROR upstream connection lost\r\n")


def test_the_client_leaves_while_the_link_is_opened(play: Play) -> None:
    client = play.client()
    client.send(b"stats\r\n")
    play.run()
    ready = play.links.private.pop()
    client.close()
    play.run()
    private = play.upstream(private=True)
    ready(private.link)
    play.run()
    private.push(STATS)
    play.run()
    play.sweep(TIMEOUT + 1)
    assert private.link.closed
    assert play.end(client) is not None


def test_stats_within_a_half_closed_conversation(play: Play) -> None:
    client = play.client()
    client.send(b"stats\r\n")
    client.half_close()
    play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.send(STATS)
    play.run()
    assert client.receive() == STATS
    assert client.ended


def test_stats_over_binary(play: Play) -> None:
    shared = play.upstream(binary=True)
    client = play.client(binary=True)
    client.send(packet(packets.STAT, opaque=5) + packet(packets.NOOP, opaque=6))
    play.run()
    private = play.upstream(binary=True, private=True)
    play.links.private.pop()(private.link)
    play.run()
    opaque = packets.HEADER.unpack(private.receive())[7]
    body = b"pid1"
    answer = packets.HEADER.pack(0x81, packets.STAT, 3, 0, 0, 0, 4, opaque, 0) + body
    end = packets.HEADER.pack(0x81, packets.STAT, 0, 0, 0, 0, 0, opaque, 0)
    private.send(answer + end)
    play.run()
    assert private.link.closed
    assert [(each.opaque, each.key, each.value) for each in client.responses()] == [(5, b"pid", b"1"), (5, b"", b"")]
    assert len(shared.receive()) == 24


def test_stats_behind_a_multi_get_that_was_cut_up(play: Play) -> None:
    keys = [b"k%d" % number for number in range(300)]
    store = Store(play.upstream(), dict.fromkeys(keys, 5))
    client = play.client()
    client.send(b"get " + b" ".join(keys) + b"\r\nstats\r\n")
    heard = b""
    while store.serve() or not play.quiet():
        play.run()
        assert not play.links.private or len(store.asked) == 300
        heard += client.receive()
    assert heard == b"".join(value_block(key, 5) for key in keys) + b"END\r\n"
    play.links.private.pop()(None)
    play.run()
    assert client.receive().startswith(b"SERVER_ERROR")
