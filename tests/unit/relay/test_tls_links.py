"""Links over TLS: the same conversations, whatever the records are cut into."""

import pytest

from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.packets import packet
from tests.unit.relay.harness import MEGABYTE, Play, Store, value_block
from tests.unit.relay.secured_upstream import Contexts, secured_upstream
from tests.unit.relay.writing import assert_writers_wait

ASKED = b"set a 0 0 1\r\nx\r\ngets b c\r\nmg d v\r\nincr n 1\r\n"
REPLY = b"STORED\r\nVALUE b 0 5 7\r\nEND\r\n\r\nVALUE c 0 1 8\r\nz\r\nEND\r\nVA 4\r\nEN\r\n\r\n12\r\n"


@pytest.fixture(params=["1.2", "1.3"])
def contexts(request: pytest.FixtureRequest, certificates: Certificates) -> Contexts:
    return Contexts(certificates, request.param)


def test_a_conversation(play: Play, contexts: Contexts) -> None:
    upstream = secured_upstream(play, contexts)
    client = play.client()
    for _ in range(3):
        client.send(ASKED)
        play.run()
        upstream.ask(ASKED)
        upstream.send(REPLY)
        play.run()
        assert client.receive() == REPLY
    assert play.relay.traffic.upstream_sent == 3 * len(ASKED)
    assert play.relay.traffic.upstream_received == 3 * len(REPLY)


def test_a_turn_of_many_clients_goes_up_in_one_send(play: Play, contexts: Contexts) -> None:
    upstream = secured_upstream(play, contexts)
    before = upstream.proxy_side.sends
    clients = [play.client() for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(b"get k%d\r\n" % number)
    play.run()
    assert upstream.proxy_side.sends == before + 1
    upstream.ask(b"get " + b" ".join(b"k%d" % number for number in range(20)) + b"\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert [client.receive() for client in clients] == [b"END\r\n"] * 20


def test_replies_cut_at_every_byte_of_their_ciphertext(play: Play, contexts: Contexts) -> None:
    upstream = secured_upstream(play, contexts)
    client = play.client()
    for cut in range(1, 1000):
        client.send(ASKED)
        play.run()
        upstream.ask(ASKED)
        # A record for every line.
        data = b"".join(upstream.seal(line) for line in REPLY.splitlines(keepends=True))
        if cut >= len(data):
            upstream.raw(data)
            play.run()
            assert client.receive() == REPLY
            return
        upstream.raw(data[:cut])
        play.run()
        heard = client.receive()
        assert REPLY.startswith(heard)
        upstream.raw(data[cut:])
        play.run()
        assert heard + client.receive() == REPLY


def test_replies_byte_by_byte(play: Play, contexts: Contexts) -> None:
    upstream = secured_upstream(play, contexts)
    client = play.client()
    client.send(ASKED)
    play.run()
    for byte in upstream.seal(REPLY):
        upstream.raw(bytes([byte]))
        play.run()
    assert client.receive() == REPLY


def test_large_values_both_ways(play: Play, contexts: Contexts) -> None:
    upstream = secured_upstream(play, contexts, send_buffer=8192)
    client = play.client()
    value = bytes(range(256)) * (MEGABYTE // 256)
    frame = b"set k 0 0 %d\r\n%b\r\n" % (len(value), value)
    client.push(frame)
    came = b""
    for _ in range(2000):
        play.run()
        client.push()
        came += upstream.receive()
        if len(came) >= len(frame):
            break
    assert came == frame
    upstream.send(b"STORED\r\n")
    play.run()
    assert client.receive() == b"STORED\r\n"
    client.send(b"get k\r\n")
    play.run()
    upstream.ask(b"get k\r\n")
    reply = b"VALUE k 0 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    upstream.push(reply)
    heard = b""
    for _ in range(2000):
        play.run()
        heard += client.receive()
        if len(heard) >= len(reply):
            break
        upstream.push()
    assert heard == reply


def test_a_pipeline_of_many_requests(play: Play, contexts: Contexts) -> None:
    sizes = {b"k%d" % number: 10 + number * 7 % 5000 for number in range(0, 600, 2)}
    upstream = secured_upstream(play, contexts)
    store = Store(upstream, sizes)
    clients = [play.client() for _ in range(5)]
    keys = [b"k%d" % number for number in range(600)]
    wanted = b"".join(value_block(key, sizes[key]) + b"END\r\n" if key in sizes else b"END\r\n" for key in keys)
    heard = [b""] * len(clients)
    for client in clients:
        client.push(b"".join(b"get %s\r\n" % key for key in keys))
    for _ in range(3000):
        play.run()
        store.serve()
        heard = [before + client.receive() for before, client in zip(heard, clients, strict=True)]
        if all(len(data) >= len(wanted) for data in heard):
            break
    assert heard == [wanted] * len(clients)


def test_binary_packets(play: Play, contexts: Contexts) -> None:
    upstream = secured_upstream(play, contexts, binary=True)
    client = play.client(binary=True)
    client.send(packet(packets.GET, b"a", opaque=7) + packet(packets.NOOP, opaque=8))
    play.run()
    upstream.ask(packet(packets.GET, b"a", opaque=1) + packet(packets.NOOP, opaque=2))
    header = packets.HEADER.pack(0x81, packets.GET, 0, 4, 0, 0, 9, 1, 0)
    upstream.send(header + b"\0\0\0\0value" + packets.HEADER.pack(0x81, packets.NOOP, 0, 0, 0, 0, 0, 2, 0))
    play.run()
    assert [(answer.opaque, answer.value) for answer in client.responses()] == [(7, b"value"), (8, b"")]


def test_an_upstream_that_does_not_read_stops_those_who_write(play: Play, contexts: Contexts) -> None:
    """What is kept of a record goes out before anything else; nothing is encrypted twice, or lost."""
    upstream = secured_upstream(play, contexts, send_buffer=4096)
    assert_writers_wait(play, upstream, 60)
