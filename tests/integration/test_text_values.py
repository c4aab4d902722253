"""Keys, values and multi-gets of the text protocol (cases 3, 16, 18, 19): what is right arrives whole."""

import pytest

from tests.support.conversation import SERVER_ERROR, Expected, play
from tests.support.cutting import WAYS, cuts, listener_for
from tests.support.processes import resident_bytes
from tests.support.proxy import Proxy
from tests.support.tap import Tap

STORAGE = ["set", "add", "replace", "append", "prepend", "cas"]
MIB = 1 << 20


@pytest.mark.parametrize("way", WAYS)
def test_keys_of_every_length_and_byte(proxy: Proxy, way: str) -> None:
    keys = [b"k" * 250, bytes(range(0x21, 0x7F)), bytes(range(0x80, 0x100)), b"noreply", b"-1", b"get", b"HTTP/1.1"]
    for key in keys:
        sent = b"set %s 0 0 1\r\nx\r\nget %s\r\ntouch %s 0\r\n" % (key, key, key)
        expected = b"STORED\r\nVALUE %s 0 1\r\nx\r\nEND\r\nTOUCHED\r\n" % key
        for pieces in cuts(sent, way):
            with proxy.logged_in(listener=listener_for(way)) as connection:
                play(connection, sent, expected, pieces=pieces)


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat 0", b"gats 0"])
@pytest.mark.parametrize(("count", "length"), [(100, 250), (100, 12), (101, 12), (1000, 12), (1000, 250), (9, 240)])
def test_multi_get(proxy: Proxy, tap: Tap, verb: bytes, count: int, length: int) -> None:
    keys = [(b"%d-" % number).ljust(length, b"k") for number in range(count)]
    present = keys[::3]
    with proxy.logged_in() as connection:
        stores = b"".join(b"set %s 5 0 12 noreply\r\n%s\r\n" % (key, key[:12].ljust(12)) for key in present)
        play(connection, stores, b"")
        connection.send(verb + b" " + b" ".join(keys) + b"\r\n")
        for key in present:
            line = connection.line().rstrip().split(b" ")
            assert line[:4] == [b"VALUE", key, b"5", b"12"], f"{line!r}\n{connection}"
            assert len(line) == (5 if verb.startswith((b"gets", b"gats")) else 4)
            assert connection.receive(14) == key[:12].ljust(12) + b"\r\n"
        assert connection.line() == b"END\r\n", str(connection)
        connection.in_step()
    asked = [key for frame in tap.recording.requests() if frame.verb.startswith("g") for key in frame.keys]
    assert asked == keys


@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_looks_like_replies(proxy: Proxy, way: str) -> None:
    value = b"END\r\nVALUE x 0 1\r\nx\r\nEND\r\nmn\r\nMN\r\nSTORED\r\n\0\xff"
    sent = b"set k 1 0 %d\r\n%s\r\nget k k\r\n" % (len(value), value)
    once = b"VALUE k 1 %d\r\n%s\r\n" % (len(value), value)
    for pieces in cuts(sent, way):
        with proxy.logged_in(listener=listener_for(way)) as connection:
            play(connection, sent, b"STORED\r\n" + once * 2 + b"END\r\n", pieces=pieces)


@pytest.mark.parametrize("verb", STORAGE)
@pytest.mark.parametrize("noreply", [b"", b" noreply"])
def test_a_value_over_the_cap_is_swallowed(proxy: Proxy, tap: Tap, verb: str, noreply: bytes) -> None:
    def attempt(size: int) -> None:
        unique = b" 1" if verb == "cas" else b""
        head = b"%s k 0 0 %d%s%s\r\n" % (verb.encode(), size, unique, noreply)
        expected: list[Expected] = [] if noreply else [b"SERVER_ERROR object too large for cache\r\n"]
        with proxy.logged_in() as connection:
            play(connection, head + b"version\r\n" * (size // 9) + b"x" * (size % 9) + b"\r\n", expected)

    attempt(MIB + 1)
    before = resident_bytes(proxy.pid)
    attempt(24 * MIB)
    assert resident_bytes(proxy.pid) - before < MIB
    assert tap.recording.requests() == []


def test_the_largest_value(proxy: Proxy) -> None:
    """The cap is the value's; memcached's own limit counts the item around it, and says so itself."""
    for size, answer in ((MIB - 1000, b"STORED\r\n"), (MIB, SERVER_ERROR)):
        with proxy.logged_in() as connection:
            play(connection, b"set k 0 0 %d\r\n%s\r\n" % (size, b"v" * size), [answer])
