"""The program in front of a routing engine: twemproxy spreads keys over three memcacheds.

What twemproxy 0.5 does not know it answers by closing the connection, which is a link that all clients share; so the
program refuses that by itself. docs/gateway.md has this set-up.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import LOOPBACK, configuration
from tests.support.conversation import SERVER_ERROR, Connection, Line, play
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.twemproxy import Twemproxy
from tests.support.waiting import eventually

KEYS = [b"app:%d" % number for number in range(60)]
MISSING = [b"app:missing%d" % number for number in range(60)]
DENIED = b"CLIENT_ERROR access denied\r\n"
LINKS = 2


@pytest.fixture(scope="module")
def servers(short_path: Callable[[], Path]) -> Iterator[list[Memcached]]:
    with ExitStack() as ends:
        yield [ends.enter_context(Memcached(short_path())) for _ in range(3)]


@pytest.fixture(scope="module")
def engine(short_path: Callable[[], Path], servers: list[Memcached]) -> Iterator[Twemproxy]:
    with Twemproxy(short_path(), servers) as program:
        yield program


@pytest.fixture(scope="module")
def running(short_path: Callable[[], Path], certificates: Certificates, engine: Twemproxy) -> Iterator[Proxy]:
    directory = short_path()
    listener = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "authentication": ["token"], "protocols": ["text"]}
    listeners = {"plain": listener, "tls": None, "socket": None}
    upstream = {"engine": "twemproxy", "links": LINKS, "timeout": "2s"}
    settings = configuration(directory, engine.address, certificates, listeners=listeners, upstream=upstream)
    program = Proxy(directory, settings, certificates)
    program.start()
    yield program
    program.assert_good_end()


@pytest.fixture
def proxy(running: Proxy, servers: list[Memcached]) -> Iterator[Proxy]:
    """Every key is on its memcached, and afterwards all links that there were still stand, and serve."""
    with running.logged_in() as client:
        store(client, KEYS)
        lost = len(running.events("upstream_link_lost"))
        yield running
        store(client, KEYS[:3])
        play(client, b"get app:0 app:1 app:2\r\n", b"".join(map(value, KEYS[:3])) + b"END\r\n")
        assert len(running.events("upstream_link_lost")) == lost, f"{running}"


def value(key: bytes) -> bytes:
    return b"VALUE %s 0 %d\r\n%s\r\n" % (key, len(key), key)


def held_by(server: Memcached) -> list[bytes]:
    """Which of the keys a memcached holds, asked past every proxy."""
    with Connection(server.connect()) as direct:
        direct.send(b"get %s\r\n" % b" ".join(KEYS))
        held = []
        while (line := direct.line()) != b"END\r\n":
            held.append(line.split()[1])
            direct.line()
        return held


@contextmanager
def without(server: Memcached) -> Iterator[None]:
    """While it is gone; afterwards it is back, empty."""
    server.stop()
    try:
        yield
    finally:
        server.start()


def test_keys_are_spread_over_all_three(proxy: Proxy, servers: list[Memcached]) -> None:
    held = [held_by(server) for server in servers]
    assert sorted(key for keys in held for key in keys) == sorted(KEYS), "each key is on exactly one"
    assert all(len(keys) >= 5 for keys in held), f"{[len(keys) for keys in held]} of {len(KEYS)} keys"


def test_what_twemproxy_knows(proxy: Proxy) -> None:
    with proxy.logged_in("sammy") as client:
        for sent, answer in (
            (b"delete app:new\r\n", Line(b"")),
            (b"add app:new 5 0 1\r\nx\r\nadd app:new 0 0 1\r\ny\r\n", b"STORED\r\nNOT_STORED\r\n"),
            (b"replace app:new 0 0 1\r\nz\r\nappend app:new 0 0 1\r\n2\r\n", b"STORED\r\nSTORED\r\n"),
            (b"prepend app:new 0 0 1\r\n1\r\nget app:new\r\n", b"STORED\r\nVALUE app:new 0 3\r\n1z2\r\nEND\r\n"),
            (b"cas app:new 0 0 1 1\r\nx\r\ncas app:none 0 0 1 1\r\nx\r\n", b"EXISTS\r\nNOT_FOUND\r\n"),
            (b"delete app:new\r\ndelete app:new\r\n", b"DELETED\r\nNOT_FOUND\r\n"),
            (b"set app:n 0 0 1\r\n9\r\nincr app:n 3\r\ndecr app:n 2\r\n", b"STORED\r\n12\r\n10\r\n"),
            (b"touch app:n 100\r\ntouch app:none 100\r\n", b"TOUCHED\r\nNOT_FOUND\r\n"),
            (b"set app:n 0 0 1 noreply\r\n4\r\nget app:n\r\n", b"VALUE app:n 0 1\r\n4\r\nEND\r\n"),
            (b"set app:n 0 -1 1\r\n4\r\nget app:n\r\n", b"STORED\r\nEND\r\n"),
            (b"set app:n 0 0 0\r\n\r\ntouch app:n -1\r\nget app:n\r\n", b"STORED\r\nTOUCHED\r\nEND\r\n"),
            (b"set b 0 0 1\r\nx\r\nget b\r\nget app:0 b\r\n", DENIED * 3),
        ):
            play(client, sent, [answer])


def test_a_cas_unique_goes_both_ways(proxy: Proxy) -> None:
    with proxy.logged_in("sammy") as client:
        client.send(b"gets app:0\r\n")
        unique = client.line().split()[4]
        assert client.receive(len(b"app:0\r\nEND\r\n")) == b"app:0\r\nEND\r\n"
        play(client, b"cas app:0 0 0 5 %s\r\napp:0\r\n" % unique, b"STORED\r\n")
        play(client, b"cas app:0 0 0 5 %s\r\napp:0\r\n" % unique, b"EXISTS\r\n")


def test_a_multi_get_is_answered_in_the_order_asked(proxy: Proxy) -> None:
    """twemproxy itself changes the order when some of the keys are misses."""
    asked = [key for pair in zip(MISSING, reversed(KEYS), strict=True) for key in pair]
    with proxy.logged_in("sammy") as client:
        for count in (2, 9, 30, 120):
            keys = asked[:count]
            found = b"".join(value(key) for key in keys if key in KEYS)
            play(client, b"get %s\r\n" % b" ".join(keys), found + b"END\r\n")
            client.send(b"gets %s\r\n" % b" ".join(keys))
            while (line := client.line()) != b"END\r\n":
                name = line.split()[1]
                assert client.line() == name + b"\r\n"
        twice = value(KEYS[1]) * 2 + value(KEYS[2]) + b"END\r\n"
        play(client, b"get app:1 app:1 app:2\r\nget app:1\r\n", twice + value(KEYS[1]) + b"END\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"flush_all\r\n",
        b"stats\r\n",
        b"stats items\r\n",
        b"verbosity 1\r\n",
        b"cache_memlimit 64\r\n",
        b"lru_crawler metadump all\r\n",
        b"gat 10 app:0\r\n",
        b"gats 10 %s\r\n" % b" ".join(KEYS * 3),
        b"mg app:0 v\r\n",
        b"ms app:0 1\r\nx\r\n",
        b"md app:0\r\n",
        b"ma app:0\r\n",
        b"me app:0\r\n",
    ],
)
def test_what_twemproxy_does_not_know_is_refused_in_words(proxy: Proxy, sent: bytes) -> None:
    with proxy.logged_in("root") as client, proxy.logged_in("sammy") as other:
        client.send(sent)
        answer = client.line()
        assert answer.startswith(b"CLIENT_ERROR not available") and answer.endswith(b"\r\n"), f"{answer!r}\n{proxy}"
        client.in_step()
        play(other, b"get app:0\r\n", value(KEYS[0]) + b"END\r\n")


def test_a_refusal_that_nobody_wants_to_hear(proxy: Proxy) -> None:
    with proxy.logged_in("root") as client:
        client.send(b"flush_all noreply\r\nget app:0\r\n")
        answer = value(KEYS[0]) + b"END\r\n"
        assert client.receive(len(answer)) == answer


def test_the_version_is_that_of_a_memcached(proxy: Proxy) -> None:
    with proxy.logged_in("sammy") as client:
        play(client, b"version\r\n", [Line(b"VERSION ")])


def test_binary_is_not_offered(proxy: Proxy) -> None:
    with proxy.connect() as client:
        client.send(b"\x80\x0b" + bytes(22))
        client.rest()


def test_clients_beside_each_other_get_their_own(proxy: Proxy) -> None:
    """Their gets share links, and none is gathered into a line with another's."""
    wrong: list[bytes] = []

    def ask(number: int) -> None:
        own = KEYS[number::6]
        with proxy.logged_in("sammy") as client:
            for key in own * 10:
                client.send(b"get %s\r\nget %s %s\r\n" % (key, MISSING[number], key))
                expected = (value(key) + b"END\r\n") * 2
                got = client.receive(len(expected))
                if got != expected:
                    wrong.append(got)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_memcached_that_dies_fails_its_own_keys_alone(proxy: Proxy, servers: list[Memcached], index: int) -> None:
    """Errors, not hangs and not misses; the links stay; and it is served again once it is back."""
    dead = held_by(servers[index])[0]
    alive = next(key for key in KEYS if key not in held_by(servers[index]))
    with proxy.logged_in("sammy") as client:
        with without(servers[index]):
            for _ in range(2):
                play(client, b"get %s\r\n" % alive, value(alive) + b"END\r\n")
                play(client, b"get %s\r\n" % dead, [SERVER_ERROR])
                play(client, b"set %s 0 0 1\r\nx\r\n" % dead, [SERVER_ERROR])
                play(client, b"get %s %s\r\n" % (alive, dead), [value(alive), SERVER_ERROR])
                play(client, b"get %s %s\r\n" % (dead, alive), [SERVER_ERROR])
                play(client, b"delete %s\r\nincr %s 1\r\n" % (dead, dead), [SERVER_ERROR, SERVER_ERROR])
        eventually("it is served again", lambda: stored(client, dead))


def test_a_memcached_that_hangs_is_waited_for_no_longer_than_twemproxy_does(
    proxy: Proxy, servers: list[Memcached]
) -> None:
    slow, quick = held_by(servers[0])[0], held_by(servers[1])[0]
    assert servers[0].process is not None
    with proxy.logged_in("sammy") as client:
        servers[0].process.send_signal(signal.SIGSTOP)
        try:
            eventually("it stands still", lambda: stands_still(servers[0]))
            play(client, b"get %s\r\nget %s\r\n" % (slow, quick), [SERVER_ERROR, value(quick) + b"END\r\n"])
        finally:
            servers[0].process.send_signal(signal.SIGCONT)
        eventually("it is served again", lambda: stored(client, slow))


def stands_still(server: Memcached) -> bool:
    """Every thread of it: one may still answer when the signal has been sent."""
    assert server.process is not None
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_links_are_opened_though_a_memcached_is_gone(
    running: Proxy, engine: Twemproxy, servers: list[Memcached], index: int
) -> None:
    """One of the three is the one to which twemproxy passes on `version`. It starts anew, and is found again."""
    with running.logged_in("sammy") as client:
        store(client, KEYS)
        alive = next(key for key in KEYS if key not in held_by(servers[index]))
        with without(servers[index]):
            engine.stop()
            engine.start()
            eventually("the others are served", lambda: stored(client, alive))
        play(client, b"get %s\r\n" % alive, value(alive) + b"END\r\n")
        eventually("all are served", lambda: all(stored(client, key) for key in KEYS))


def stored(client: Connection, key: bytes) -> bool:
    client.send(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(key), key))
    return client.line() == b"STORED\r\n"


def store(client: Connection, keys: Sequence[bytes]) -> None:
    """Each key under its own name."""
    client.send(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(key), key) for key in keys))
    assert client.receive(8 * len(keys)) == b"STORED\r\n" * len(keys)
