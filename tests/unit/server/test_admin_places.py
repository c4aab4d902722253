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
from mcproxy.server.admin_places import CONNECTIONS, CONNECTIONS_PER_SOURCE, MOST_WAITING, Places, Stage
from mcproxy.server.pace import Pace
from mcproxy.server.tls import server_context


def lost(places):
    return [place for place in places if place.scope.cancel_called]


def taken(places, count, source="127.0.0.1", stage=Stage.SILENT):
    found = [places.take(source) for _ in range(count)]
    for place in found:
        place.stage = stage
    return found


async def test_a_source_has_its_share_and_takes_its_own_places():
    """Of IPv6 it is a /64: one host has as many addresses of it as it likes."""
    places = Places()
    neighbour = places.take("fd00:0:0:1::1")
    own = [places.take(f"fd00:0:0:2::{number:x}") for number in range(CONNECTIONS_PER_SOURCE + 2)]
    assert lost([neighbour, *own]) == own[:2]
    for place in own:
        place.stage = Stage.PAGE
    assert places.take("fd00:0:0:2::ffff") is None
    assert places.take("fd00:0:0:1::1") is not None


async def test_who_has_most_places_loses_the_oldest():
    places = Places()
    few = [places.take("10.0.0.1"), places.take("10.0.0.2")]
    local = taken(places, CONNECTIONS - 2)
    local[0].stage = Stage.PAGE
    few.append(places.take("10.0.0.3"))
    assert lost(few + local) == [local[1]]


async def test_who_has_said_less_goes_first():
    places = Places()
    local = taken(places, CONNECTIONS, stage=Stage.READING)
    local[3].stage, local[2].stage = Stage.SILENT, Stage.ASKING
    for number in (3, 2, 0, 1):
        taken(places, 1, stage=Stage.READING)
        assert local[number].scope.cancel_called
    assert len(lost(local)) == 4


@pytest.mark.parametrize("stage", [Stage.HANDSHAKE, Stage.PAGE])
async def test_who_waits_for_us_gives_way_to_who_has_fewer_places_and_to_nobody_else(stage):
    places = Places()
    local = taken(places, CONNECTIONS, stage=stage)
    assert places.take("127.0.0.1") is None
    assert places.take("10.0.0.1") is not None
    assert lost(local) == local[:1]


async def test_not_all_who_wait_for_pages_keep_their_places():
    """Who asks for what takes no time finds one, and the others aren't kept from their pages by it."""
    places = Places()
    local = taken(places, CONNECTIONS)
    for place in local:
        places.waits(place)
    assert places.take("127.0.0.1") is not None
    assert places.take("127.0.0.1") is not None
    assert lost(local) == [local[-2], local[-1]]


async def test_one_source_does_not_keep_all_places_of_those_who_wait_for_pages():
    places = Places()
    local = taken(places, MOST_WAITING)
    for place in local:
        places.waits(place)
    assert {place.stage for place in local} == {Stage.PAGE}
    stranger = places.take("10.0.0.1")
    places.waits(stranger)
    assert (local[0].stage, stranger.stage) == (Stage.SURPLUS, Stage.PAGE)


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
        for _ in range(CONNECTIONS):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.sendall(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            ends.append(theirs)
            places.append(port.places.take("unix"))
            nursery.start_soon(port.serve, ours, places[-1], contextlib.ExitStack())
        await wait_all_tasks_blocked()
        assert {place.stage for place in places} == {Stage.READING}
        assert busy == 0
        for number in range(3):
            assert port.places.take("10.0.0.1") is not None
            assert lost(places) == places[: number + 1]
        nursery.cancel_scope.cancel()
    for end in ends:
        end.close()


async def test_a_silent_one_hurries_the_relay_for_a_moment_alone(autojump_clock):
    """As long as its request may still be on its way; and whenever that comes, it is answered."""
    busy = contextlib.ExitStack()
    ended = []
    busy.callback(ended.append, "the hurry")
    port = admin.Port(Pages(no_obstacle), None, contextlib.nullcontext, Pace())
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.serve, ours, port.places.take("unix"), busy)
        await trio.sleep(admin.PROMPT * 0.9)
        assert ended == []
        await trio.sleep(admin.PROMPT * 0.2)
        assert ended == ["the hurry"]
        theirs.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        theirs.shutdown(socket.SHUT_WR)
    with theirs:
        assert theirs.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("path", ["/metrics", "/status.json", "/readyz"])
async def test_who_waits_for_pages_keeps_nobody_from_healthz(path):
    async def never(*_):
        await trio.sleep_forever()

    port = admin.Port(Pages(never, metrics=never, status=never), None, contextlib.nullcontext, Pace())

    async def ask(path):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        nursery.start_soon(port.serve, ours, port.places.take("unix"), contextlib.ExitStack())
        await wait_all_tasks_blocked()
        return theirs

    async with trio.open_nursery() as nursery:
        ends = [await ask(path) for _ in range(CONNECTIONS + 1)]
        ends.append(await ask("/healthz"))
        assert ends[-1].recv(100).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()
    for end in ends:
        end.close()


class Counting(Pace):
    """Notes whose pieces of work were done at its pace."""

    def __init__(self):
        super().__init__()
        self.sources = []

    @contextlib.asynccontextmanager
    async def piece(self, source):
        async with super().piece(source):
            yield
        self.sources.append(source)


async def test_handshakes_are_paced_and_a_host_has_one_turn_for_all_its_addresses(certificates):
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
        await port.serve(ours, port.places.take("fd00::1"), contextlib.ExitStack())
        incoming.write(theirs.recv(65536))
    client.do_handshake()
    assert pace.sources == ["fd00::/64"] * 2


async def test_who_says_nothing_waits_for_no_turn_and_who_waits_for_one_does_not_lose_his_place(certificates):
    settings = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    guard, pace = SimpleNamespace(context=server_context(settings)), Pace()
    port = admin.Port(Pages(no_obstacle), guard, contextlib.nullcontext, pace)
    stages = []
    async with trio.open_nursery() as nursery, pace.piece("127.0.0.0/8"):
        ends = [socket.socketpair() for _ in range(2)]
        for ours, _ in ends:
            ours.setblocking(False)
            stages.append(port.places.take("127.0.0.1"))
            nursery.start_soon(port.serve, ours, stages[-1], contextlib.ExitStack())
        ends[1][1].sendall(b"hello")
        await wait_all_tasks_blocked()
        assert [place.stage for place in stages] == [Stage.SILENT, Stage.HANDSHAKE]
        nursery.cancel_scope.cancel()
    for _, theirs in ends:
        theirs.close()
