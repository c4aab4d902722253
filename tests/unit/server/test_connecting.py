"""Connecting to a host of several addresses, and what an upstream that closes at once may still have said."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trio

from mcproxy.config.addresses import TcpAddress
from mcproxy.config.schema import UpstreamTls
from mcproxy.relay.obstacle import FULL, NotOpened
from mcproxy.server.dialogue import connect, greet, secure
from mcproxy.server.upstream_states import client_context
from tests.support.certificates import Certificates
from tests.support.gateway import upstream_tls

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close(2) send a reset."""


class Resolver(trio.abc.HostnameResolver):
    """Every name has these addresses, in this order."""

    def __init__(self, *addresses: tuple[str, int]) -> None:
        self._addresses = addresses

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, type: int = 0, *_: int) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", to) for to in self._addresses]

    async def getnameinfo(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


@pytest.fixture
def nobody() -> Iterator[tuple[str, int]]:
    """Refuses connections: bound, and not listened at."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """Doesn't answer, as a machine that is gone: its queue of connections is full."""
    with ExitStack() as ends:
        listener = ends.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(10):
            waiting = ends.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()


async def connected(*addresses: tuple[str, int], patience: float = 5) -> tuple[str, int]:
    trio.socket.set_custom_hostname_resolver(Resolver(*addresses))
    with trio.fail_after(patience):
        connection = await connect(TcpAddress("cache.example", 11211))
    with connection:
        peer: tuple[str, int] = connection.getpeername()
        return peer


async def test_the_first_that_answers(listening: tuple[str, int], nobody: tuple[str, int]) -> None:
    assert await connected(listening, nobody) == listening
    assert await connected(nobody, nobody, listening, nobody) == listening


async def test_one_that_does_not_answer(listening: tuple[str, int], silent: tuple[str, int]) -> None:
    """It has its part of the time, and the next one is tried."""
    assert await connected(silent, listening, patience=0.5) == listening


async def test_none_answers(nobody: tuple[str, int], silent: tuple[str, int]) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connected(nobody, nobody)
    with pytest.raises(ConnectionRefusedError):
        await connected(silent, nobody, patience=0.2)
    with pytest.raises(trio.TooSlowError):
        await connected(nobody, silent, patience=0.2)


async def test_an_alert_before_a_reset(certificates: Certificates) -> None:
    """With TLS 1.3 upstream refuses our certificate, or that we have none, once we are done with the handshake. What we
    send then finds the connection reset; why, has come before."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    context.load_verify_locations(certificates.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        sock = await connect(TcpAddress(*listener.getsockname()))
        with sock:
            tls = UpstreamTls.model_validate(upstream_tls(certificates))
            connection = await secure(sock, client_context(tls), "127.0.0.1")
            await trio.to_thread.run_sync(refusing.join)
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                await greet(connection, "text")


async def test_too_many_connections_before_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = await connect(TcpAddress(*listener.getsockname()))
        with sock:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.sendall(b"ERROR Too many open connections\r\n")
            connection.close()
            with pytest.raises(NotOpened) as raised:
                await greet(sock, "text")
    assert raised.value.obstacle is FULL
