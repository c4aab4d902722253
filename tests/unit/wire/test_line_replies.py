"""Replies of one line, of many lines, and the proxy's own: only what the verb can have is passed on (R3)."""

import pytest

from mcproxy.wire.administration_requests import LinesRequest
from mcproxy.wire.requests import Local, Request
from mcproxy.wire.text_rules import KEYED, STORAGE
from tests.unit.wire.driving import Collector, Link
from tests.unit.wire.granting import text
from tests.unit.wire.reading import read, read_every_way

POSSIBLE = {
    b"set": [b"STORED"],
    b"add": [b"STORED", b"NOT_STORED"],
    b"replace": [b"STORED", b"NOT_STORED"],
    b"append": [b"STORED", b"NOT_STORED"],
    b"prepend": [b"STORED", b"NOT_STORED"],
    b"cas": [b"STORED", b"EXISTS", b"NOT_FOUND"],
    b"incr": [
        b"0",
        b"18446744073709551615",
        b"NOT_FOUND",
        b"CLIENT_ERROR cannot increment or decrement non-numeric value",
    ],
    b"decr": [b"7", b"NOT_FOUND", b"CLIENT_ERROR cannot increment or decrement non-numeric value"],
    b"delete": [b"DELETED", b"NOT_FOUND"],
    b"touch": [b"TOUCHED", b"NOT_FOUND"],
    b"flush_all": [b"OK", b"CLIENT_ERROR flush_all not allowed"],
    b"verbosity": [b"OK"],
    b"version": [b"VERSION 1.6.18", b"VERSION 1.6.45"],
    b"mn": [b"MN"],
}
FRAMES = {
    **{verb: verb + b" k 0 0 1\r\nx\r\n" for verb in STORAGE},
    b"cas": b"cas k 0 0 1 2\r\nx\r\n",
    b"incr": b"incr k 1\r\n",
    b"decr": b"decr k 1\r\n",
    b"delete": b"delete k\r\n",
    b"touch": b"touch k 1\r\n",
    b"flush_all": b"flush_all\r\n",
    b"verbosity": b"verbosity 1\r\n",
    b"version": b"version\r\n",
    b"mn": b"mn\r\n",
}
ERRORS = [b"SERVER_ERROR out of memory storing object", b"SERVER_ERROR object too large for cache", b"SERVER_ERROR "]
NEVER = [b"ERROR", b"CLIENT_ERROR bad data chunk", b"CLIENT_ERROR bad command line format", b"END", b"VALUE k 0 1"]
NEVER += [
    b"",
    b"STORED ",
    b" STORED",
    b"stored",
    b"x",
    b"SERVER_ERROR",
    b"SERVER_ERROR a\0",
    b"HD",
    b"123456789012345678901",
    b"-1",
]


def making(frame: bytes, *others: bytes):
    """Makes the requests that a parser makes of these frames."""

    def make(sink: Collector) -> list[Request]:
        requests = []
        for data in (frame, *others):
            request = text()(sink).next(data, 0, 10)
            assert isinstance(request, Request)
            requests.append(request)
        return requests

    return make


def test_every_verb_is_here():
    assert set(POSSIBLE) == set(FRAMES) == {*STORAGE, *KEYED, b"flush_all", b"verbosity", b"version", b"mn"}


@pytest.mark.parametrize("verb", POSSIBLE, ids=bytes.decode)
def test_the_replies_that_a_verb_can_have(verb):
    every = {reply for replies in POSSIBLE.values() for reply in replies}
    quiet = FRAMES[verb].replace(b"\r\n", b" noreply\r\n", 1)
    for reply in sorted(every) + ERRORS + NEVER:
        data = reply + b"\r\n"
        reading = read_every_way(making(FRAMES[verb], b"mn\r\n"), data + b"MN\r\n")
        fits = reply in POSSIBLE[verb] or reply in ERRORS
        fits = fits or (verb == b"version" and reply.startswith(b"VERSION "))
        fits = fits or (verb in (b"incr", b"decr") and reply.isdigit() and len(reply) <= 20)
        if fits:
            assert (reading.received, reading.lost) == (data + b"MN\r\n", ""), reply
        else:
            assert reading.lost, reply
            assert reading.received == b"SERVER_ERROR lost\r\n" * 2, reply
        if verb not in (b"version", b"mn"):
            reading = read_every_way(making(quiet, b"mn\r\n"), data + b"MN\r\n")
            assert reading.received == (b"MN\r\n" if fits else b"SERVER_ERROR lost\r\n"), reply
            assert bool(reading.lost) is not fits


@pytest.mark.parametrize("verb", POSSIBLE, ids=bytes.decode)
def test_the_error_that_throws_replies_away_is_nobodys_answer(verb):
    """It answers a later get, and the reply to this command is among those that memcached threw away.

    Whoever took it for his own would leave every later answer to the one before it.
    """
    for words in (b"", b"responseK", b" x"):
        error = b"SERVER_ERROR out of memory writing get response" + words + b"\r\n"
        reading = read_every_way(making(FRAMES[verb], b"get k\r\n", b"get j\r\n"), error + b"END\r\n")
        assert reading.lost
        assert reading.received == b"SERVER_ERROR lost\r\n" * 3


def test_a_line_that_does_not_end_is_no_reply():
    for data in (b"STORED", b"S" * 2048, b"SERVER_ERROR " + b"x" * 2000):
        reading = read(making(FRAMES[b"set"]), data)
        assert (reading.lost, reading.waiting) == ("", 1)
    assert read(making(FRAMES[b"set"]), b"S" * 2049).lost


def stats(sink: Collector) -> list[Request]:
    return [LinesRequest(sink, b"stats\r\n", "stats")]


@pytest.mark.parametrize(
    "reply",
    [
        b"END\r\n",
        b"STAT pid 1\r\nSTAT x \r\nEND\r\n",
        b"ITEM key [1 b; 0 s]\r\nITEM \xff\0 [1 b; 0 s]\r\nEND\r\n",
        b"PREFIX app get 1 hit 1 set 0 del 0\r\nEND\r\n",
        b"RESET\r\n",
        b"OK\r\n",
        b"ERROR\r\n",
        b"CLIENT_ERROR stats detail not allowed\r\n",
        b"STAT pid 1\r\nSERVER_ERROR out of memory\r\n",
    ],
    ids=repr,
)
def test_statistics(reply):
    reading = read_every_way(stats, reply)
    assert (reading.received, reading.lost, reading.waiting) == (reply, "", 0)


@pytest.mark.parametrize(
    "reply", [b"STORED\r\n", b"STAT a 1\nEND\r\n", b"\r\n", b"STAT a 1\r\nVALUE a 0 1\r\n", b"END\r\nEND\r\n"]
)
def test_what_stats_cannot_have(reply):
    assert read_every_way(stats, reply).lost


def test_statistics_that_break_off_end_in_an_error():
    reply = b"STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n"
    for length in range(len(reply)):
        sink, link = Collector(), Link()
        link.waiting.extend(stats(sink))
        link.receive(reply[:length])
        link.close("gone")
        whole = reply[:length].rfind(b"\n") + 1
        assert sink.received == reply[:whole] + b"SERVER_ERROR lost\r\n"


def test_statistics_need_a_link_of_their_own():
    """Keys are printed raw in them, and may look like an END."""
    for words in (b"stats", b"stats items", b"stats detail dump", b"stats cachedump 1 1", b"stats reset"):
        request = text()(Collector()).next(words + b"\r\n", 0, 10)
        assert isinstance(request, Request) and request.private and not request.local
    request = text()(Collector()).next(b"version\r\n", 0, 10)
    assert isinstance(request, Request) and not request.private


def test_the_proxys_own_replies_wait_for_their_turn():
    def make(sink: Collector) -> list[Request]:
        set_, version = making(FRAMES[b"set"], b"version\r\n")(sink)
        return [
            Local(sink, b"one\r\n"),
            set_,
            Local(sink, b"two\r\n"),
            Local(sink, b"three\r\n"),
            version,
            Local(sink, b"4\r\n"),
        ]

    reading = read_every_way(make, b"STORED\r\nVERSION 1\r\n")
    assert reading.received == b"one\r\nSTORED\r\ntwo\r\nthree\r\nVERSION 1\r\n4\r\n"
    reading = read(make, b"STORED\r\nERROR\r\n")
    lost = b"SERVER_ERROR lost\r\n"
    assert reading.received == b"one\r\nSTORED\r\ntwo\r\nthree\r\n" + lost + b"4\r\n"
    sink, link = Collector(), Link()
    link.waiting.extend(make(sink))
    link.close("gone")
    assert sink.received == b"one\r\n" + lost + b"two\r\nthree\r\n" + lost + b"4\r\n"
    assert len(sink.answered) == 6
