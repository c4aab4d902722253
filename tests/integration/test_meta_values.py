"""Data blocks of ms that nobody will store (case 19): swallowed whatever their length, and never held."""

import pytest

from tests.support.conversation import play
from tests.support.processes import resident_bytes
from tests.support.proxy import Proxy
from tests.support.tap import Tap

MIB = 1 << 20
REFUSED = {
    "over the cap": (b"ms app:k %d", b"SERVER_ERROR object too large for cache\r\n"),
    "over the cap, quiet": (b"ms app:k %d q k O1", b"SERVER_ERROR object too large for cache\r\n"),
    "a key of 251": (b"ms " + b"k" * 251 + b" %d", b"CLIENT_ERROR bad command line format\r\n"),
    "no such mode": (b"ms app:k %d MX", b"CLIENT_ERROR invalid mode for ms M token\r\n"),
    "a flag twice": (b"ms app:k %d k k", b"CLIENT_ERROR duplicate flag\r\n"),
    "base64 that is none": (b"ms Zm9= %d b", b"CLIENT_ERROR error decoding key\r\n"),
    "no grant": (b"ms x:k %d", b"CLIENT_ERROR access denied\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_block_is_swallowed_and_not_held(proxy: Proxy, tap: Tap, name: str) -> None:
    line, reply = REFUSED[name]

    def attempt(size: int) -> None:
        with proxy.logged_in("sammy") as connection:
            block = b"version\r\n" * (size // 9) + b"x" * (size % 9)
            play(connection, line % size + b"\r\n" + block + b"\r\n", reply)

    attempt(MIB + 1)
    before = resident_bytes(proxy.pid)
    attempt(16 * MIB)
    assert resident_bytes(proxy.pid) - before < MIB
    assert tap.recording.requests() == []
