"""Text clients in front of a binary upstream, held against a memcached's text port: the same bytes but for cas numbers.

Every conversation goes to both, one frame at a time and all of it at once, where it has no cas to wait for.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.conversation import DENIED, Connection
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.text_conversations import CAS, CONVERSATIONS, SMALL_ITEMS, TOO_LARGE, store


@pytest.fixture(scope="module")
def memcached(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """The one behind the gateway."""
    with Memcached(short_path(), *SMALL_ITEMS) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def twin(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """What the gateway is held against."""
    with Memcached(short_path(), *SMALL_ITEMS) as upstream:
        yield upstream


def open_to_all(start_proxy: StartProxy, upstream: str, *roles: str, **settings: str) -> Proxy:
    """A program with a loopback listener that asks for no login, and gives everybody these roles."""
    nobody = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["none"]}
    listeners = {"open": nobody, "plain": None, "tls": None, "socket": None}
    return start_proxy(upstream, upstream=settings, default_roles=list(roles), listeners=listeners)


@pytest.fixture(scope="module")
def translating(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """All of memcached for everybody, and binary upstream."""
    return open_to_all(start_proxy, tap.address, "everything", protocol="binary")


@pytest.fixture
def both(translating: Proxy, twin: Memcached, tap: Tap) -> Iterator[tuple[Connection, Connection]]:
    """A connection to memcached's text port, and one to the gateway; both sides are empty."""
    with Connection(twin.connect()) as direct, translating.connect("open") as through:
        for connection in (direct, through):
            connection.send(b"flush_all\r\n")
            assert connection.line() == b"OK\r\n"
        yield direct, through
        through.in_step()
    tap.recording.check()


def said(connection: Connection, frame: bytes, number: int) -> bytes:
    """What answers the frame."""
    connection.send_while_reading(frame + b"mg app:end k O%d\r\n" % number)
    mark = b"EN kapp:end O%d\r\n" % number
    lines = []
    while (line := connection.line()) != mark:
        assert line, f"nothing more came behind {b''.join(lines)[-200:]!r}\n{connection}"
        lines.append(line)
    return b"".join(lines)


def without_cas(reply: bytes) -> bytes:
    """A reply with its cas numbers made equal; 0, which says that there is none, is kept."""
    reply = re.sub(rb"(VALUE \S+ \d+ \d+) \d+\r\n", rb"\1 N\r\n", reply)
    return re.sub(rb"^((?:HD|VA)[^\r]*? c)[1-9]\d*", rb"\1N", reply, flags=re.MULTILINE)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_what_memcached_says_in_text(both: tuple[Connection, Connection], name: str) -> None:
    cas = [b"", b""]
    for number, frame in enumerate(CONVERSATIONS[name]):
        replies = []
        for side, connection in enumerate(both):
            reply = said(connection, frame.replace(CAS, cas[side]), number)
            found = re.search(rb"VALUE \S+ \d+ \d+ (\d+)\r\n|^(?:HD|VA)[^\r]*? c(\d+)", reply)
            if found:
                cas[side] = found[1] or found[2]
            replies.append(without_cas(reply))
        assert replies[1] == replies[0], f"the answers to {frame[:300]!r} differ"


@pytest.mark.parametrize(
    "name", [name for name, frames in CONVERSATIONS.items() if not any(CAS in frame for frame in frames)]
)
def test_all_at_once(both: tuple[Connection, Connection], name: str) -> None:
    """As a pipeline."""
    frames = b"".join(CONVERSATIONS[name])
    expected, got = (without_cas(said(connection, frames, 0)) for connection in both)
    assert got == expected


@pytest.mark.parametrize("words", ["", " items", " slabs", " sizes", " settings"])
def test_statistics_have_the_same_names(both: tuple[Connection, Connection], words: str) -> None:
    lists = []
    for connection in both:
        connection.send(store(b"set k 0 0 #", b"x") + b"stats%s\r\n" % words.encode())
        assert connection.line() == b"STORED\r\n"
        lines = []
        while not lines or (lines[-1].startswith(b"STAT ") and lines[-1].endswith(b"\r\n")):
            lines.append(connection.line())
        lists.append([line.split()[:2] for line in lines])
    # Per slab class, of which the two have had different ones in use.
    names = [[line for line in lines if b":" not in line[-1]] for lines in lists]
    assert names[1] == names[0]
    assert lists[1][-1] == [b"END"]


def test_statistics_that_are_commands(both: tuple[Connection, Connection]) -> None:
    frames = b"stats detail on\r\nget app:a\r\nget app:b\r\nstats detail dump\r\nstats detail off\r\nstats reset\r\n"
    expected, got = (said(connection, frames, 1) for connection in both)
    assert got == expected
    assert b"PREFIX app get 2" in got


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (line, b"CLIENT_ERROR not available: upstream speaks only the binary protocol\r\n")
        for line in (
            *(b"stats conns\r\n", b"stats cachedump 1 10\r\n", b"stats extstore\r\n", b"cache_memlimit 64\r\n"),
            *(
                b"lru mode flat\r\n",
                b"slabs automove 0\r\n",
                b"lru_crawler enable\r\n",
                b"lru_crawler metadump all\r\n",
            ),
            *(b"watch\r\n", b"shutdown\r\n", b"refresh_certs\r\n", b"me k\r\n"),
        )
    ]
    + [
        (frame, b"CLIENT_ERROR not available: upstream speaks only the binary protocol, without flag %b\r\n" % flag)
        for frame, flag in (
            *((b"mg k v %b\r\n" % flag, flag[:1]) for flag in (b"h", b"l", b"t", b"u", b"N30", b"R30", b"C5")),
            (store(b"ms k # I C5", b"get a\r\n"), b"I"),
            (store(b"ms k # N5 MA", b"get a\r\n"), b"N"),
            (b"md k I T30\r\n", b"I"),
            (b"ma k t\r\n", b"t"),
            (b"ma k T5\r\n", b"T"),
        )
    ],
)
def test_what_binary_cannot_say_is_refused_in_step(translating: Proxy, frame: bytes, answer: bytes) -> None:
    with translating.connect("open") as connection:
        connection.send(frame + b"get a\r\n")
        assert connection.line() == answer
        assert connection.line() == b"END\r\n"


@pytest.mark.parametrize(
    ("frame", "direct", "through"),
    [
        # Text knows how the key was spelled when the item was stored, binary doesn't.
        (b"set foo 0 0 1\r\nx\r\nmg Zm9v b k\r\n", b"STORED\r\nHD kfoo\r\n", b"STORED\r\nHD kZm9v b\r\n"),
        # Newer memcacheds hide it, and so does the proxy in front of text as well.
        (b"ma new N0 q\r\nma new q\r\n", b"HD\r\n", b""),
        # SET alone takes the old item away.
        (
            store(b"set k 0 0 #", b"x") + store(b"ms k # ME", TOO_LARGE) + b"mg k\r\n",
            b"STORED\r\nSERVER_ERROR object too large for cache\r\nEN\r\n",
            b"STORED\r\nSERVER_ERROR object too large for cache\r\nHD\r\n",
        ),
    ],
)
def test_differences_that_have_a_name(
    both: tuple[Connection, Connection], frame: bytes, direct: bytes, through: bytes
) -> None:
    """In docs/protocol.md."""
    assert [said(connection, frame, 1) for connection in both] == [direct, through]


def test_only_binary_goes_up(both: tuple[Connection, Connection], tap: Tap) -> None:
    """A multi-get is a GETK for every key."""
    tap.recording.forget()
    assert said(both[1], b"get a b\r\n", 1) == b"END\r\n"
    assert [frame.verb for frame in tap.recording.requests()] == ["GETK"] * 3


def test_what_a_guard_denies(start_proxy: StartProxy, tap: Tap) -> None:
    """A guard has grants of its own. One line of keys has one answer, and everything stays in step."""
    guard = open_to_all(start_proxy, tap.address, "app")
    gateway = open_to_all(start_proxy, guard.address("open"), "everything", protocol="binary")
    conversation = [
        (store(b"set app:a 0 0 #", b"x"), b"STORED\r\n"),
        (b"get app:a other app:a\r\nget app:a\r\n", DENIED + b"VALUE app:a 0 1\r\nx\r\nEND\r\n"),
        (b"gat 5 other\r\nmg other v\r\nmd other q\r\n", DENIED * 3),
        (store(b"set other 0 0 #", b"x") + store(b"set other 0 0 # noreply", b"x"), DENIED),
        (store(b"ms other #", b"x") + b"incr other 1\r\ndelete other\r\nflush_all\r\n", DENIED * 4),
        (b"stats\r\nget %b other\r\n" % b" ".join([b"app:a"] * 150), DENIED * 2),
        (b"mn\r\nversion\r\n", b"MN\r\nVERSION 1.6.18\r\n"),
    ]
    with gateway.connect("open") as connection:
        for number, (frame, expected) in enumerate(conversation):
            got = said(connection, frame, number)
            # Of a retrieval that is cut, hits of earlier pieces may come before the denial.
            assert re.sub(rb"(VALUE app:a 0 1\r\nx\r\n)+(?=CLIENT)", b"", got) == expected, frame[:100]
    tap.recording.check()


def test_memccapable_finds_nothing_missing(translating: Proxy, tap: Tap) -> None:
    """All of its tests of the text protocol."""
    host, port = translating.host_and_port("open")
    command = ["memccapable", "-h", host, "-p", str(port), "-t", "5", "-v", "-a"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    printed = result.stdout + result.stderr
    assert len(re.findall(r"\[pass\]", printed)) == 27, printed
    assert result.returncode == 0, printed
    tap.recording.check()
