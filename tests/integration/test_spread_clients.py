"""HAProxy as in config/haproxy.cfg spreads clients over three programs, which share what is behind them.

HAProxy asks each whether it is ready, and conveys where a client comes from in a PROXY header of version 2.
"""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import configuration
from tests.support.conversation import Connection, play
from tests.support.haproxy import BALANCER, Frontend, Haproxy, documented
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy, token
from tests.support.waiting import eventually

ALLOWED = "127.0.0.5"
STRANGER = "127.0.0.7"


@pytest.fixture
def programs(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[list[Proxy]]:
    listener = {
        "bind": ["127.0.0.1:0"],
        "allow": [f"{ALLOWED}/32"],
        "proxy_protocol": [f"{BALANCER}/32"],
        "authentication": ["token"],
    }
    listeners = {"plain": listener, "tls": None, "socket": None}
    with Memcached(short_path()) as memcached, ExitStack() as ends:
        started = []
        for _ in range(3):
            directory = short_path()
            settings = configuration(directory, memcached.address, certificates, listeners=listeners)
            started.append(Proxy(directory, settings, certificates))
        with ThreadPoolExecutor() as beside_each_other:
            starting = [beside_each_other.submit(program.start) for program in started]
        for program in started:
            ends.callback(end_well, program)
        for start in starting:
            start.result()
        yield started


def end_well(program: Proxy) -> None:
    """Unless the test has killed it."""
    assert program.process is not None
    if program.process.returncode != -signal.SIGKILL:
        program.assert_good_end()


@pytest.fixture
def haproxy(programs: list[Proxy], short_path: Callable[[], Path]) -> Iterator[Haproxy]:
    servers = [(program.address("plain"), f"port {program.host_and_port('admin')[1]}") for program in programs]
    (address, options), *others = servers
    front = Frontend(address, options, listen="127.0.0.4", more=documented(), others=tuple(others))
    with Haproxy(short_path(), {"cache": front}) as balancer:
        yield balancer


class Clients:
    """Legacy clients behind the balancer, each with one connection."""

    def __init__(self, haproxy: Haproxy, ends: ExitStack) -> None:
        self._haproxy = haproxy
        self._ends = ends

    def connect(self, count: int) -> list[Connection]:
        """So many that have logged in, whoever serves them."""
        connections = []
        for _ in range(count):
            connection = self._ends.enter_context(Connection(self._haproxy.connect("cache", ALLOWED)))
            play(connection, token("sammy"), b"STORED\r\n")
            connections.append(connection)
        return connections


@pytest.fixture
def clients(haproxy: Haproxy) -> Iterator[Clients]:
    with ExitStack() as ends:
        yield Clients(haproxy, ends)


def logins(programs: list[Proxy]) -> Counter[int]:
    """How many each has had, of those who came from the clients' address by way of the balancer."""
    return Counter(
        {
            number: len(program.events("logged_in", source=ALLOWED, via=BALANCER))
            for number, program in enumerate(programs)
        }
    )


def test_clients_are_spread_and_see_the_same_cache(programs: list[Proxy], haproxy: Haproxy, clients: Clients) -> None:
    """Each allowlist sees the client, and not the balancer, which no list has."""

    def refused_by_all() -> bool:
        with Connection(haproxy.connect("cache", STRANGER)) as stranger:
            stranger.send(token("sammy"))
            assert stranger.rest() == b""
        reason = "not on the allowlist"
        return all(program.events("connection_refused", source=STRANGER, reason=reason) for program in programs)

    connections = clients.connect(9)
    eventually("each serves three", lambda: logins(programs) == {0: 3, 1: 3, 2: 3})
    play(connections[0], b"set app:a 0 0 3\r\none\r\n", b"STORED\r\n")
    for connection in connections:
        play(connection, b"get app:a\r\nget b\r\n", b"VALUE app:a 0 3\r\none\r\nEND\r\nCLIENT_ERROR access denied\r\n")
    play(connections[8], b"delete app:a\r\n", b"DELETED\r\n")
    for connection in connections:
        play(connection, b"get app:a\r\n", b"END\r\n")
    eventually("each has refused the stranger", refused_by_all)


def test_clients_of_one_that_ends_go_to_the_others(programs: list[Proxy], clients: Clients) -> None:
    """One drains: what is in flight is answered first. Another is killed. Whoever connects after that is served."""
    connections = clients.connect(6)
    for connection in connections:
        connection.send(b"set app:a 0 0 3\r\none\r\n")
    assert all(connection.line() == b"STORED\r\n" for connection in connections)
    assert programs[1].stop() == 0
    left = [connection for connection in connections if not is_closed(connection)]
    assert len(left) == 4, "closed are those of the one that drained, and no others"
    left += clients.connect(2)
    eventually("two serve all", lambda: logins(programs) == {0: 3, 1: 2, 2: 3})
    programs[0].kill()
    left = [connection for connection in left if not is_closed(connection)]
    assert len(left) == 3
    left += clients.connect(3)
    eventually("one serves all", lambda: logins(programs)[2] == 6)
    for connection in left:
        play(connection, b"get app:a\r\n", b"VALUE app:a 0 3\r\none\r\nEND\r\n")


def is_closed(connection: Connection) -> bool:
    """Whether the other side has ended it; else it is in step."""
    connection.send(b"mn\r\n")
    answer = connection.line()
    assert answer in (b"", b"MN\r\n")
    return answer == b""
