"""Who a connection comes from, before it is a client's: the header read to its end and no further, places, refusals.

Real sockets over loopback; where they are said to come from is made up, as a test can't have other machines.
"""

import contextlib
import math
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from mcproxy.policy.allowlist import Allowlist
from mcproxy.policy.proxy_header import ProxyHeader, ProxyHeaderError
from mcproxy.server import arrival
from mcproxy.server.admission import Admission, CountedPlace
from mcproxy.server.crowd import SILENCE, Crowds

V1 = b"PROXY TCP4 10.1.0.1 10.0.0.2 1 2\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"


@contextlib.contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection; the first doesn't block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("header", [V1, LOCAL, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([10, 1, 0, 1] * 3)])
async def test_what_follows_a_header_stays_in_the_socket(header: bytes, nursery: trio.Nursery) -> None:
    for behind in (b"", b"\x16\x03\x01", header, b"x" * 5000):
        with connected() as (ours, theirs):
            theirs.sendall(header + behind)
            theirs.shutdown(socket.SHUT_WR)
            assert isinstance(await arrival.read_header(ours), ProxyHeader)
            left = b""
            while data := ours.recv(10_000):
                left += data
            assert left == behind


@pytest.mark.parametrize("header", [V1, LOCAL])
async def test_a_header_in_pieces(header: bytes) -> None:
    """Each piece is read, and then waited for the next without spinning."""
    for cut in range(1, len(header)):
        with connected() as (ours, theirs):
            got: list[ProxyHeader | None] = []

            async def read(sock: socket.socket = ours, got: list[ProxyHeader | None] = got) -> None:
                got.append(await arrival.read_header(sock))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                theirs.sendall(header[:cut])
                await trio.testing.wait_all_tasks_blocked(0.001)
                assert not got
                theirs.sendall(header[cut:] + b"behind")
            assert got[0] is not None
            assert ours.recv(100) == b"behind"


async def test_the_end_instead_of_a_header() -> None:
    with connected() as (ours, theirs):
        theirs.shutdown(socket.SHUT_WR)
        assert await arrival.read_header(ours) is None
    with connected() as (ours, theirs):
        theirs.sendall(V1[:-1])
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ProxyHeaderError, match="breaks off"):
            await arrival.read_header(ours)


class Stage:
    """As much of a server as an arriving connection sees. `clients` are those that got through."""

    def __init__(self, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.admission = Admission(connections=2, per_address=0, logins=2)
        self.refusals: list[str] = []
        self.clients: list[dict[str, Any]] = []
        limits = SimpleNamespace(login_timeout=5.0)
        self.server: Any = SimpleNamespace(
            ending=False,
            enters_until=math.inf,
            relay=SimpleNamespace(busy=contextlib.nullcontext),
            entrance=self.admission,
            metrics=SimpleNamespace(
                connection_accepted=lambda listener: None,
                connection_refused=lambda listener, reason: self.refusals.append(str(reason)),
            ),
            crowds=Crowds(),
            generation=SimpleNamespace(settings=SimpleNamespace(limits=limits)),
            start_arriving=nursery.start_soon,
        )
        self.listener: Any = SimpleNamespace(
            name="test",
            allowlist=Allowlist(map(ip_network, ("10.1.0.0/16", "127.0.0.0/8", "10.0.0.3"))),
            balancers=Allowlist(map(ip_network, ("10.0.0.2", "10.0.0.3", "127.0.0.2"))),
        )
        stage = self

        class Client:
            def __init__(self, *given: Any, **more: Any) -> None:
                self.given = {"address": given[3], "place": given[4], **more}

            async def run(self) -> None:
                stage.clients.append(self.given)

        monkeypatch.setattr(arrival, "Client", Client)

    async def arrives(self, ours: socket.socket, peer: str) -> None:
        await arrival.arrive(self.server, self.listener, ours, (peer, 1))
        await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.fixture
def stage(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(nursery, monkeypatch)


@pytest.mark.parametrize(
    ("peer", "data", "address", "via", "counted"),
    [
        ("10.1.0.9", b"", "10.1.0.9", None, "10.1.0.9"),
        ("::ffff:10.1.0.9", b"", "10.1.0.9", None, "10.1.0.9"),
        ("127.0.0.1", b"", "127.0.0.1", None, None),
        ("10.0.0.2", V1, "10.1.0.1", "10.0.0.2", "10.1.0.1"),
        ("::ffff:10.0.0.2", V1, "10.1.0.1", "10.0.0.2", "10.1.0.1"),
        ("10.0.0.3", LOCAL, "10.0.0.3", None, "10.0.0.3"),
        ("127.0.0.2", LOCAL, "127.0.0.2", None, None),
        ("127.0.0.2", V1, "10.1.0.1", "127.0.0.2", "10.1.0.1"),
        ("127.0.0.2", V1.replace(b"10.1.0.1", b"127.0.0.1"), "127.0.0.1", "127.0.0.2", "127.0.0.1"),
    ],
)
async def test_who_it_is_and_what_it_counts_for(
    stage: Stage, peer: str, data: bytes, address: str, via: str | None, counted: str | None
) -> None:
    with connected() as (ours, theirs):
        theirs.sendall(data)
        await stage.arrives(ours, peer)
        (client,) = stage.clients
        assert (client["address"], client["via"], client["place"].address) == (address, via, counted)
        assert (client["arrived"] is None) is (data == b"")
        client["place"].release()
    assert (stage.admission.connections, stage.admission.waiting) == (0, 0)
    assert not stage.admission._by_address


@pytest.mark.parametrize(
    ("peer", "data", "reason"),
    [
        ("10.0.0.9", V1, "not_allowed"),
        ("10.0.0.2", LOCAL, "not_allowed"),
        ("10.0.0.2", b"PROXY UNKNOWN\r\n", "not_allowed"),
        ("10.0.0.2", V1.replace(b"10.1.0.1", b"10.2.0.1"), "not_allowed"),
        ("10.0.0.2", V1.replace(b"10.1.0.1", b"127.0.0.1"), "proxy_header"),
        ("10.0.0.2", b"PROXY TCP6 ::ffff:127.0.0.1 ::1 1 2\r\n", "proxy_header"),
        ("10.0.0.2", b"PROXY TCP6 ::1 ::1 1 2\r\n", "proxy_header"),
        ("10.0.0.2", b"get a\r\n", "proxy_header"),
    ],
)
async def test_refused_and_the_place_given_back(stage: Stage, peer: str, data: bytes, reason: str) -> None:
    for _ in range(3):
        with connected() as (ours, theirs):
            theirs.sendall(data)
            await stage.arrives(ours, peer)
            with contextlib.suppress(ConnectionResetError):
                assert theirs.recv(10) == b""
    assert stage.clients == []
    assert stage.refusals == [reason] * 3
    assert (stage.admission.connections, stage.admission.waiting) == (0, 0)


async def test_a_conveyed_address_over_its_cap_is_refused(stage: Stage) -> None:
    stage.server.entrance = Admission(connections=9, per_address=1, logins=9)
    with connected() as (ours, theirs), connected() as (more, others):
        for sock, sender in ((ours, theirs), (more, others)):
            sender.sendall(V1)
            await stage.arrives(sock, "10.0.0.2")
    assert len(stage.clients) == 1
    assert stage.refusals == ["too_many_from_address"]
    assert stage.server.entrance.connections == 1


async def test_balancers_that_have_said_nothing_count_in_all(stage: Stage, nursery: trio.Nursery) -> None:
    """Whose header is still to come holds a place among those who log in; with it, the place is only named."""
    with connected() as (ours, theirs), connected() as (more, others), connected() as (late, latest):
        for sock in (ours, more):
            await stage.arrives(sock, "10.0.0.2")
        assert (stage.admission.connections, stage.admission.waiting) == (2, 2)
        nursery.start_soon(stage.arrives, late, "10.1.0.9")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert stage.refusals == ["too_many"]
        for sender in (theirs, others):
            sender.sendall(V1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(stage.clients) == 2, "nobody waits for a place that he holds himself"
        with contextlib.suppress(ConnectionResetError):
            assert latest.recv(10) == b""


async def test_whoever_is_cancelled_before_the_header_leaves_nothing_behind(stage: Stage) -> None:
    with connected() as (ours, _):
        async with trio.open_nursery() as nursery:
            stage.server.start_arriving = nursery.start_soon
            await stage.arrives(ours, "10.0.0.2")
            assert stage.admission.connections == 1
            nursery.cancel_scope.cancel()
        assert ours.fileno() == -1
    assert stage.admission.connections == 0


def test_a_place_counts_for_one_address_and_once() -> None:
    admission = Admission(connections=9, per_address=2, logins=9)
    places = [admission.enter_now("test", None) for _ in range(4)]
    given = [place for place in places if isinstance(place, CountedPlace)]
    assert [place.comes_from_now("10.1.0.1") for place in given] == [None, None] + ["too_many_from_address"] * 2
    assert given[0].comes_from_now("10.1.0.2") is None
    assert given[0].address == "10.1.0.1", "what was said first"
    for place in given:
        place.logged_in()
        place.release()
        place.release()
    assert (admission.connections, admission.waiting) == (0, 0)
    assert not admission._by_address
    assert not admission._waiting_by_source


@pytest.mark.parametrize("peer", ["10.1.0.1", "127.0.0.2"])
async def test_whoever_crowds_the_others_out_is_refused_also_behind_a_balancer(
    stage: Stage, autojump_clock: trio.testing.MockClock, peer: str
) -> None:
    crowd = stage.server.crowds["test"]
    with connected() as (ours, theirs), connected() as (silent, _):
        with crowd.joined_by("10.1.0.1", silent, trio.CancelScope()):
            await trio.sleep(SILENCE)
            assert not crowd.make_room_for("10.1.0.1")
            theirs.sendall(V1)
            await stage.arrives(ours, peer)
        with contextlib.suppress(ConnectionResetError):
            assert theirs.recv(10) == b""
    assert (stage.clients, stage.refusals) == ([], ["too_many_from_address"])
    assert (stage.admission.connections, stage.admission.waiting) == (0, 0)


async def test_a_balancer_that_sends_no_header_gives_its_place_to_a_local_client(
    stage: Stage, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage.server.entrance = Admission(connections=9, per_address=0, logins=2)
    with connected() as (first, _), connected() as (second, _), connected() as (third, _):
        for sock in (first, second):
            await stage.arrives(sock, "10.0.0.2")
        await stage.arrives(third, "127.0.0.1")
        assert 1 <= trio.current_time() < 2
        assert stage.refusals == ["crowded_out"]
        assert [client["address"] for client in stage.clients] == ["127.0.0.1"]
