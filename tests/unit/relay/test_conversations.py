"""Sessions that share a link: what goes up together, what comes back to whom, and in which order."""

import pytest

from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import APP, Play, Store, reset, tcp_pair, value_block


def test_what_many_ask_in_one_turn_goes_up_in_one_send(play: Play) -> None:
    upstream = play.upstream()
    clients = [play.client() for _ in range(40)]
    for number, client in enumerate(clients):
        client.send(b"get k%d\r\n" % number)
    play.run()
    assert upstream.proxy_side.sends == 1
    asked = upstream.receive()
    verb, *keys = asked.removesuffix(b"\r\n").split(b" ")
    assert (verb, sorted(keys)) == (b"get", sorted(b"k%d" % number for number in range(40)))

    upstream.send(b"".join(value_block(key, 5) for key in keys) + b"END\r\n")
    play.run()
    assert upstream.proxy_side.receives <= 2
    for number, client in enumerate(clients):
        assert client.receive() == value_block(b"k%d" % number, 5) + b"END\r\n"


def test_all_replies_of_one_receive_go_down_in_one_send_for_each_session(play: Play) -> None:
    upstream = play.upstream()
    first, second = play.client(), play.client()
    first.send(b"get a\r\nset b 0 0 1\r\nx\r\nget c\r\ndelete d\r\n")
    second.send(b"incr n 1\r\nget e\r\n")
    play.run()
    assert upstream.proxy_side.sends == 1
    upstream.ask(b"get a\r\nset b 0 0 1\r\nx\r\nget c\r\ndelete d\r\nincr n 1\r\nget e\r\n")
    upstream.send(b"END\r\nSTORED\r\nEND\r\nDELETED\r\n7\r\nEND\r\n")
    play.run()
    assert first.receive() == b"END\r\nSTORED\r\nEND\r\nDELETED\r\n"
    assert second.receive() == b"7\r\nEND\r\n"
    assert [client.proxy_side.sends for client in (first, second)] == [1, 1]  # type: ignore[attr-defined]


def test_own_replies_keep_their_place_among_those_in_flight(play: Play) -> None:
    upstream = play.upstream()
    client = play.client(grants=APP)
    asked = b"bogus\r\nget app:a\r\nflush_all\r\nget other\r\nset app:b 0 0 1\r\nx\r\nnonsense\r\n\r\n"
    client.send(asked)
    play.run()
    upstream.ask(b"get app:a\r\nset app:b 0 0 1\r\nx\r\n")
    assert client.receive() == b"ERROR\r\n", "only what nothing is in flight before may be answered at once"
    upstream.send(b"END\r\n")
    play.run()
    middle = client.receive()
    assert middle.startswith(b"END\r\nCLIENT_ERROR ")
    assert middle.count(b"CLIENT_ERROR ") == 2
    assert middle.count(b"\r\n") == 3
    upstream.send(b"STORED\r\n")
    play.run()
    assert client.receive() == b"STORED\r\nERROR\r\nERROR\r\n"


def test_own_binary_replies_keep_their_place_too(play: Play) -> None:
    upstream = play.upstream(binary=True)
    client = play.client(binary=True, grants=APP)
    client.send(
        packet(packets.GETK, b"app:a", opaque=1)
        + packet(packets.GETK, b"other", opaque=2)
        + packet(0x77, opaque=3)
        + packet(packets.LIST_MECHS, opaque=4)
        + packet(packets.NOOP, opaque=5)
    )
    play.run()
    assert client.receive() == b""
    asked = upstream.receive()
    opaques = [packets.HEADER.unpack_from(asked, start)[7] for start in (0, 29)]
    upstream.send(_reply(packets.GETK, opaques[0], status=1, key=b"app:a"))
    upstream.send(_reply(packets.NOOP, opaques[1]))
    play.run()
    answers = client.responses()
    assert [answer.opaque for answer in answers] == [1, 2, 3, 4, 5]
    assert [answer.status for answer in answers] == [packets.NOT_FOUND, packets.DENIED, packets.UNKNOWN, 0, 0]
    assert answers[3].value == b"PLAIN"


def test_opaques_of_two_clients_that_chose_the_same_are_kept_apart(play: Play) -> None:
    upstream = play.upstream(binary=True)
    first, second = play.client(binary=True), play.client(binary=True)
    first.send(packet(packets.GET, b"a", opaque=7))
    play.run()
    second.send(packet(packets.GET, b"b", opaque=7))
    play.run()
    asked = upstream.receive()
    opaques = [packets.HEADER.unpack_from(asked, start)[7] for start in (0, 25)]
    assert len(set(opaques)) == 2
    upstream.send(_reply(packets.GET, opaques[0], value=b"one", extras=b"\0" * 4))
    upstream.send(_reply(packets.GET, opaques[1], value=b"two", extras=b"\0" * 4))
    play.run()
    assert [(answer.opaque, answer.value) for answer in first.responses()] == [(7, b"one")]
    assert [(answer.opaque, answer.value) for answer in second.responses()] == [(7, b"two")]


def test_a_session_keeps_its_link_while_anything_is_in_flight(play: Play) -> None:
    first, second = play.upstream(), play.upstream()
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    first.ask(b"get a\r\n")
    # From now on the second link is preferred.
    play.links.links.reverse()
    client.send(b"get b\r\nget c\r\n")
    play.run()
    first.ask(b"get b c\r\n")
    second.ask(b"")
    first.send(b"END\r\n")
    play.run()
    client.send(b"get d\r\n")
    play.run()
    first.ask(b"get d\r\n")
    first.send(b"END\r\nEND\r\n")
    play.run()
    assert client.receive() == b"END\r\n" * 4
    client.send(b"get e\r\n")
    play.run()
    first.ask(b"")
    second.ask(b"get e\r\n")
    second.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_noreply_is_taken_off_and_its_reply_dropped(play: Play) -> None:
    upstream = play.upstream()
    quiet, loud = play.client(), play.client()
    quiet.send(b"set a 0 0 1 noreply\r\nx\r\ndelete b noreply\r\nincr c 1 noreply\r\ntouch d 0 noreply\r\n")
    loud.send(b"set e 0 0 1\r\ny\r\n")
    play.run()
    upstream.ask(b"set a 0 0 1\r\nx\r\ndelete b\r\nincr c 1\r\ntouch d 0\r\nset e 0 0 1\r\ny\r\n")
    upstream.send(b"STORED\r\nNOT_FOUND\r\nSERVER_ERROR out of luck\r\nTOUCHED\r\nSTORED\r\n")
    play.run()
    assert quiet.receive() == b""
    assert loud.receive() == b"STORED\r\n"
    quiet.send(b"mn\r\n")
    play.run()
    upstream.ask(b"mn\r\n")
    upstream.send(b"MN\r\n")
    play.run()
    assert quiet.receive() == b"MN\r\n"


def test_noreply_stays_silent_when_the_link_is_lost(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"set a 0 0 1 noreply\r\nx\r\nget b\r\n")
    play.run()
    upstream.close()
    play.run()
    assert client.receive() == b"SERVER_ERROR upstream connection lost\r\n"


@pytest.mark.parametrize("kind", ["socket pair", "tcp"])
def test_half_close_gets_all_that_is_owed(play: Play, kind: str) -> None:
    """Case 61."""
    upstream = play.upstream()
    client = play.client(pair=tcp_pair() if kind == "tcp" else None)
    client.send(b"set a 0 0 1\r\nx\r\nget a\r\n")
    client.half_close()
    play.run()
    upstream.ask(b"set a 0 0 1\r\nx\r\nget a\r\n")
    assert play.end(client) is None
    assert client.receive() == b""
    assert not client.ended
    upstream.send(b"STORED\r\n")
    play.run()
    assert client.receive() == b"STORED\r\n"
    upstream.send(b"VALUE a 0 1\r\nx\r\nEND\r\n")
    play.run()
    assert client.receive() == b"VALUE a 0 1\r\nx\r\nEND\r\n"
    assert client.ended
    assert play.end(client) == "closed by the client"


def test_half_close_with_more_than_the_window_is_answered_whole(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    store = Store(upstream, {b"k%d" % number: 10 for number in range(500)})
    client.send(b"".join(b"get k%d\r\n" % number for number in range(500)))
    client.half_close()
    heard = b""
    while True:
        play.run()
        heard += client.receive()
        if not store.serve():
            break
    assert heard == b"".join(value_block(b"k%d" % number, 10) + b"END\r\n" for number in range(500))
    assert client.ended


def test_half_close_within_a_frame_drops_the_frame(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\nset b 0 0 10\r\nhalf")
    play.run()
    client.half_close()
    play.run()
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    assert client.ended


def test_replies_of_a_client_that_left_reach_nobody(play: Play) -> None:
    """Case 47."""
    upstream = play.upstream()
    leaver = play.client()
    leaver.send(b"get mine\r\nset mine 0 0 1\r\nx\r\nincr mine 1\r\n")
    play.run()
    leaver.close()
    play.run()
    assert play.end(leaver) is not None
    stayer = play.client()
    stayer.send(b"get mine\r\nincr other 1\r\n")
    play.run()
    upstream.ask(b"get mine\r\nset mine 0 0 1\r\nx\r\nincr mine 1\r\nget mine\r\nincr other 1\r\n")
    upstream.send(b"VALUE mine 0 6\r\nsecret\r\nEND\r\nSTORED\r\n41\r\n")
    play.run()
    assert stayer.receive() == b""
    upstream.send(b"END\r\n5\r\n")
    play.run()
    assert stayer.receive() == b"END\r\n5\r\n"
    assert not upstream.link.closed, "the link is in step"


def test_a_client_that_leaves_within_a_streamed_value_leaves_the_link_in_step(play: Play) -> None:
    upstream = play.upstream()
    leaver, stayer = play.client(pair=tcp_pair()), play.client()
    leaver.send(b"get big\r\n")
    play.run()
    stayer.send(b"get small\r\n")
    play.run()
    reply = value_block(b"big", 100_000) + b"END\r\n"
    upstream.send(reply[:50_000])
    play.run()
    reset(leaver)
    play.run()
    upstream.send(reply[50_000:] + value_block(b"small", 3) + b"END\r\n")
    play.run()
    assert stayer.receive() == value_block(b"small", 3) + b"END\r\n"
    assert not upstream.link.closed


def test_a_new_client_with_the_number_of_an_old_one_gets_none_of_its_replies(play: Play) -> None:
    """The kernel gives descriptors out again; replies go by the request, not by the descriptor."""
    upstream = play.upstream()
    leaver = play.client()
    descriptor = leaver.proxy_side.fileno()
    leaver.send(b"get a\r\n")
    play.run()
    leaver.close()
    play.run()
    others = [play.client() for _ in range(4)]
    assert descriptor in [other.proxy_side.fileno() for other in others]
    upstream.send(value_block(b"a", 4) + b"END\r\n")
    play.run()
    assert [other.receive() for other in others] == [b""] * 4


def test_what_came_behind_the_login_is_served_first(play: Play) -> None:
    upstream = play.upstream()
    client = play.client(data=b"get a\r\nget b")
    upstream.ask(b"get a\r\n")
    client.send(b"\r\n")
    play.run()
    upstream.ask(b"get b\r\n")
    upstream.send(b"END\r\nEND\r\n")
    play.run()
    assert client.receive() == b"END\r\nEND\r\n"


def test_a_token_sent_again_is_answered_and_not_stored(play: Play) -> None:
    """Case 40."""
    upstream = play.upstream()
    client = play.client(token=b"sammy secret")
    client.send(b"get a\r\nset _ 0 0 12\r\nsammy secret\r\nget b\r\n")
    play.run()
    upstream.ask(b"get a\r\nget b\r\n")
    upstream.send(b"END\r\nEND\r\n")
    play.run()
    assert client.receive() == b"END\r\nSTORED\r\nEND\r\n"


def test_every_split_of_a_conversation_sounds_the_same(play: Play) -> None:
    """Case 15, with the relay in between: both directions cut at every byte."""
    asked = b"get a b\r\nset c 0 0 4\r\nx\r\nz\r\nbogus\r\ngets d\r\nmn\r\n"
    sent = b"get a b\r\nset c 0 0 4\r\nx\r\nz\r\ngets d\r\nmn\r\n"
    replies = b"VALUE b 0 5\r\nEND\r\n\r\nEND\r\nSTORED\r\nVALUE d 1 2 99\r\n\r\n\r\nEND\r\nMN\r\n"
    heard = replies.replace(b"STORED\r\n", b"STORED\r\nERROR\r\n")
    upstream = play.upstream()
    for cut in range(1, len(asked)):
        client = play.client()
        for part in (asked[:cut], asked[cut:]):
            client.send(part)
            play.run()
        upstream.ask(sent)
        split = cut % len(replies)
        for part in (replies[:split], replies[split:]):
            if part:
                upstream.send(part)
                play.run()
        assert client.receive() == heard, f"cut at {cut}"


def test_byte_by_byte(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    for byte in b"set c 0 0 4\r\nx\r\nz\r\nget a\r\n":
        client.send(bytes([byte]))
        play.run()
    upstream.ask(b"set c 0 0 4\r\nx\r\nz\r\nget a\r\n")
    for byte in b"STORED\r\nVALUE a 0 5\r\nEND\r\n\r\nEND\r\n":
        upstream.send(bytes([byte]))
        play.run()
    assert client.receive() == b"STORED\r\nVALUE a 0 5\r\nEND\r\n\r\nEND\r\n"


def test_quit_is_answered_after_what_is_in_flight(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\nquit\r\nget never\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    assert not client.ended
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    assert client.ended
    assert play.end(client) == "lingering: quit"


def test_a_refusal_that_closes_comes_behind_what_is_in_flight(play: Play) -> None:
    """Case 11: nothing of what follows a bad data chunk is a command."""
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\nset k 0 0 3\r\nabcXXversion\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\nCLIENT_ERROR bad data chunk\r\n"
    assert client.ended
    assert play.end(client) == "lingering: bad data chunk"
    assert play.witness.refusals == ["bad data chunk"]


def _reply(
    opcode: int, opaque: int, *, status: int = 0, key: bytes = b"", value: bytes = b"", extras: bytes = b""
) -> bytes:
    body = extras + key + value
    return packets.HEADER.pack(0x81, opcode, len(key), len(extras), 0, status, len(body), opaque, 0) + body


@pytest.mark.parametrize("order", ["own first", "own last", "own between"])
def test_own_replies_and_surprises_on_a_link_without_traffic(play: Play, order: str) -> None:
    """Own replies are never sent, so they must not be taken for requests that upstream cannot have seen yet."""
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    for part in {"own first": [b"bogus\r\n", b"get b\r\n"], "own last": [b"get b\r\n", b"bogus\r\n"]}.get(
        order, [b"bogus\r\n", b"get b\r\n", b"bogus\r\n"]
    ):
        client.send(part)
        play.run()
    upstream.send(b"END\r\n")
    play.run()
    upstream.send(b"END\r\n")
    play.run()
    heard = client.receive()
    assert sorted(heard.splitlines()) == sorted([b"END"] * 2 + [b"ERROR"] * (2 if order == "own between" else 1))
    assert not upstream.link.closed
    client.send(b"get c\r\n")
    play.run()
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    upstream.send(b"END\r\n")
    play.run()
    assert upstream.link.closed, "now nothing is in flight"
