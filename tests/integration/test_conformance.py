"""The corpus of tests/corpus, through the program and a real memcached: whole, and byte by byte.

What the client gets is compared byte for byte, but for the numbers that memcached makes up, and what memcached gets is
what the tap recorded. Who somebody is, his address says: each role of the corpus has one of its own.
"""

import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support import corpus, packets
from tests.support.canonical import Stream
from tests.support.conversation import shown
from tests.support.corpus import Case
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.tap import Tap

TIMEOUT = 5.0
"""Seconds for a reply that ought to come."""

PATIENCE = 0.3
"""Seconds for the rest of a reply, once what ends it has come and it is not as expected."""

LONG = 400
"""Bytes; what is longer goes in pieces of 97 instead of bytes."""

ADDRESSES = {role: f"127.0.1.{number}" for number, role in enumerate(corpus.roles(), 1)}
IN_STEP = {
    False: (b"mn\r\n", b"MN\r\n"),
    True: (
        packets.packet(packets.NOOP, opaque=packets.IN_STEP),
        packets.HEADER.pack(0x81, packets.NOOP, 0, 0, 0, 0, 0, packets.IN_STEP, 0),
    ),
}
GREETING = {
    False: [b"version\r\n", b"mn\r\n"],
    True: [packets.packet(packets.VERSION, opaque=packets.VERSION), packets.packet(packets.NOOP, opaque=packets.NOOP)],
}
"""What the program asks on every link that it opens."""


PRIVATE = (b"stats", b"lru_crawler metadump", b"watch", b"shutdown", b"refresh_certs")
"""What goes up on a link of its own."""

FIRST_WINDOW = 32
"""Answers that a session may have in flight at first."""


@pytest.fixture(scope="module")
def memcached(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """On TCP: behind the path of a unix socket, if that has 26 bytes or more, `stats conns` of 1.6.18 prints what lies
    on its stack, and a line feed among it would end the link.
    """
    with Memcached(short_path(), tcp=True) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def program(start_proxy: StartProxy, tap: Tap) -> Proxy:
    listener = {"bind": ["127.0.0.1:0"], "allow": ["127.0.1.0/24"], "authentication": ["address"]}
    return start_proxy(
        tap.address,
        listeners={"tls": None, "socket": None} | {name: listener | more for name, more in corpus.LISTENERS.items()},
        upstream={"links": 1},
        roles=corpus.roles(),
        grants=[{"address": f"{address}/32", "as": role, "roles": [role]} for role, address in ADDRESSES.items()],
        limits={"value": corpus.VALUE_LIMIT, "keys": corpus.KEYS_LIMIT},
    )


@pytest.fixture(scope="module")
def direct(memcached: Memcached) -> Iterator[socket.socket]:
    """A connection to memcached that no proxy sees."""
    with memcached.connect() as connection:
        yield connection


@pytest.mark.parametrize("way", ["whole", "byte by byte"])
@pytest.mark.parametrize("rule", corpus.rules())
def test_conformance(program: Proxy, tap: Tap, direct: socket.socket, rule: str, way: str) -> None:
    for case in corpus.rules()[rule]:
        prepare(direct, case.before)
        tap.recording.forget()
        connections = tap.recording.connections
        with program.connect_raw(case.listener, source=ADDRESSES[case.role]) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            received = hold(connection, case, way)
        assert case.reply.fullmatch(received), f"{case}: {shown(received)} is not {shown(case.reply.pattern)}"
        sent, expected = sent_up(tap, case, tap.recording.connections - connections), going_up(case)
        if way == "byte by byte":
            expected = gathered_as(sent, expected)
        assert sent == expected, f"{case}: what went up differs:\n{sent}\n{expected}"


def gathered_as(sent: list[bytes], expected: list[bytes]) -> list[bytes]:
    """What is expected, with gets of one key each, of different keys and in a row, joined where `sent` has them so.

    That is how the program gathers gets (docs/design.md), and what comes in small parts it gathers if it looks late.
    """
    left, joined = list(expected), []
    for frame in sent:
        keys = frame.split()[1:] if frame.startswith(b"get ") else []
        if len(set(keys)) == len(keys) > 1 and left[: len(keys)] == [b"get %s\r\n" % key for key in keys]:
            del left[: len(keys)]
            joined.append(frame)
        elif left:
            joined.append(left.pop(0))
    return joined + left


def prepare(direct: socket.socket, before: bytes) -> None:
    """An empty memcached, but for what `before` stores."""
    direct.sendall(b"flush_all\r\nverbosity 0\r\n" + before + b"mn\r\n")
    received = b""
    while not received.endswith(b"MN\r\n"):
        data = direct.recv(1 << 16)
        assert data, f"memcached closed after {received!r}"
        received += data
    assert b"ERROR" not in received, f"{before!r} was answered {received!r}"


def hold(connection: socket.socket, case: Case, way: str) -> bytes:
    """Say it all, and return what the client got for it."""
    last, answer_to_last = IN_STEP[case.binary] if case.end == "open" else (b"", b"")
    try:
        send(connection, case.sent + last, way)
        if case.end == "unfinished":
            connection.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        assert case.end == "closed", f"{case}: it was closed"
    received = b""
    deadline = time.monotonic() + TIMEOUT
    while True:
        if case.end == "endless" and case.reply.fullmatch(received):
            return received
        if answer_to_last and received.endswith(answer_to_last):
            if case.reply.fullmatch(received, 0, len(received) - len(answer_to_last)):
                break
            deadline = min(deadline, time.monotonic() + PATIENCE)
        left = max(0.0, deadline - time.monotonic())
        assert select.select([connection], [], [], left)[0], f"{case}: nothing more came after {shown(received)}"
        data = connection.recv(1 << 18)
        if not data:
            assert case.end in ("closed", "unfinished"), f"{case}: it was closed after {shown(received)}"
            return received
        received += data
    # Nothing else was on its way.
    connection.sendall(last)
    again = connection.recv(1 << 16)
    assert again == answer_to_last, f"{case}: {shown(again)} came afterwards"
    return received.removesuffix(answer_to_last)


def send(connection: socket.socket, data: bytes, way: str) -> None:
    if way == "whole":
        connection.sendall(data)
        return
    size = 1 if len(data) <= LONG else 97
    for position in range(0, len(data), size):
        connection.sendall(data[position : position + size])


def going_up(case: Case) -> list[bytes]:
    """The frames that memcached ought to get; those that show that all is in step come last."""
    stream = case.upstream
    if case.end == "open":
        stream += IN_STEP[case.binary][0] * 2
    return in_order([frame.raw for frame in Stream().feed(stream)], case)


def sent_up(tap: Tap, case: Case, links: int) -> list[bytes]:
    """The frames that memcached got, without the greeting on each of the `links` opened meanwhile."""
    frames = [frame.raw for frame in tap.recording.frames()]
    for greeting in GREETING[case.binary] * links:
        frames.remove(greeting)
    return in_order(frames, case)


def in_order(frames: list[bytes], case: Case) -> list[bytes]:
    """Frames so that they can be compared: opaques are the link's own, and links have no order among each other.

    How many keys of a long multi-get go up in a line depends on how much is in flight, so its lines are made one again.
    """
    if case.binary:
        return [corpus.without_opaques(frame) for frame in frames]
    if any(frame.startswith(PRIVATE) for frame in frames):
        return sorted(frames)
    if case.sent.count(b" ") < FIRST_WINDOW:
        return frames
    keys = 2 if case.sent.startswith(b"gat") else 1
    joined: list[bytes] = []
    for frame in frames:
        words = frame.split()
        if joined and words[0].startswith(b"g") and joined[-1].split()[:keys] == words[:keys]:
            joined[-1] = joined[-1][:-2] + b" " + b" ".join(words[keys:]) + b"\r\n"
        else:
            joined.append(frame)
    return joined
