"""The harness itself: a check that could not fail would show nothing."""

import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import packets
from tests.support.canonical import NotCanonical, Stream
from tests.support.conversation import CLIENT_ERROR, Connection, play
from tests.support.fake_upstream import CLOSE, HANG, FakeUpstream
from tests.support.memcached import Memcached
from tests.support.sockets import everything_within
from tests.support.tap import Tap

CANONICAL = [
    b"get a\r\n",
    b"gets " + b"k" * 250 + b" b\r\n",
    b"get" + b" k" * 100 + b"\r\n",
    b"gat -1 a\r\n",
    b"gats 2147483647 a b\r\n",
    b"set a 4294967295 -1 0\r\n\r\n",
    b"append a 0 0 7\r\nget a\r\n\r\n",
    b"cas a 0 2147483647 2 18446744073709551615\r\n\r\n\r\n",
    b"incr a 18446744073709551615\r\n",
    b"delete a\r\n",
    b"touch noreply 0\r\n",
    b"flush_all\r\n",
    b"version\r\n",
    b"mn\r\n",
    b"verbosity 2\r\n",
    b"stats\r\n",
    b"stats settings\r\n",
    b"stats detail dump\r\n",
    b"stats cachedump 63 0\r\n",
    b"get \x80\xff\x21\x7e\r\n",
]
NOT_CANONICAL = [
    b"get a\n",
    b"get a\r\r\n",
    b"\r\n",
    b" get a\r\n",
    b"get  a\r\n",
    b"get a \r\n",
    b"GET a\r\n",
    b"get\r\n",
    b"get " + b"k" * 251 + b"\r\n",
    b"get" + b" k" * 101 + b"\r\n",
    b"get a\0b\r\n",
    b"get a\tb\r\n",
    b"get a\x7f\r\n",
    b"get " + b" ".join([b"k" * 240] * 9) + b"\r\n",
    b"gat 2147483648 a\r\n",
    b"gat 0\r\n",
    b"set a 4294967296 0 0\r\n\r\n",
    b"set a 0 -2 0\r\n\r\n",
    b"set a 0 0 +1\r\nx\r\n",
    b"set a 0 0 01\r\nx\r\n",
    b"set a 0 0 1048577\r\n",
    b"set a 0 0 1 noreply\r\nx\r\n",
    b"set a 0 0 1\r\nxx\n",
    b"set a 0 0 1\r\nxyz",
    b"cas a 0 0 1\r\nx\r\n",
    b"cas a 0 0 1 18446744073709551616\r\nx\r\n",
    b"incr a 18446744073709551616\r\n",
    b"incr a -1\r\n",
    b"delete noreply\r\n",
    b"delete a 0\r\n",
    b"delete a noreply\r\n",
    b"flush_all 0\r\n",
    b"verbosity 3\r\n",
    b"stats s\r\n",
    b"stats cachedump 0 1\r\n",
    b"stats sizes_enable\r\n",
    b"quit\r\n",
    b"watch all\r\n",
    b"mg a v q\r\n",
    b"x" * 2048,
]


def every_packet(key: bytes = b"key") -> dict[int, bytes]:
    """A well-formed packet of each opcode that may go up."""
    keyless = {packets.FLUSH, packets.NOOP, packets.VERSION, packets.STAT}
    loud = {*range(0x07), packets.GETK, packets.APPEND, packets.PREPEND, packets.TOUCH, packets.GAT, packets.GATK}
    return {code: packets.packet(code) for code in keyless} | {code: packets.with_key(code, key) for code in loud}


@pytest.mark.parametrize("line", CANONICAL)
def test_the_judge_takes_canonical_lines(line: bytes) -> None:
    stream = Stream()
    assert [frame.raw for frame in stream.feed(line * 2)] == [line, line]
    stream.end()


@pytest.mark.parametrize("line", NOT_CANONICAL)
def test_the_judge_refuses_everything_else(line: bytes) -> None:
    with pytest.raises(NotCanonical):
        Stream().feed(line)


def test_the_judge_takes_each_packet_and_no_other_opcode() -> None:
    canonical = every_packet()
    for code in range(256):
        stream = Stream()
        if code in canonical:
            assert [frame.raw for frame in stream.feed(canonical[code] * 2)] == [canonical[code]] * 2
            stream.end()
        else:
            with pytest.raises(NotCanonical):
                stream.feed(packets.packet(code, b"key"))


@pytest.mark.parametrize("code", sorted(every_packet()))
def test_the_judge_refuses_packets_that_are_bent(code: int) -> None:
    good = every_packet()[code]
    body = packets.HEADER.unpack(good[:24])[6]
    bent = {
        "datatype": good[:5] + b"\1" + good[6:],
        "vbucket": good[:7] + b"\1" + good[8:],
        "extras": good[:4] + bytes([good[4] + 1]) + good[5:8] + (body + 1).to_bytes(4, "big") + good[12:] + b"x",
        "space in the key": good.replace(b"key", b"k y") if b"key" in good else packets.packet(code, b"k y"),
        "long key": packets.with_key(code, b"k" * 251) if b"key" in good else packets.packet(code, b"k" * 251),
    }
    if b"key" in good:
        short = body - len(b"value" if b"value" in good else b"") - 1
        bent["body shorter than its parts"] = good[:8] + short.to_bytes(4, "big") + good[12:]
    if code not in {*range(1, 7), packets.APPEND, packets.PREPEND}:
        bent["cas"] = good[:23] + b"\1" + good[24:]
    if code not in {*range(1, 4), packets.APPEND, packets.PREPEND}:
        bent["value"] = good[:8] + (body + 1).to_bytes(4, "big") + good[12:] + b"v"
    for name, packet in bent.items():
        with pytest.raises(NotCanonical):
            Stream().feed(packet + b"\0" * 300)
            pytest.fail(f"{name} was taken")


def test_the_judge_reads_the_same_however_it_is_cut() -> None:
    generator = random.Random(4)
    for parts in (CANONICAL, list(every_packet().values())):
        whole = b"".join(parts)
        for size in (1, 2, 7, *(generator.randrange(3, 200) for _ in range(20))):
            stream = Stream()
            frames = [frame for at in range(0, len(whole), size) for frame in stream.feed(whole[at : at + size])]
            assert [frame.raw for frame in frames] == parts
            stream.end()


def test_the_tap_records_what_went_to_memcached_and_what_is_not_canonical(
    short_path: Callable[[], Path], memcached: Memcached
) -> None:
    with Tap(short_path(), memcached) as tap:
        with direct(tap) as connection:
            play(connection, b"set k 0 0 5\r\nEND\r\n\r\nget k\r\n", b"STORED\r\nVALUE k 0 5\r\nEND\r\n\r\nEND\r\n")
        with direct(tap) as connection:
            binary = connection.ask(packets.packet(packets.GETK, b"k", opaque=3))
            assert (binary.key, binary.value, binary.opaque) == (b"k", b"END\r\n", 3)
            connection.in_step_binary()
        assert [(frame.verb, frame.keys, frame.body) for frame in tap.recording.requests()] == [
            ("set", (b"k",), b"END\r\n"),
            ("get", (b"k",), b""),
            ("GETK", (b"k",), b""),
        ]
        assert tap.recording.connections == 2
        with direct(tap) as connection:
            play(connection, b"set " + b"k" * 251 + b" 0 0 7\r\nversion\r\n", [CLIENT_ERROR, b"VERSION 1.6.18\r\n"])
        with pytest.raises(NotCanonical, match="a key of 251 bytes"):
            tap.recording.check()


def test_the_tap_reports_a_frame_left_unfinished(short_path: Callable[[], Path], memcached: Memcached) -> None:
    with Tap(short_path(), memcached) as tap:
        with direct(tap) as connection:
            connection.send(b"set k 0 0 5\r\nab")
            connection.finish_sending()
            connection.expect_closed()
        with pytest.raises(NotCanonical, match="inside of a frame"):
            tap.recording.check()


def test_a_conversation_that_goes_wrong_is_shown(short_path: Callable[[], Path], memcached: Memcached) -> None:
    with Connection(memcached.connect()) as connection, pytest.raises(AssertionError) as failure:
        play(connection, b"delete nothing\r\n", b"DELETED\r\n")
    assert "- DELETED" in str(failure.value)
    assert "+ NOT_FOUND" in str(failure.value)


def test_the_fake_upstream_follows_its_script() -> None:
    late = threading.Event()
    with FakeUpstream() as fake:
        host, port = fake.address.split(":")

        def connection() -> Connection:
            return Connection(socket.create_connection((host, int(port)), 10))

        with connection() as client:
            play(client, b"set a 0 0 1\r\nx\r\nget a b\r\n", b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
            fake.script = lambda frame, honest: [late, honest] if frame.verb == "get" else [honest]
            client.send(b"get a\r\nversion\r\n")
            assert everything_within(client.socket, 0.05) == b""
            late.set()
            assert client.line() == b"VALUE a 0 1\r\n"
        fake.script = lambda frame, honest: [honest[:4], CLOSE]
        with connection() as client:
            client.send(b"get a\r\n")
            assert client.rest() == b"VALU"
        fake.script = lambda frame, honest: [HANG]
        with connection() as client:
            client.send(b"get a\r\n")
            client.socket.settimeout(0.05)
            assert client.receive(1) == b""
        assert {frame.verb for frame in fake.recording.requests()} == {"set", "get"}


def direct(tap: Tap) -> Connection:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(str(tap.path))
    return Connection(connected)
