"""The same sessions over TLS: records, partial writes, goodbyes, and ends without one."""

import contextlib
import ssl
from collections.abc import Callable

import pytest

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.secured import NO_DATA
from mcproxy.server.tls import server_context
from tests.support.certificates import Certificates
from tests.unit.relay.harness import LIMITS, STALL, Client, Play, Store, reset, tls_pair, value_block

MEGABYTE = 1_000_000
Connect = Callable[..., Client]


@pytest.fixture(params=["1.2", "1.3"])
def connect(request: pytest.FixtureRequest, play: Play, certificates: Certificates) -> Connect:
    """Connects a client whose session speaks TLS of one version or the other."""
    settings = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    server = server_context(settings)
    context = certificates.client_context()
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[request.param]
    context.maximum_version = context.minimum_version = version

    def connect(*, tcp: bool = False, data: bytes = b"", limits: SessionLimits = LIMITS) -> Client:
        return play.client(pair=tls_pair(server, context, tcp=tcp), data=data, limits=limits)

    return connect


def test_a_conversation(play: Play, connect: Connect) -> None:
    upstream = play.upstream()
    client, plain = connect(), play.client()
    client.send(b"get a\r\nbogus\r\nset b 0 0 1\r\nx\r\n")
    plain.send(b"get c\r\n")
    play.run()
    assert sorted(upstream.receive().splitlines(True)) == [b"get a\r\n", b"get c\r\n", b"set b 0 0 1\r\n", b"x\r\n"]
    upstream.close()
    play.run()
    lost = b"SERVER_ERROR upstream connection lost\r\n"
    assert client.receive() == lost + b"ERROR\r\n" + lost
    assert plain.receive() == lost


def test_a_large_value_up_and_down(play: Play, connect: Connect) -> None:
    upstream = play.upstream()
    client = connect()
    frame = b"set k 0 0 1000000\r\n" + bytes(range(256)) * (MEGABYTE // 256) + b"x" * (MEGABYTE % 256) + b"\r\n"
    came = b""
    client.push(frame)
    for _ in range(500):
        play.run()
        client.push()
        came += upstream.receive()
        if len(came) >= len(frame) and play.quiet():
            break
    assert came == frame
    upstream.send(b"STORED\r\n")
    play.run()
    assert client.receive() == b"STORED\r\n"
    assert play.relay.held == 0

    client.send(b"get k\r\n")
    play.run()
    reply = b"VALUE k 0 1000000\r\n" + frame.split(b"\r\n", 1)[1] + b"END\r\n"
    upstream.push(reply)
    heard = b""
    most = 0
    for _ in range(500):
        play.run()
        upstream.push()
        most = max(most, play.relay.held)
        if most > 100_000:  # the client reads only once there is back-pressure
            heard += client.receive(50_000)
        if len(heard) == len(reply):
            break
    assert heard == reply
    assert most > 100_000
    play.run()
    assert play.relay.held == 0


def test_many_large_values_to_an_honest_reader(play: Play, connect: Connect) -> None:
    keys = [b"k%d" % number for number in range(20)]
    store = Store(play.upstream(), dict.fromkeys(keys, MEGABYTE))
    client = connect()
    client.send(b"get " + b" ".join(keys) + b"\r\n")
    wanted = b"".join(value_block(key, MEGABYTE) for key in keys) + b"END\r\n"
    parts = []
    size = 0
    for _ in range(20_000):
        play.run()
        store.serve()
        parts.append(client.receive(1 << 18))
        size += len(parts[-1])
        if size >= len(wanted):
            break
    assert b"".join(parts) == wanted


def test_a_reader_that_takes_nothing(play: Play, connect: Connect) -> None:
    store = Store(play.upstream(), {b"k": MEGABYTE})
    client = connect()
    client.send(b"get k\r\n" * 1000)
    while store.serve() or not play.quiet():
        play.run()
    assert 0 < play.relay.held < 34 * MEGABYTE
    play.sweep(STALL + 1)
    assert play.end(client) == "takes no replies"
    assert play.relay.held == 0


def test_alerts_that_nobody_takes_are_bounded(play: Play, connect: Connect) -> None:
    """A client of TLS 1.2 that asks to renegotiate again and again is told no each time, with the next reply."""
    client = connect()
    session = client.session
    outgoing = session._secured._outgoing  # type: ignore[union-attr]
    outgoing.write(b"x" * 4096)
    play.relay.sweep(play.relay.now)
    assert not session.closed
    outgoing.write(b"x")
    play.relay.sweep(play.relay.now)
    assert play.witness.ends[session] == NO_DATA


def test_pipelines_larger_than_a_read(play: Play, connect: Connect) -> None:
    """What the TLS layer holds has no event of its own."""
    upstream = play.upstream()
    client = connect(limits=SessionLimits(pipeline=7))
    count = 20_000
    client.push(b"mn\r\n" * count)
    heard = 0
    for _ in range(20_000):
        play.run()
        client.push()
        asked = upstream.receive()
        upstream.send(b"MN\r\n" * asked.count(b"\n"))
        data = client.receive()
        heard += data.count(b"MN\r\n")
        if heard == count:
            break
    assert heard == count


def test_bytes_behind_the_login_and_in_the_tls_layer(play: Play, connect: Connect) -> None:
    upstream = play.upstream()
    client = connect(data=b"get a\r\n")
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


def test_a_goodbye_is_a_half_close(play: Play, connect: Connect) -> None:
    """close_notify ends what the client sends; what is owed is still delivered, and answered with a goodbye."""
    upstream = play.upstream()
    client = connect()
    client.send(b"set a 0 0 1\r\nx\r\nget a\r\n")
    assert isinstance(client.connection, ssl.SSLSocket)
    with pytest.raises(ssl.SSLWantReadError):
        client.connection._sslobj.shutdown()  # type: ignore[attr-defined]
    play.run()
    upstream.ask(b"set a 0 0 1\r\nx\r\nget a\r\n")
    assert play.end(client) is None
    upstream.send(b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
    play.run()
    assert play.end(client) == "closed by the client"


def test_a_goodbye_behind_more_than_the_window(play: Play, connect: Connect) -> None:
    """It came in the same read as the requests, so nothing will ever tell of it again."""
    upstream = play.upstream()
    client = connect(limits=SessionLimits(pipeline=7))
    client.send(b"mn\r\n" * 50)
    assert isinstance(client.connection, ssl.SSLSocket)
    with pytest.raises(ssl.SSLWantReadError):
        client.connection._sslobj.shutdown()  # type: ignore[attr-defined]
    answered = 0
    for _ in range(50):
        play.run()
        asked = upstream.receive().count(b"\n")
        answered += asked
        upstream.send(b"MN\r\n" * asked)
    assert answered == 50
    assert play.end(client) == "closed by the client"


@pytest.mark.parametrize("asked", [b"set a 0 0 10\r\nhalf", b"set a 0 0 4\r\nhalf", b"delete a", b"flush_all\r"])
def test_an_end_without_a_goodbye_drops_the_frame(play: Play, connect: Connect, asked: bytes) -> None:
    """Anybody on the way can cut a connection: half a frame is none (protocol of TLS 1.3, RFC 8446 section 6.1)."""
    upstream = play.upstream()
    client = connect()
    client.send(asked)
    play.run()
    client.half_close()
    play.run()
    upstream.ask(b"")
    assert play.end(client) == "closed by the client"


def test_junk_within_the_stream(play: Play, connect: Connect) -> None:
    """It is not authentic: the connection ends, and nothing of it is a command."""
    upstream = play.upstream()
    client = connect()
    assert isinstance(client.connection, ssl.SSLSocket)
    client.send(b"get a\r\n")
    play.run()
    upstream.ask(b"get a\r\n")
    descriptor = client.connection.fileno()
    with open(descriptor, "wb", buffering=0, closefd=False) as raw:
        raw.write(b"\x17\x03\x03\x00\x20" + b"flush_all\r\n".ljust(32))
    play.run()
    upstream.ask(b"")
    assert play.end(client) == "connection reset"


def test_the_proxy_says_goodbye(play: Play, connect: Connect) -> None:
    """So that the client knows that nothing was cut off."""
    client = connect()
    client.session.close("for a reason")
    play.run()
    assert isinstance(client.connection, ssl.SSLSocket)
    client.connection.suppress_ragged_eofs = False  # type: ignore[attr-defined]
    assert client.receive() == b""
    assert client.ended


def test_a_value_that_was_cut_off_is_not_followed_by_anything(play: Play, connect: Connect) -> None:
    upstream = play.upstream()
    client = connect()
    client.send(b"get k\r\n")
    play.run()
    reply = value_block(b"k", MEGABYTE) + b"END\r\n"
    upstream.push(reply[:600_000])
    while upstream.unsent:
        play.run()
        upstream.push()
    upstream.close()
    play.run()
    heard = b""
    # What was queued is dropped, perhaps in the middle of a record.
    with contextlib.suppress(ssl.SSLError):
        heard = client.receive()
    assert reply.startswith(heard)
    assert len(heard) < 600_000
    assert play.end(client) == "upstream ended within a reply"


def test_a_reset(play: Play, connect: Connect) -> None:
    upstream = play.upstream()
    client, other = connect(tcp=True), connect()
    client.send(b"get a\r\n")
    play.run()
    reset(client)
    play.run()
    assert play.end(client) == "connection reset"
    other.send(b"get b\r\n")
    play.run()
    upstream.send(b"END\r\nEND\r\n")
    play.run()
    assert other.receive() == b"END\r\n"
