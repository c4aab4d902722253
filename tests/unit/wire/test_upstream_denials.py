"""An upstream that is an mcproxy denies by its own grants: one reply for the whole command, and the link in step."""

import pytest

from mcproxy.wire.requests import STREAM_FROM, Request
from tests.support import packets
from tests.unit.wire.answering import response
from tests.unit.wire.driving import Collector
from tests.unit.wire.granting import text
from tests.unit.wire.reading import read, read_every_way
from tests.unit.wire.test_binary_replies import (
    CLIENTS,
    IMPOSSIBLE,
    LOGIN,
    OURS,
    asking,
    error,
    stat,
    statistics,
    success,
)
from tests.unit.wire.test_text_refusals import DENIED

FOLLOWING = b"mn\r\n"
WORDS = b"access denied"
LINES = [
    *(b"get a", b"gets a b c", b"gat 0 a", b"gats 0 a b", b"get " + b" ".join(b"k%d" % key for key in range(60))),
    *(b"set a 0 0 1\r\nx", b"add a 0 0 1\r\nx", b"replace a 0 0 1\r\nx", b"append a 0 0 1\r\nx"),
    *(
        b"prepend a 0 0 1\r\nx",
        b"cas a 0 0 1 2\r\nx",
        b"incr a 1",
        b"decr a 1",
        b"delete a",
        b"touch a 0",
        b"flush_all",
    ),
    *(
        b"verbosity 1",
        b"mg a v",
        b"mg a",
        b"ms a 1\r\nx",
        b"md a",
        b"ma a",
        b"me a",
        b"cache_memlimit 100",
        b"lru mode flat",
    ),
    *(b"slabs automove 0", b"lru_crawler enable"),
]
PRIVATE = [
    *(
        b"stats",
        b"stats items",
        b"lru_crawler metadump all",
        b"watch",
        b"shutdown",
        b"refresh_certs",
        b"stats detail dump",
    ),
]

FREE = [b"lru_crawler enable"]
"""What memcached itself says in words of its own."""


def making(*frames: bytes):
    """Makes the requests of these frames, all pieces of each."""

    def make(sink: Collector) -> list[Request]:
        requests = []
        for frame in frames:
            data = frame if frame.endswith(b"\r\n") else frame + b"\r\n"
            parser = text()(sink)
            request = parser.next(data, 0, 1000)
            while isinstance(request, Request):
                requests.append(request)
                request = parser.next(data, parser.end, 1000) if parser.cutting else None
        return requests

    return make


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:20].decode())
def test_every_command_can_be_denied(line):
    pieces = len(making(line)(Collector()))
    reading = read_every_way(making(line, FOLLOWING), DENIED * pieces + b"MN\r\n")
    assert (reading.received, reading.lost, reading.waiting) == (DENIED + b"MN\r\n", "", 0)
    assert reading.hits == 0


@pytest.mark.parametrize("line", PRIVATE, ids=bytes.decode)
def test_so_can_those_with_a_link_of_their_own(line):
    reading = read_every_way(making(line), DENIED)
    assert (reading.received, reading.lost, reading.waiting) == (DENIED, "", 0)


@pytest.mark.parametrize("line", [b"mn", b"version"])
def test_what_anybody_may_do_cannot_be(line):
    reading = read_every_way(making(line), DENIED)
    assert reading.lost
    assert reading.received == b"SERVER_ERROR lost\r\n"


@pytest.mark.parametrize("line", [line for line in LINES if line not in FREE], ids=lambda line: line[:20].decode())
@pytest.mark.parametrize(
    "reply", [b"CLIENT_ERROR access denied \r\n", b"CLIENT_ERROR access denied\n", b"CLIENT_ERROR unauthenticated\r\n"]
)
def test_no_other_words_do(line, reply):
    assert read(making(line), reply).lost


def test_without_a_reply_there_is_none():
    reading = read_every_way(
        making(b"set a 0 0 1 noreply\r\nx", b"delete a noreply", FOLLOWING), DENIED * 2 + b"MN\r\n"
    )
    assert (reading.received, reading.lost) == (b"MN\r\n", "")


def test_lines_of_one_run_are_denied_one_by_one():
    value = b"VALUE b 0 1\r\nx\r\nEND\r\n"
    reading = read_every_way(making(b"get a\r\nget b\r\nget c\r\n", FOLLOWING), DENIED + value + DENIED + b"MN\r\n")
    assert (reading.received, reading.lost, reading.hits) == (DENIED + value + DENIED + b"MN\r\n", "", 1)


def test_a_piece_that_is_denied_denies_the_whole():
    """Whatever the other pieces are answered, the client hears of one error and nothing behind it."""
    keys = [b"k%d" % number for number in range(250)]
    line = b"get " + b" ".join(keys)
    pieces = len(making(line)(Collector()))
    assert pieces == 3
    first = b"VALUE k0 0 1\r\nx\r\n"
    last = b"VALUE k249 0 1\r\nx\r\nEND\r\n"
    reading = read(making(line, FOLLOWING), first + b"END\r\n" + DENIED + last + b"MN\r\n")
    assert (reading.received, reading.lost, reading.waiting) == (first + DENIED + b"MN\r\n", "", 0)
    reading = read(making(line, FOLLOWING), b"END\r\n" + DENIED + DENIED + b"MN\r\n")
    assert (reading.received, reading.lost) == (DENIED + b"MN\r\n", "")


def test_a_denial_behind_a_large_value():
    value = b"VALUE a 0 %d\r\n" % (STREAM_FROM + 1) + b"x" * (STREAM_FROM + 1) + b"\r\n"
    reading = read(making(b"get a b", FOLLOWING), value + DENIED + b"MN\r\n", [100, STREAM_FROM, len(value) + 5])
    assert (reading.received, reading.lost) == (value + DENIED + b"MN\r\n", "")


DENIABLE = [
    *(packets.GET, packets.GETQ, packets.GETK, packets.GETKQ, packets.GAT, packets.GATK, packets.SET, packets.SETQ),
    *(packets.ADD, packets.REPLACE, packets.APPEND, packets.PREPEND, packets.DELETE, packets.INCR, packets.DECR),
    *(packets.TOUCH, packets.FLUSH),
]


def denied(opcode: int, opaque: int, **more) -> bytes:
    return response(opcode, opaque, 0x24, value=WORDS, **more)


@pytest.mark.parametrize("opcode", DENIABLE, ids=hex)
def test_every_binary_operation_can_be_denied(opcode):
    """Quiet ones too: only success is silent, or a miss."""
    (made,) = asking(opcode)(Collector())
    sent = made.operation.sent
    following = success(packets.NOOP, opaque=OURS + 1)
    reading = read_every_way(asking(opcode, packets.NOOP), denied(sent, OURS) + following)
    wanted = denied(opcode, CLIENTS) + success(packets.NOOP, opaque=CLIENTS + 1)
    assert (reading.received, reading.lost, reading.hits) == (wanted, "", 0)
    for wrong in (
        denied(sent, OURS, key=b"b"),
        denied(sent, OURS, extras=b"1234"),
        response(sent, OURS, 0x24, value=b"x" * 1025),
    ):
        reading = read(asking(opcode), wrong)
        assert (reading.received, reading.lost) == (error(opcode), IMPOSSIBLE)


@pytest.mark.parametrize("opcode", [packets.NOOP, packets.VERSION], ids=hex)
def test_a_binary_operation_that_anybody_may_do_cannot_be(opcode):
    reading = read(asking(opcode), denied(opcode, OURS))
    assert (reading.received, reading.lost) == (error(opcode), IMPOSSIBLE)


def test_binary_statistics_can_be_denied():
    reading = read_every_way(statistics, stat(b"", WORDS, status=0x24))
    assert (reading.received, reading.lost, reading.waiting) == (denied(packets.STAT, CLIENTS), "", 0)


def test_binary_statistics_of_a_link_that_is_not_logged_in():
    """Case 26."""
    reading = read_every_way(statistics, stat(b"", b"Auth failure", status=0x20))
    assert (reading.received, reading.lost) == (response(packets.STAT, CLIENTS, 0x86, value=b"lost"), LOGIN)
