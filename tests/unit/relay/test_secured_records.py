"""Which bytes share a TLS record on their way up: memcached 1.6.18 forgets some of them if it is the wrong ones."""

import socket
import ssl
from collections.abc import Callable, Iterator

import pytest

from mcproxy.relay.secured import Secured
from tests.support.certificates import Certificates
from tests.unit.relay.secured_upstream import Contexts

MEMCACHED_READS = 16384
LONGEST_LINE = 2048
LIMIT = MEMCACHED_READS - LONGEST_LINE

Records = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def records(certificates: Certificates) -> Iterator[Records]:
    """What frames become: the data of each record."""
    contexts = Contexts(certificates)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = contexts.server.wrap_bio(incoming, outgoing, server_side=True)
    mine, theirs = socket.socketpair()
    with mine, theirs:
        secured = Secured(mine, contexts.client, server_hostname="localhost")
        done = False
        while not done:
            done, said = secured.handshake()
            incoming.write(said)
            try:
                server.do_handshake()
            except ssl.SSLWantReadError:
                assert not done
            secured.feed(outgoing.read())

        def read(frames: list[bytes]) -> list[bytes]:
            incoming.write(secured.encrypt_each(frames))
            found = []
            while True:
                try:
                    found.append(server.read(MEMCACHED_READS))  # one record, at most
                except ssl.SSLWantReadError:
                    return found

        yield read


def frame(size: int) -> bytes:
    return b"f" * (size - 1) + b"\n"


def test_small_frames_share_a_record(records: Records) -> None:
    frames = [b"%d\n" % number for number in range(100)]
    assert records(frames) == [b"".join(frames)]


def test_a_frame_that_does_not_fit_any_more_begins_the_next_record(records: Records) -> None:
    frames = [frame(LIMIT - 10), frame(10), frame(1), frame(LIMIT - 1), frame(2)]
    assert records(frames) == [frames[0] + frames[1], frames[2] + frames[3], frames[4]]


@pytest.mark.parametrize("size", [LIMIT + 1, MEMCACHED_READS, MEMCACHED_READS + 1, 2 * LIMIT, 100_000])
def test_a_long_frame_shares_no_record(records: Records, size: int) -> None:
    long = frame(size)
    first, *middle, last = records([b"before\n", long, b"after\n", b"behind\n"])
    assert (first, b"".join(middle), last) == (b"before\n", long, b"after\nbehind\n")
    assert max(map(len, middle)) <= LIMIT


def test_no_frame_is_no_record(records: Records) -> None:
    assert records([]) == []
    assert records([b""]) == []
