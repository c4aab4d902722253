"""Pipelines through a gateway to memcached over TLS.

memcached 1.6.18 leaves the rest of a record unread when a data block has ended in the middle of it, until another one
comes (measured): what follows in the same record would be answered late, or never.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.conversation import play
from tests.support.gateway import FarEnd, gateway
from tests.support.proxy import Proxy

UPSTREAMS = ("sasl-tls", "token-tls")
RECORD = 16384
"""Bytes of data in a TLS record, at most (RFC 8446 section 5.1)."""


@pytest.fixture(scope="module")
def program(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    """Its links stay: nothing is answered too late."""
    with FarEnd(short_path, certificates, *UPSTREAMS) as far_end:
        started = gateway(short_path(), certificates, far_end.upstreams)
        try:
            yield started.start()
            assert started.events("upstream_link_lost") == [], str(started)
        finally:
            started.assert_good_end()


@pytest.mark.parametrize("size", [RECORD - 2000, RECORD - 20, RECORD, RECORD + 1, 3 * RECORD, 100_000, 1 << 20])
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_what_follows_a_large_value_is_answered(program: Proxy, upstream: str, size: int) -> None:
    store = b"set large 0 0 %d\r\n%s\r\n" % (size, b"x" * size)
    with program.connect(f"{upstream}-peer") as connection:
        play(connection, store + b"get nothing\r\n" + store + b"get no-more\r\n", b"STORED\r\nEND\r\n" * 2)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_pipelines_of_every_length(program: Proxy, upstream: str) -> None:
    """Stores of many lengths, gets of many keys, and then silence: nothing else wakes memcached."""
    draw = random.Random(upstream)
    with program.connect(f"{upstream}-none") as connection:
        for _ in range(60):
            asked, expected = bytearray(), bytearray()
            for number in range(draw.randrange(1, 400)):
                if draw.random() < 0.1:
                    absent = b" ".join(b"absent-%d" % (number + key) for key in range(draw.choice([1, 60, 900])))
                    asked += b"get " + absent + b"\r\n"
                    expected += b"END\r\n"
                else:
                    value = b"x" * draw.choice([draw.randrange(200), draw.randrange(3000)])
                    asked += b"set k%d 0 0 %d\r\n%s\r\n" % (number, len(value), value)
                    expected += b"STORED\r\n"
            connection.send_while_reading(bytes(asked))
            assert connection.receive(len(expected)) == bytes(expected), str(connection)
        connection.in_step()
