"""Reading, writing and closing from a task, before and after a session: plain and TLS, with real sockets."""

import socket
import ssl

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import Secured
from mcproxy.server import streams
from mcproxy.server.streams import close_gently, receive, send_all
from mcproxy.server.tls import handshake, server_context
from tests.support.certificates import Certificates
from tests.unit.relay.harness import End, tls_pair


def pair() -> tuple[End, socket.socket]:
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    return End(mine), theirs


def secured_pair(certificates: Certificates) -> tuple[End, Secured]:
    tls = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    mine, theirs = tls_pair(server_context(tls), certificates.client_context())
    return End(mine), theirs


async def test_receive_waits_for_something() -> None:
    mine, theirs = pair()
    heard = []
    async with trio.open_nursery() as nursery:

        async def listen() -> None:
            for _ in range(3):
                heard.append(await receive(theirs, 4))

        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        mine.send(b"123456")
        await wait_all_tasks_blocked()
        assert heard == [b"1234", b"56"]
        mine.half_close()
    assert heard[2] == b""
    mine.close()
    theirs.close()


async def test_a_receive_that_is_cancelled_loses_nothing(certificates: Certificates) -> None:
    mine, theirs = secured_pair(certificates)
    with trio.CancelScope() as scope:
        scope.cancel()
        await receive(theirs, 100)
    assert scope.cancelled_caught
    mine.send(b"here")
    assert await receive(theirs, 100) == b"here"
    mine.close()
    theirs.socket.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_send_all_goes_on_when_there_is_room(certificates: Certificates, secure: bool) -> None:
    mine, theirs = secured_pair(certificates) if secure else pair()
    data = bytes(range(256)) * 8000
    heard = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, theirs, data)
        while len(heard) < len(data):
            await wait_all_tasks_blocked()
            heard += mine.receive()
    assert heard == data
    mine.close()
    (theirs.socket if isinstance(theirs, Secured) else theirs).close()


@pytest.mark.parametrize("secure", [False, True])
async def test_closing_gently_lets_the_last_reply_arrive(certificates: Certificates, secure: bool) -> None:
    """With unread input a plain close would reset the connection, and the reply might be lost."""
    mine, theirs = secured_pair(certificates) if secure else pair()
    mine.send(b"x" * 50_000)
    await send_all(theirs, b"ERROR the reason\r\n")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_gently, theirs)
        await wait_all_tasks_blocked()
        assert mine.receive() == b"ERROR the reason\r\n"
        assert mine.ended
        mine.close()
    assert (theirs.socket if isinstance(theirs, Secured) else theirs).fileno() == -1


async def test_closing_gently_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LINGER_SECONDS", 0.01)
    mine, theirs = pair()
    await close_gently(theirs)
    assert theirs.fileno() == -1
    mine.close()


async def test_closing_gently_does_not_read_for_ever() -> None:
    mine, theirs = pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_gently, theirs)
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 10 * streams.LINGER_BYTES:
                await wait_all_tasks_blocked()
                mine.send(b"x" * 100_000)
                sent += 100_000
    assert sent <= streams.LINGER_BYTES + 400_000
    assert theirs.fileno() == -1
    mine.close()


async def test_closing_gently_closes_when_cancelled() -> None:
    mine, theirs = pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        await close_gently(theirs)
    assert theirs.fileno() == -1
    mine.close()


@pytest.mark.parametrize(
    "junk", [b"get a\r\n", b"\x80" + b"\0" * 23, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff"]
)
async def test_junk_instead_of_a_handshake(certificates: Certificates, junk: bytes) -> None:
    """Case 57."""
    tls = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    mine, theirs = pair()
    mine.send(junk)
    mine.half_close()
    with pytest.raises(OSError):
        await handshake(theirs, server_context(tls))
    mine.close()
    theirs.close()


async def test_an_old_version_of_tls_is_told_why(certificates: Certificates) -> None:
    """Case 56: an alert, not silence."""
    tls = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key, minimum_version="1.3")
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    mine.setblocking(False)
    context = certificates.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = context.wrap_socket(mine, server_hostname="localhost", do_handshake_on_connect=False)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(ssl.SSLError):
        await handshake(theirs, server_context(tls))
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        client.do_handshake()
    client.close()
    theirs.close()
