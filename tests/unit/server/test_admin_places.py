"""Whose connection to the admin port is closed for a new one, when there are too many."""

import contextlib
import socket
import ssl
from types import SimpleNamespace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.config.schema import ListenerTls
from mcproxy.server import admin
from mcproxy.server.admin_pages import Pages, no_obstacle
from mcproxy.server.pace import Pace
from mcproxy.server.tls import server_context


@pytest.fixture
def port():
    return admin.Port(Pages(no_obstacle), None, contextlib.nullcontext, Pace())


def lost(places):
    return [place for place in places if place.scope.cancel_called]


async def test_a_source_has_its_share_and_takes_its_own_places(port):
    neighbour = port.place("fd00::1")
    places = [port.place("fd00::2") for _ in range(admin.CONNECTIONS_PER_SOURCE + 2)]
    assert lost([neighbour, *places]) == places[:2]
    for place in places:
        place.has_request, place.clients_turn = True, False
    assert port.place("fd00::2") is None
    assert port.place("fd00::1") is not None


async def test_who_has_most_places_loses_the_oldest(port):
    few = [port.place("10.0.0.1"), port.place("10.0.0.2")]
    local = [port.place("127.0.0.1") for _ in range(admin.CONNECTIONS - 2)]
    local[0].has_request, local[0].clients_turn = True, False
    few.append(port.place("10.0.0.3"))
    assert lost(few + local) == [local[1]]


async def test_who_has_no_request_goes_before_who_reads_slowly(port):
    local = [port.place("127.0.0.1") for _ in range(admin.CONNECTIONS)]
    for place in local:
        place.has_request = place is not local[3]
    for number in (3, 0, 1):
        port.place("127.0.0.1").has_request = True
        assert local[number].scope.cancel_called
    assert len(lost(local)) == 3


async def test_slow_readers_keep_nobody_out_and_slow_nobody_down():
    """They ask for a page, and take nothing of it."""
    busy = 0

    @contextlib.contextmanager
    def is_busy():
        nonlocal busy
        busy += 1
        yield
        busy -= 1

    async def status():
        assert busy
        return bytes(1_000_000)

    port = admin.Port(Pages(no_obstacle, status=status), None, is_busy, Pace())
    ends, places = [], []
    async with trio.open_nursery() as nursery:
        for _ in range(admin.CONNECTIONS):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.sendall(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            ends.append(theirs)
            places.append(port.place("unix"))
            nursery.start_soon(port.serve, ours, "unix", places[-1])
        await wait_all_tasks_blocked()
        assert all(place.has_request for place in places)
        assert busy == 0
        for number in range(3):
            assert port.place("10.0.0.1") is not None
            assert lost(places) == places[: number + 1]
        nursery.cancel_scope.cancel()
    for end in ends:
        end.close()


class Counting(Pace):
    """Counts the pieces of work that were done at its pace."""

    pieces = 0

    @contextlib.asynccontextmanager
    async def piece(self, source):
        async with super().piece(source):
            yield
        self.pieces += 1


async def test_handshakes_are_paced(certificates):
    settings = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    guard, pace = SimpleNamespace(context=server_context(settings)), Counting()
    port = admin.Port(Pages(no_obstacle), guard, contextlib.nullcontext, pace)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        theirs.sendall(outgoing.read())
        theirs.shutdown(socket.SHUT_WR)
        await port.serve(ours, "unix", port.place("unix"))
        incoming.write(theirs.recv(65536))
    client.do_handshake()
    assert pace.pieces == 2
