"""Replies to the commands without a key: of one line on shared links, and those that need a link of their own."""

import pytest

from mcproxy.wire.requests import Request
from tests.unit.wire.driving import Collector, Link
from tests.unit.wire.granting import text
from tests.unit.wire.reading import read, read_every_way

ITEM = b"key=app%%3A%d exp=-1 la=1795379037 cas=1 fetch=no cls=1 size=61\n"
LINES_OF_LRU = [b"OK", b"ERROR", b"ERROR hot and warm pcts must not exceed 80"]
SHARED: dict[bytes, list[bytes]] = {
    b"cache_memlimit 64": [
        b"OK",
        b"MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m",
        b"MEMLIMIT_ADJUST_FAILED x",
    ],
    b"lru mode flat": LINES_OF_LRU,
    b"lru temp_ttl 5": LINES_OF_LRU,
    b"lru tune 10 25 0.1 2.0": LINES_OF_LRU,
    b"slabs automove 1": [b"OK", b"ERROR"],
    b"slabs reassign 1 2": [
        *(b"OK", b"BUSY currently processing reassign request", b"BADCLASS invalid src or dst class id", b"ERROR"),
        *(
            b"NOSPARE source class has no spare pages",
            b"SAME src and dst class are identical",
            b"UNSAFE x",
            b"NOTFULL x",
        ),
        b"CLIENT_ERROR slab reassignment disabled",
    ],
    **{
        b"lru_crawler " + words: [
            *(b"OK", b"ERROR", b"ERROR failed to start lru crawler thread", b"CLIENT_ERROR lru crawler disabled"),
            *(
                b"BUSY currently processing crawler request",
                b"BADCLASS invalid class id",
                b"NOTSTARTED no items to crawl",
            ),
        ]
        for words in (b"enable", b"disable", b"tocrawl 5", b"sleep 5", b"crawl all")
    },
}
FOREIGN = [
    b"STORED",
    b"END",
    b"VERSION 1",
    b"VALUE a 0 1",
    b"MN",
    b"HD",
    b"RESET",
    b"",
    b"OK ",
    b"ok",
    b"ERRORx",
    b"OKOK",
]


def making(*lines: bytes):
    """Makes the requests of these lines."""

    def make(sink: Collector) -> list[Request]:
        requests = []
        for line in lines:
            request = text()(sink).next(line + b"\r\n", 0, 10)
            assert isinstance(request, Request)
            requests.append(request)
        return requests

    return make


@pytest.mark.parametrize("line", SHARED, ids=bytes.decode)
def test_the_replies_on_a_shared_link(line):
    for reply in [*SHARED[line], b"SERVER_ERROR out of memory"]:
        reading = read_every_way(making(line, b"mn"), reply + b"\r\nMN\r\n")
        assert (reading.received, reading.lost) == (reply + b"\r\nMN\r\n", ""), reply
    for reply in FOREIGN:
        reading = read_every_way(making(line, b"mn"), reply + b"\r\nMN\r\n")
        assert reading.lost and reading.received == b"SERVER_ERROR lost\r\n" * 2, reply


METADUMP = making(b"lru_crawler metadump all")


@pytest.mark.parametrize("first", [b"", b"OK\r\n"], ids=["1.6.18", "newer"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_metadump(first, count):
    reply = first + b"".join(ITEM % number for number in range(count)) + b"END\r\n"
    reading = read_every_way(METADUMP, reply)
    assert (reading.received, reading.lost, reading.waiting) == (reply, "", 0)


@pytest.mark.parametrize(
    "line",
    [
        *(b"BUSY currently processing crawler request", b"BADCLASS invalid class id", b"NOTSTARTED no items to crawl"),
        *(b"ERROR", b"ERROR metadump not allowed", b"CLIENT_ERROR lru crawler disabled", b"SERVER_ERROR out of memory"),
    ],
)
def test_metadump_that_does_not_begin(line):
    reading = read_every_way(METADUMP, line + b"\r\n")
    assert (reading.received, reading.lost, reading.waiting) == (line + b"\r\n", "", 0)


@pytest.mark.parametrize(
    "reply",
    [
        *(b"STORED\r\n", b"OK\r\nOK\r\n", b"END\n", b"END\r\nEND\r\n", b"key=a exp=-1\r\n", b"\n", b"key= exp=-1\n"),
        *(ITEM % 1 + b"ERROR\r\n", ITEM % 1 + b"OK\r\n", b"key=a\0 exp=-1\n", b"STAT pid 1\r\n", b"key=a\n"),
        b"key=" + b"a" * 2100,
    ],
    ids=lambda reply: repr(reply[:20]),
)
def test_what_metadump_cannot_have(reply):
    assert read_every_way(METADUMP, reply).lost


def test_metadump_that_breaks_off_ends_in_an_error():
    reply = b"OK\r\n" + ITEM % 1 + ITEM % 2
    for length in range(len(reply)):
        sink, link = Collector(), Link()
        link.waiting.extend(METADUMP(sink))
        link.receive(reply[:length])
        link.close("gone")
        assert sink.received == reply[: reply[:length].rfind(b"\n") + 1] + b"SERVER_ERROR lost\r\n"


def test_metadump_of_more_than_a_receive():
    reply = b"".join(ITEM % number for number in range(5000)) + b"END\r\n"
    for size in (1000, 4096, 65536):
        reading = read(METADUMP, reply, range(size, len(reply), size))
        assert (reading.received, reading.lost, reading.waiting) == (reply, "", 0)


LOGGED = b"ts=1.2 gid=1 type=item_get key=a status=not_found clsid=0 cfd=24\nts=1.3 gid=2 type=conn_close\nskipped=7\n"


def test_watch_passes_on_whatever_comes():
    for reply in (b"OK\r\n", b"OK\r\n" + LOGGED, b"OK\r\n" + LOGGED + b"END\r\nERROR\r\n\0\xff"):
        reading = read_every_way(making(b"watch"), reply)
        assert (reading.received, reading.lost, reading.waiting) == (reply, "", 1)


def test_watch_has_no_end_once_it_has_begun():
    sink, link = Collector(), Link()
    [request] = making(b"watch fetchers")(sink)
    link.waiting.append(request)
    link.receive(b"OK\r")
    assert (request.endless, sink.watches, sink.received) == (False, False, b"")
    link.receive(b"\n")
    assert (request.endless, sink.watches, sink.received) == (True, True, b"OK\r\n")
    link.receive(LOGGED)
    link.close("gone")
    assert sink.received == b"OK\r\n" + LOGGED
    assert sink.was_cut_short, "the client would wait for ever"


@pytest.mark.parametrize(
    "line",
    [
        *(b"ERROR", b"ERROR cannot pipeline other commands before watch", b"CLIENT_ERROR watch commands not allowed"),
        *(
            b"WATCHER_TOO_MANY log watcher limit reached",
            b"WATCHER_FAILED failed to add log watcher",
            b"SERVER_ERROR x",
        ),
    ],
)
def test_watch_that_does_not_begin(line):
    reading = read_every_way(making(b"watch"), line + b"\r\n")
    assert (reading.received, reading.lost, reading.waiting) == (line + b"\r\n", "", 0)
    sink, link = Collector(), Link()
    link.waiting.extend(making(b"watch")(sink))
    link.close("gone")
    assert (sink.received, sink.was_cut_short) == (b"SERVER_ERROR lost\r\n", False)


@pytest.mark.parametrize("reply", [b"STORED\r\n", b"OK\n", b"ts=1 gid=1\n", b"END\r\n", b"O" * 2049])
def test_what_watch_cannot_begin_with(reply):
    assert read_every_way(making(b"watch"), reply).lost


@pytest.mark.parametrize("line", [b"shutdown", b"shutdown graceful"])
def test_shutdown(line):
    refused = [
        b"ERROR: shutdown not enabled",
        b"SERVER_ERROR: shutdown not enabled",
        b"CLIENT_ERROR invalid shutdown mode",
    ]
    for reply in refused:
        reading = read_every_way(making(line), reply + b"\r\n")
        assert (reading.received, reading.lost, reading.waiting) == (reply + b"\r\n", "", 0)
    for reply in (b"OK", b"STORED", b"", b"ERROR:", b"END"):
        assert read_every_way(making(line), reply + b"\r\n").lost


def test_shutdown_is_answered_by_the_end_of_the_connection():
    sink = Collector()
    [request] = making(b"shutdown")(sink)
    request.upstream_closed()
    request.fail(b"lost")
    assert (sink.received, sink.was_cut_short) == (b"", True)
    sink = Collector()
    making(b"shutdown")(sink)[0].fail(b"upstream timed out")
    assert (sink.received, sink.was_cut_short) == (b"SERVER_ERROR upstream timed out\r\n", False)


def test_other_requests_are_not_answered_by_the_end_of_the_connection():
    for line in (b"stats", b"watch", b"refresh_certs", b"lru_crawler metadump all", b"version", b"get a"):
        sink = Collector()
        [request] = making(line)(sink)
        request.upstream_closed()
        request.fail(b"lost")
        assert (sink.received, sink.was_cut_short) == (b"SERVER_ERROR lost\r\n", False)


@pytest.mark.parametrize("reply", [b"OK", b"Error TLS not enabled", b"SERVER_ERROR x", b"Error loading the key: x : y"])
def test_refresh_certs(reply):
    reading = read_every_way(making(b"refresh_certs"), reply + b"\r\n")
    assert (reading.received, reading.lost, reading.waiting) == (reply + b"\r\n", "", 0)


@pytest.mark.parametrize("reply", [b"\r\n", b"a\nb\r\n", b"a\0\r\n", b"x" * 2000 + b"\r\n", b"OK\r\nOK\r\n"])
def test_what_refresh_certs_cannot_have(reply):
    assert read_every_way(making(b"refresh_certs"), reply).lost
