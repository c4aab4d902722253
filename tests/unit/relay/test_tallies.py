"""Requests, hits and misses are counted for whoever asked, also where gets of several clients go up in one line."""

from mcproxy.relay.traffic import MOST_PRINCIPALS, OTHER, Traffic
from mcproxy.wire.tally import Tally
from tests.unit.relay.harness import Play


def tally(play: Play, name: str) -> Tally:
    return play.relay.traffic.tallies["user", name]


def test_each_principal_is_counted_alone_and_all_are_summed(play: Play) -> None:
    upstream = play.upstream()
    sammy, reader, other_sammy = play.client(), play.client(principal="reader"), play.client()
    sammy.send(b"get a\r\nget b\r\n")
    reader.send(b"get c\r\nget d\r\n")
    other_sammy.send(b"get e\r\n")
    play.run()
    upstream.ask(b"get a b c d e\r\n")
    upstream.send(b"VALUE b 0 1\r\nx\r\nVALUE c 0 1\r\ny\r\nEND\r\n")
    play.run()
    assert [client.receive() for client in (sammy, reader, other_sammy)] == [
        b"END\r\nVALUE b 0 1\r\nx\r\nEND\r\n",
        b"VALUE c 0 1\r\ny\r\nEND\r\nEND\r\n",
        b"END\r\n",
    ]
    assert (tally(play, "sammy").requests, tally(play, "reader").requests) == ({"read": 3}, {"read": 2})
    assert (tally(play, "sammy").hits, tally(play, "sammy").misses) == (1, 2)
    assert (tally(play, "reader").hits, tally(play, "reader").misses) == (1, 1)
    traffic = play.relay.traffic
    assert (traffic.requests, traffic.hits, traffic.misses) == ({"read": 5}, 2, 3)


def test_requests_that_go_up_alone_are_counted_too(play: Play) -> None:
    upstream = play.upstream(gathers=False)
    client = play.client(principal="reader")
    client.send(b"get a b\r\nset c 0 0 1\r\nx\r\nmg a v\r\n")
    play.run()
    upstream.send(b"VALUE b 0 1\r\ny\r\nEND\r\nSTORED\r\nVA 1\r\ny\r\n")
    play.run()
    one = tally(play, "reader")
    assert one.requests == {"read": 3, "write": 1}
    assert (one.hits, one.misses) == (2, 1)


def test_what_a_lost_link_owed_is_neither_hit_nor_miss(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\nget b\r\nget c\r\n")
    play.run()
    upstream.send(b"VALUE b 0 1\r\nx\r\n")
    play.run()
    upstream.close()
    play.run()
    assert client.receive() == b"SERVER_ERROR upstream connection lost\r\n" * 3
    one = tally(play, "sammy")
    assert (one.requests, one.misses) == ({"read": 3}, 0)


def test_counts_of_a_principal_stay_when_its_last_session_ends(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    upstream.send(b"END\r\n")
    play.run()
    client.close()
    play.run()
    assert tally(play, "sammy").misses == 1
    assert play.relay.traffic.tally_of("user", "sammy") is tally(play, "sammy")


def test_only_so_many_principals_are_told_apart() -> None:
    traffic = Traffic()
    first = [traffic.tally_of("user", f"u{number}") for number in range(MOST_PRINCIPALS)]
    late, later = traffic.tally_of("user", "late"), traffic.tally_of("certificate", "later")
    assert late is later is traffic.tallies[OTHER]
    assert traffic.tally_of("user", "u7") is first[7]
    assert len(traffic.tallies) == MOST_PRINCIPALS + 1
    late.requests["read"] += 2
    first[0].requests["read"] += 1
    first[0].denied["write"] += 1
    assert (traffic.requests, traffic.denied) == ({"read": 3}, {"write": 1})


def test_a_user_and_a_certificate_of_one_name_are_two() -> None:
    traffic = Traffic()
    assert traffic.tally_of("user", "web") is not traffic.tally_of("certificate", "web")
