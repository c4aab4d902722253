"""Clients that know of no login, unchanged, through a gateway to everything that wants one.

Each test runs with every client, in every way in which the gateway tells it apart, against every upstream.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.certificates import Certificates
from tests.support.conversation import Connection, play
from tests.support.gateway import FarEnd, gateway
from tests.support.legacy_clients import LEGACY_CLIENTS, LegacyClient, make_client
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

UPSTREAMS = (
    *("sasl-plain", "sasl-scram", "sasl-tls", "token-tls"),
    *("guard-scram", "guard-bound", "guard-certificate", "guard-external"),
)
MEBIBYTE = 1 << 20

_numbers = itertools.count()


class Cell(NamedTuple):
    """One client, in one way, to one upstream."""

    upstream: str
    way: str
    kind: str

    @property
    def listener(self) -> str:
        return f"{self.upstream}-{self.way}"

    def __str__(self) -> str:
        return f"{self.upstream}-{self.way}-{self.kind}"


# Each upstream by the unix socket, and by loopback in one of the two ways in turn.
CELLS = [
    Cell(upstream, way, kind)
    for upstream, loopback in zip(UPSTREAMS, itertools.cycle(("none", "address")), strict=False)
    for way, kind in itertools.product(("peer", loopback), LEGACY_CLIENTS)
    if not (way == "peer" and "unix" in LEGACY_CLIENTS[kind].lacks)
]


def with_call(name: str) -> pytest.MarkDecorator:
    """A test of those clients alone that have such a call."""
    cells = [cell for cell in CELLS if name not in LEGACY_CLIENTS[cell.kind].lacks]
    return pytest.mark.parametrize("cell", cells, ids=str, indirect=True)


@pytest.fixture(scope="module")
def far_end(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[FarEnd]:
    with FarEnd(short_path, certificates, *UPSTREAMS) as started:
        yield started


@pytest.fixture(scope="module")
def program(far_end: FarEnd, short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    """The gateway. At the end every link that it ever had in service is still there, whatever went over it."""
    started = gateway(short_path(), certificates, far_end.upstreams)
    try:
        yield started.start()
        assert started.events("upstream_link_lost") == [], str(started)
        assert started.metric("mcproxy_upstream_failures_total") == 0, str(started)
        assert far_end.guard.events("upstream_link_lost") == [], str(far_end.guard)
    finally:
        started.assert_good_end()


@pytest.fixture(params=CELLS, ids=str)
def cell(request: pytest.FixtureRequest) -> Cell:
    found: Cell = request.param
    return found


@pytest.fixture
def client(cell: Cell, program: Proxy) -> Iterator[LegacyClient]:
    """A client of this cell; after each test the link that all share is in step."""
    made = make_client(cell.kind, program.address(cell.listener))
    try:
        yield made
    finally:
        made.close()
    in_step(program, cell)


def in_step(program: Proxy, cell: Cell) -> None:
    """Another client gets the answers to its own questions, and nothing that was left over."""
    value = b"step-%d" % next(_numbers)
    with program.connect(cell.listener) as connection:
        asked = b"set step 7 0 %d\r\n%s\r\nget nothing\r\nget step\r\n" % (len(value), value)
        play(connection, asked, b"STORED\r\nEND\r\nVALUE step 7 %d\r\n%s\r\nEND\r\n" % (len(value), value))


@pytest.fixture
def key() -> str:
    return f"k{next(_numbers)}"


def test_storing(client: LegacyClient, key: str) -> None:
    """set, get, add, replace and delete, and what each says of a key that is there and of one that isn't."""
    assert client.get(key) is None
    assert not client.replace(key, b"too early")
    assert client.set(key, b"END\r\nVALUE k 0 1\r\n\0\xff")
    assert client.get(key) == b"END\r\nVALUE k 0 1\r\n\0\xff"
    assert not client.add(key, b"too late")
    assert client.replace(key, b"")
    assert client.get(key) == b""
    assert client.delete(key)
    assert client.delete(key) is ("misses of delete" in client.lacks)
    assert client.get(key) is None
    assert client.add(key, b"first")
    assert client.get(key) == b"first"


def test_types_travel_in_the_flags(client: LegacyClient, cell: Cell, far_end: FarEnd, key: str) -> None:
    """Text and numbers come back as such, and memcached holds the flags that the library chose."""
    for value, flags in (("text with \u00fc", client.text_flags), (42, client.number_flags)):
        assert client.set(key, value)
        back = client.get(key)
        assert (back, type(back)) == (value, type(value))
        held = far_end.held(cell.upstream, key)
        assert held is not None
        assert held[1] == flags
    assert client.set(key, b"bytes")
    assert far_end.held(cell.upstream, key) == (b"bytes", 0)


def test_appending(client: LegacyClient, key: str) -> None:
    assert not client.append(key, b"x")
    assert not client.prepend(key, b"x")
    assert client.set(key, b"middle")
    assert client.append(key, b"-end\r\n")
    assert client.prepend(key, b"start-")
    assert client.get(key) == b"start-middle-end\r\n"


def test_cas_stores_only_over_what_was_read(client: LegacyClient, key: str) -> None:
    assert client.gets(key)[0] is None
    assert client.set(key, b"one")
    value, unique = client.gets(key)
    assert value == b"one"
    assert int(unique) > 0
    assert client.cas(key, b"two", unique)
    assert not client.cas(key, b"three", unique)
    value, later = client.gets(key)
    assert (value, int(later) != int(unique)) == (b"two", True)
    assert client.delete(key)
    assert not client.cas(key, b"four", later)
    assert client.get(key) is None


def test_counting(client: LegacyClient, key: str) -> None:
    assert client.incr(key, 1) is None
    assert client.decr(key, 1) is None
    assert client.set(key, b"41")
    assert client.incr(key, 1) == 42
    assert client.incr(key, 2_000_000_000) == 2_000_000_042
    assert client.decr(key, 2_000_000_000) == 42
    assert client.decr(key, 100) == 0
    assert client.incr(key, 0) == 0


def test_many_at_once(client: LegacyClient, key: str) -> None:
    """More than fit one line, with values that are there and values that are not."""
    values = {f"{key}-{number}-{'x' * 30}": b"%d" % number * number for number in range(120)}
    for name, value in values.items():
        assert client.set(name, value)
    absent = [f"{name}-absent" for name in values]
    asked = [name for pair in zip(values, absent, strict=True) for name in pair]
    assert client.get_many(asked) == values
    assert client.get_many(absent) == {}


def test_expiry(client: LegacyClient, key: str) -> None:
    """What expired in the past is gone; what is touched or stored for later stays."""
    assert not client.touch(key, 1000)
    assert client.set(key, b"x", 1000)
    assert client.touch(key, 2000)
    assert client.get(key) == b"x"
    assert client.touch(key, -1)
    assert client.get(key) is None
    assert client.set(key, b"x", 86400 * 31)  # a Unix time, of 1970
    assert client.get(key) is None
    if "negative expiry" not in client.lacks:
        assert client.set(key, b"x", -1)
        assert client.get(key) is None


@with_call("get_and_touch")
def test_get_and_touch(client: LegacyClient, key: str) -> None:
    assert client.get_and_touch(key, 1000) is None
    assert client.set(key, b"x\r\ny", 1000)
    assert client.get_and_touch(key, 2000) == b"x\r\ny"
    assert client.get_and_touch(key, -1) == b"x\r\ny"
    assert client.get(key) is None


@with_call("noreply")
def test_noreply(client: LegacyClient, key: str) -> None:
    """Nothing comes back, not even of what fails, and the next answer is that of the next question."""
    client.set_silently(key, b"x" * 5000)
    eventually("it is stored", lambda: client.get(key) == b"x" * 5000)
    client.delete_silently(key)
    eventually("it is deleted", lambda: client.get(key) is None)
    client.delete_silently(key)
    assert client.set(key, b"y")
    assert client.get(key) == b"y"


def test_large_values(client: LegacyClient, cell: Cell, far_end: FarEnd, key: str) -> None:
    value = bytes(range(256)) * (MEBIBYTE // 256)
    assert client.set(key, value)
    assert client.get(key) == value
    assert client.get_many([key, f"{key}-absent"]) == {key: value}
    assert client.delete(key)


def test_the_server_itself(client: LegacyClient, key: str) -> None:
    """version, stats and flush_all."""
    if "version" not in client.lacks:
        assert client.version().startswith("1.6.")
    before = client.stats()
    assert int(before["pid"]) > 0
    assert client.set(key, b"x")
    client.flush_all()
    assert client.get(key) is None
    assert int(client.stats()["cmd_flush"]) == int(before["cmd_flush"]) + 1
    assert client.set(key, b"y")
    assert client.get(key) == b"y"


def test_seconds_mean_the_same_at_the_far_end(program: Proxy) -> None:
    """Of two values that are to expire in a second, the one that was touched stays, at every upstream."""

    def ask(connection: Connection, line: bytes) -> bytes:
        connection.send(line)
        return connection.line()

    connections = {upstream: program.connect(f"{upstream}-peer") for upstream in UPSTREAMS}
    for upstream, connection in connections.items():
        here = upstream.encode()
        for name in (b"expiring", b"touched"):
            assert ask(connection, b"set %s-%s 0 1 1\r\nx\r\n" % (here, name)) == b"STORED\r\n"
        assert ask(connection, b"touch %s-touched 1000\r\n" % here) == b"TOUCHED\r\n"
    for upstream, connection in connections.items():
        here = upstream.encode()

        def gone(connection: Connection = connection, here: bytes = here) -> bool:
            line = ask(connection, b"get %s-expiring\r\n" % here)
            return line == b"END\r\n" or not connection.receive(8)

        eventually(f"the value at {upstream} expires", gone, every=0.05)
        play(connection, b"get %s-touched\r\n" % here, b"VALUE %s-touched 0 1\r\nx\r\nEND\r\n" % here)
