"""The relay: what a client gets through the proxy is what memcached itself answers (cases 15 and 61)."""

import random
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import packets
from tests.support.conversation import Connection
from tests.support.cutting import WAYS, cuts, listener_for
from tests.support.memcached import Memcached
from tests.support.packets import packet
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap

KEYS = [b"app:a", b"app:b", b"app:" + b"k" * 246, b"app:noreply", b"app:\xe2\x82\xac"]


@pytest.fixture(scope="module")
def plain_memcached(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """A second memcached, asked directly: it says what the right answers are."""
    with Memcached(short_path()) as upstream:
        yield upstream


def random_text(generator: random.Random, count: int) -> bytes:
    """Valid requests, most of them on the same few keys; spelled canonically or with what clients may add."""
    frames = []
    for _ in range(count):
        key = generator.choice(KEYS)
        verb = generator.choice(["get", "gets", "gat", "store", "store", "incr", "decr", "delete", "touch", "version"])
        noreply = generator.choice([b"", b"", b" noreply"])
        match verb:
            case "get" | "gets":
                frames.append(verb.encode() + b" " + b" ".join(generator.choices(KEYS, k=generator.randrange(1, 9))))
            case "gat":
                frames.append(b"gat %d %s" % (generator.choice([0, 1000, 2147483647]), key))
            case "store":
                name = generator.choice([b"set", b"add", b"replace", b"append", b"prepend", b"cas"])
                value = generator.choice([b"", b"12345", b"END\r\n", bytes(range(256)), b"v" * 3000])
                head = b"%s %s %d %d %d" % (name, key, generator.choice([0, 4294967295]), 0, len(value))
                frames.append(head + (b" 18446744073709551615" if name == b"cas" else b"") + noreply + b"\r\n" + value)
            case "incr" | "decr":
                # Small steps: a result with fewer digits leaves spaces behind, depending on memcached's timing.
                frames.append(b"incr %s %d%s" % (key, generator.randrange(10), noreply))
            case "delete":
                frames.append(b"delete %s%s" % (key, noreply))
            case "touch":
                frames.append(b"touch %s 1000%s" % (key, noreply))
            case "version":
                frames.append(b"version")
    return b"\r\n".join(frames) + b"\r\n"


def answers(connection: Connection, sent: bytes) -> bytes:
    connection.send_while_reading(sent)
    connection.finish_sending()
    # The cas of an item counts all of memcached's writes, so it may differ.
    return re.sub(rb"(VALUE \S+ \d+ \d+) \d+\r\n", rb"\1 CAS\r\n", connection.rest())


@pytest.mark.parametrize("seed", range(8))
def test_pipelines_are_answered_as_by_memcached_itself(proxy: Proxy, plain_memcached: Memcached, seed: int) -> None:
    generator = random.Random(seed)
    with Connection(plain_memcached.connect()) as direct, proxy.logged_in("root") as through:
        flush = b"flush_all\r\n"
        sent = flush + random_text(generator, generator.choice([5, 40, 400]))
        assert answers(through, sent) == answers(direct, sent)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", WAYS)
def test_valid_requests_however_they_are_cut(proxy: Proxy, plain_memcached: Memcached, seed: int, way: str) -> None:
    generator = random.Random(100 + seed)
    sent = b"flush_all\r\n"
    while len(sent) < 300:
        frame = random_text(generator, 1)
        sent += frame if len(frame) < 100 else b""
    with Connection(plain_memcached.connect()) as direct:
        expected = answers(direct, sent)
    for pieces in cuts(sent, way):
        with proxy.logged_in("root", listener_for(way)) as through:
            through.send(sent, pieces)
            through.finish_sending()
            got = re.sub(rb"(VALUE \S+ \d+ \d+) \d+\r\n", rb"\1 CAS\r\n", through.rest())
            assert got == expected, str(through)


BINARY = [
    packets.store(packets.SET, b"app:n", b"10", flags=3),
    packets.store(packets.ADD, b"app:n", b"11"),
    packets.store(packets.APPEND, b"app:n", b"0"),
    packets.arithmetic(packets.INCR, b"app:n", 5),
    packets.arithmetic(packets.DECR, b"app:n", 1 << 63),
    packets.arithmetic(packets.INCR, b"app:new", 5, initial=7, expiry=0),
    packet(packets.GETK, b"app:n"),
    packet(packets.GETKQ, b"app:gone"),
    packets.touching(packets.GAT, b"app:n", 100),
    packets.touching(packets.TOUCH, b"app:gone", 100),
    packets.touching(packets.GATKQ, b"app:n", 100),
    packets.store(packets.REPLACEQ, b"app:gone", b"x"),
    packets.store(packets.SETQ, b"app:n", b"x"),
    packets.arithmetic(packets.INCR, b"app:n", 1),
    packet(packets.DELETE, b"app:n"),
    packet(packets.DELETEQ, b"app:n"),
    packet(packets.VERSION),
    packet(packets.NOOP),
]


def binary_answers(connection: Connection, sent: list[bytes], pieces: list[int]) -> list[packets.Response]:
    numbered = [frame[:12] + struct.pack(">I", 1000 + number) + frame[16:] for number, frame in enumerate(sent)]
    connection.send(b"".join(numbered), pieces)
    got = [connection.response()]
    while got[-1].opcode != packets.NOOP:
        got.append(connection.response())
    return [packets.Response(r.opcode, r.status, r.opaque, bool(r.cas), r.extras, r.key, r.value) for r in got]


@pytest.mark.parametrize("way", WAYS)
def test_packets_are_answered_as_by_memcached_itself(proxy: Proxy, plain_memcached: Memcached, way: str) -> None:
    frames = [packet(packets.FLUSH), *BINARY]
    with Connection(plain_memcached.connect()) as direct:
        expected = binary_answers(direct, frames, [])
    for pieces in cuts(b"".join(frames), way):
        with proxy.logged_in_binary("root", listener_for(way)) as through:
            assert binary_answers(through, frames, pieces) == expected


@pytest.mark.parametrize("listener", ["plain", "socket"])
@pytest.mark.parametrize("length", [1, 100_000])
def test_half_close_is_answered_in_full(proxy: Proxy, listener: str, length: int) -> None:
    value = b"x" * length
    sent = b"set app:h 0 0 %d\r\n%s\r\nget app:h\r\n" % (length, value)
    expected = b"STORED\r\nVALUE app:h 0 %d\r\n%s\r\nEND\r\n" % (length, value)
    with proxy.logged_in("sammy", listener) as connection:
        connection.send(sent)
        connection.finish_sending()
        assert connection.rest() == expected
    with proxy.connect(listener) as connection:  # the login is part of it as well
        connection.send(token("sammy") + sent)
        connection.finish_sending()
        assert connection.rest() == b"STORED\r\n" + expected
    with proxy.logged_in("sammy", listener) as connection:  # many replies are owed
        connection.send(sent + b"get app:h\r\n" * 50)
        connection.finish_sending()
        assert connection.rest() == expected + expected[len(b"STORED\r\n") :] * 50


def test_half_close_of_a_binary_connection(proxy: Proxy) -> None:
    with proxy.logged_in_binary("sammy") as connection:
        connection.send(packets.store(packets.SET, b"app:h", b"x") + packet(packets.GET, b"app:h"))
        connection.finish_sending()
        assert [connection.response().shape for _ in range(2)] == [(0, b""), (0, b"x")]
        connection.expect_closed()


@pytest.mark.parametrize("sent", [b"set app:h 0 0 5\r\nab", b"get app:h", b"se"])
def test_half_close_inside_of_a_frame_closes(proxy: Proxy, tap: Tap, sent: bytes) -> None:
    with proxy.logged_in("sammy") as connection:
        connection.send(b"get app:gone\r\n" + sent)
        connection.finish_sending()
        assert connection.rest() == b"END\r\n"
    assert [frame.verb for frame in tap.recording.requests()] == ["get"]


@pytest.mark.parametrize("listener", ["plain", "tls", "socket"])
def test_quit_answers_what_came_before_and_closes(proxy: Proxy, listener: str) -> None:
    with proxy.logged_in("sammy", listener) as connection:
        connection.send(b"get app:gone\r\nquit\r\nget app:gone\r\n")
        assert connection.rest() == b"END\r\n"
    with proxy.logged_in_binary("sammy", listener) as connection:
        connection.send(packet(packets.NOOP) + packet(packets.QUIT, opaque=4) + packet(packets.NOOP))
        assert connection.response().opcode == packets.NOOP
        assert (last := connection.response()).opcode == packets.QUIT
        assert last.opaque == 4
        connection.expect_closed()
    with proxy.logged_in_binary("sammy", listener) as connection:
        connection.send(packet(packets.QUITQ))
        connection.expect_closed()


def test_sessions_share_few_links(proxy: Proxy, tap: Tap) -> None:
    """Thirty clients use no more than the configured two links of a protocol."""
    clients = [proxy.logged_in("sammy") for _ in range(30)]
    for client in clients:
        client.send(b"get app:gone\r\n")
    for client in clients:
        assert client.line() == b"END\r\n"
    assert len(set(tap.recording.links("get"))) <= 2
