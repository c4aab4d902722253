"""An upstream that may be an mcproxy with grants of its own: what it denies one client is no other's affair."""

import pytest

from tests.unit.relay.harness import Client, Play, value_block

DENIED = b"CLIENT_ERROR access denied\r\n"
TOGETHER = b"SERVER_ERROR upstream has grants of its own; ask again\r\n"


def test_gets_go_up_as_they_came(play: Play) -> None:
    upstream = play.upstream(gathers=False)
    clients = [play.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(b"get k%d\r\n" % number)
    play.run()
    upstream.ask(b"get k0\r\nget k1\r\nget k2\r\n")
    upstream.send(value_block(b"k0", 3) + b"END\r\n" + DENIED + b"END\r\n")
    play.run()
    assert [client.receive() for client in clients] == [value_block(b"k0", 3) + b"END\r\n", DENIED, b"END\r\n"]


def test_a_run_of_gets_is_answered_line_by_line(play: Play) -> None:
    upstream = play.upstream(gathers=False)
    client = play.client()
    client.send(b"get a\r\nget b\r\nget a\r\nget c d\r\nset b 0 0 1\r\nx\r\nmn\r\n")
    play.run()
    upstream.ask(b"get a\r\nget b\r\nget a\r\nget c d\r\nset b 0 0 1\r\nx\r\nmn\r\n")
    reply = b"END\r\n" + DENIED + value_block(b"a", 2) + b"END\r\n" + DENIED * 2 + b"MN\r\n"
    for cut in (1, 4, 5, 9, 20, 33, 60, len(reply) - 1):
        upstream.send(reply[:cut])
        play.run()
        upstream.send(reply[cut:])
        play.run()
        assert client.receive() == reply
        client.send(b"get a\r\nget b\r\nget a\r\nget c d\r\nset b 0 0 1\r\nx\r\nmn\r\n")
        play.run()
        upstream.receive()
    upstream.send(reply)
    play.run()
    assert not upstream.lost


@pytest.mark.parametrize("cut", range(1, len(DENIED)))
def test_a_gathered_line_that_is_denied_all_the_same(play: Play, cut: int) -> None:
    """The link stays in step. Nobody is told of a denial that may be another's, and it doesn't happen again."""
    upstream = play.upstream()
    clients = [play.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(b"get k%d\r\nincr n%d 1\r\n" % (number, number))
    play.run()
    asked = upstream.receive()
    assert asked.startswith(b"get k0\r\nincr n0 1\r\nget k1\r\n"), "each has another command behind it"
    replies = b"".join(DENIED if line.startswith(b"get") else b"7\r\n" for line in asked.splitlines())
    upstream.send(replies[:cut])
    play.run()
    upstream.send(replies[cut:])
    play.run()
    assert [client.receive() for client in clients] == [DENIED + b"7\r\n"] * 3, "they went up alone"
    assert not upstream.lost
    assert play.denials == 1


def test_gathered_gets_are_denied_to_nobody(play: Play) -> None:
    """Not on the other links either, and not to gets that were on their way by then."""
    first, second = play.upstream(), play.upstream()
    clients = [play.client() for _ in range(3)]
    ask_together(play, clients)
    first.ask(b"get k0 k1 k2\r\n")
    play.links.links.remove(first.link)
    others = [play.client() for _ in range(3)]
    ask_together(play, others)
    second.ask(b"get k0 k1 k2\r\n")
    first.send(DENIED)
    play.run()
    second.send(DENIED)
    play.run()
    assert [client.receive() for client in clients + others] == [TOGETHER] * 6
    assert play.denials == 1
    ask_together(play, others)
    second.ask(b"get k0\r\nget k1\r\nget k2\r\n")
    second.send(b"END\r\n" + DENIED + b"END\r\n")
    play.run()
    assert [client.receive() for client in others] == [b"END\r\n", DENIED, b"END\r\n"]
    assert not first.lost
    assert not second.lost


def ask_together(play: Play, clients: list[Client]) -> None:
    """Within one turn."""
    for number, client in enumerate(clients):
        client.send(b"get k%d\r\n" % number)
    play.run()
