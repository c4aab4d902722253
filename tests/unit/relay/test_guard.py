"""`pipelining: refuse` in a session: what comes while a reply is owed is refused, also where nothing is in flight."""

import socket

import pytest

from tests.unit.relay.harness import APP, Client, Play, Upstream

REFUSED = b"CLIENT_ERROR pipelining is refused\r\n"
STATS = b"STAT pid 1\r\nEND\r\n"
INJECTED = b"set inj 0 0 1\r\nx\r\n"


def asking_for_statistics(play: Play) -> tuple[Client, Upstream]:
    shared = play.upstream()
    client = play.client(one_command=True)
    client.send(b"stats\r\n")
    play.run()
    return client, shared


@pytest.mark.parametrize("when", ["while the link is opened", "while the reply is owed", "within the reply"])
def test_a_command_behind_one_on_a_link_of_its_own_is_refused(play: Play, when: str) -> None:
    client, _ = asking_for_statistics(play)
    if when == "while the link is opened":
        client.send(INJECTED)
        play.run()
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"stats\r\n")
    if when == "within the reply":
        private.send(STATS[:12])
        play.run()
    if when != "while the link is opened":
        client.send(INJECTED)
        play.run()
    private.send(STATS[12:] if when == "within the reply" else STATS)
    play.run()
    assert client.receive() == STATS + REFUSED
    assert play.end(client) is not None


def test_a_command_after_the_whole_reply_passes(play: Play) -> None:
    client, shared = asking_for_statistics(play)
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"stats\r\n")
    private.send(STATS)
    play.run()
    assert client.receive() == STATS
    client.send(INJECTED)
    play.run()
    shared.ask(INJECTED)


def test_a_command_while_the_reply_has_not_been_taken_is_refused(play: Play) -> None:
    mine, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    upstream = play.upstream()
    client = play.client(one_command=True, pair=(mine, theirs))
    value = b"VALUE big 0 900000\r\n" + b"v" * 900_000 + b"\r\nEND\r\n"
    client.send(b"get big\r\n")
    play.run()
    upstream.ask(b"get big\r\n")
    upstream.push(value)
    while upstream.unsent:
        play.run()
        upstream.push()
    play.run()
    client.send(INJECTED)
    play.run()
    heard = b""
    while len(heard) < len(value) + len(REFUSED):
        part = client.receive(65536)
        heard += part
        play.run()
    assert heard == value + REFUSED


def test_a_part_of_a_line_behind_a_refused_block(play: Play) -> None:
    """The command was refused before its block had come, so that the next may follow in the same receive."""
    upstream = play.upstream()
    client = play.client(one_command=True, grants=APP)
    assert play.said(client, b"set other 0 0 5\r\nab") == b"CLIENT_ERROR access denied\r\n"
    assert play.said(client, b"cde\r\nge") == b""
    client.send(b"t app:a\r\n")
    play.run()
    upstream.ask(b"get app:a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
