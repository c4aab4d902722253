"""What a TLS client sends that carries no data is bounded: it costs the proxy work and memory, and serves nobody."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import NO_DATA, TLS_UNSENT, Secured
from mcproxy.server.connection_notes import explain
from mcproxy.server.streams import receive, send_all
from mcproxy.server.tls import server_context
from tests.support.certificates import Certificates
from tests.support.key_updates import LENGTH, KeyUpdates


class Client:
    """A client of TLS 1.3 over memory buffers, and the proxy's side of its connection."""

    def __init__(self, certificates: Certificates) -> None:
        tls = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
        self.socket, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.proxy = Secured(theirs, server_context(tls))
        self._incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = certificates.client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.tls = context.wrap_bio(self._incoming, outgoing, server_hostname="localhost")
        self.outgoing = outgoing
        done = False
        while not done:
            try:
                self.tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            self.proxy.feed(outgoing.read())
            _, answer = self.proxy.handshake()
            self._incoming.write(answer)
        self.key_updates = KeyUpdates(self.tls, outgoing)

    def data(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def hears(self) -> bytes:
        self._incoming.write(self.socket.recv(65536))
        return self.tls.read()


@pytest.fixture
def client(certificates: Certificates) -> Iterator[Client]:
    client = Client(certificates)
    with client.socket, client.proxy.socket:
        yield client


async def test_answers_to_key_updates_do_not_pile_up(client: Client) -> None:
    with pytest.raises(ssl.SSLError) as raised:
        for _ in range(100):
            client.socket.sendall(client.key_updates.take(10))
            with pytest.raises(BlockingIOError):
                client.proxy.receive(4096)
    assert raised.value.reason == NO_DATA
    assert explain(raised.value) == NO_DATA
    assert TLS_UNSENT < client.proxy.unsent <= TLS_UNSENT + 10 * LENGTH


async def test_before_its_first_command_a_client_is_cut_off(client: Client) -> None:
    """Nothing else would end a client that is known by its certificate: its silence has no deadline."""
    client.socket.sendall(client.key_updates.take(1000))
    with pytest.raises(ssl.SSLError, match=NO_DATA):
        await receive(client.proxy, 4096)


async def test_updates_that_are_answered_are_bounded_too(client: Client) -> None:
    """As when something is sent all the while; each still costs the proxy its work."""
    sent = 0
    with pytest.raises(ssl.SSLError, match=NO_DATA):
        for _ in range(1000):
            client.socket.sendall(client.key_updates.take(10))
            sent += 10 * LENGTH
            try:
                client.proxy.receive(4096)
            except BlockingIOError:
                await send_all(client.proxy, b"x")
    assert 30_000 < sent < 45_000


async def test_keys_may_be_updated_between_commands(client: Client) -> None:
    for _ in range(2000):
        client.socket.sendall(client.key_updates.take(1) + client.data(b"get a\r\n"))
        assert await receive(client.proxy, 4096) == b"get a\r\n"
        await send_all(client.proxy, b"END\r\n")
        assert client.proxy.unsent == 0
        assert client.hears() == b"END\r\n"


async def test_a_record_that_comes_byte_by_byte_is_no_offence(client: Client) -> None:
    for _ in range(3):
        record = client.data(b"x" * 16384)
        for start in range(0, len(record) - 1, 7):
            client.socket.sendall(record[start : min(start + 7, len(record) - 1)])
            with pytest.raises(BlockingIOError):
                client.proxy.receive(4096)
        client.socket.sendall(record[-1:])
        assert client.proxy.receive(4096) == b"x" * 16384
