"""Replies to meta commands: what the flags asked for, about the key that was asked, and nothing beside it (R3)."""

import pytest

from mcproxy.wire.meta_requests import MetaDebug, MetaRequest
from mcproxy.wire.requests import STREAM_FROM, Request
from tests.unit.wire.driving import Collector
from tests.unit.wire.granting import text
from tests.unit.wire.reading import read, read_every_way

ERRORS = [b"SERVER_ERROR out of memory", b"SERVER_ERROR refcount overflow during fetch", b"SERVER_ERROR "]
NON_NUMERIC = b"CLIENT_ERROR cannot increment or decrement non-numeric value"

POSSIBLE = [
    (b"mg k", [b"HD", b"EN", b"HD W", b"HD Z", b"HD X", b"HD Z X", b"HD X W", b"HD Z X W"]),
    (b"mg k v", [b"VA 3\r\nabc", b"VA 0\r\n", b"VA 5\r\nEN\r\nx", b"VA 1 W\r\nx", b"VA 1 Z X\r\nx", b"EN"]),
    (b"mg k k O7 s t f h l c", [b"HD kk O7 s3 t-1 f4294967295 h1 l0 c18446744073709551615", b"EN kk O7"]),
    (b"mg k c O7 k s", [b"HD c1 O7 kk s9", b"EN O7 kk"]),
    (b"mg k k v", [b"VA 1 kk\r\nx", b"EN kk"]),
    (b"mg k C5 v", [b"VA 1\r\nx", b"HD", b"EN"]),
    (b"mg foo k O1", [b"HD kfoo O1", b"HD kZm9v b O1", b"EN kfoo O1"]),
    (b"mg Zm9v b k O1", [b"HD kfoo O1", b"HD kZm9v b O1", b"EN kZm9v b O1"]),
    (b"mg k O", [b"HD O", b"EN O"]),
    (b"md k", [b"HD", b"NF", b"EX"]),
    (b"md k k O3 C5", [b"HD kk O3", b"NF kk O3", b"EX kk O3"]),
    # memcached before 1.6.18.
    (b"md k k O3 C5", [b"HD  kk O3", b"NF  kk O3", b"EX  kk O3"]),
    (b"md k", [b"HD ", b"NF ", b"EX "]),
    (b"ma k O3 v C5", [b"NF  O3", b"EX  O3", b"NF  O3"]),
    (b"ms k 1 k c", [b"HD  kk c3", b"NS  kk c0"]),
    (b"ma k", [b"HD", b"NF", b"EX", NON_NUMERIC]),
    (b"ma k v", [b"VA 1\r\n5", b"VA 20\r\n18446744073709551615", b"NF", b"EX", NON_NUMERIC]),
    (b"ma k t O2 c k v", [b"VA 2 t-1 O2 c3 kk\r\n10", b"NF O2 kk", b"EX O2 kk", NON_NUMERIC]),
    (b"ms k 1", [b"HD", b"NS", b"EX", b"NF"]),
    (b"ms k 1 c O2 k", [b"HD c3 O2 kk", b"NS c0 O2 kk", b"EX c0 O2 kk", b"NF c0 O2 kk"]),
    (b"ms k 1 k s O2", [b"HD kk s1 O2", b"HD kk O2"]),
    (b"ms k 1 s", [b"HD s1", b"HD"]),
    (b"me k", [b"ME k exp=-1 la=3 cas=5 fetch=no cls=1 size=63", b"EN"]),
    (b"me Zm9v b", [b"ME Zm9v exp=1 la=0 cas=1 fetch=yes cls=63 size=100", b"ME foo exp=1 la=0 cas=1", b"EN"]),
]
NEVER = [
    (
        b"mg k",
        [b"VA 1\r\nx", b"NF", b"NS", b"EX", b"HD k", b"HD kk", b"HD W X", b"HD X Z", b"HD W W", b"HD  W", b"EN W"],
    ),
    (b"mg k v", [b"HD", b"VA", b"VA x\r\n", b"VA -1\r\n", b"VA 01\r\nx", b"VA 1073741825\r\n", b"VA 1 1\r\nx"]),
    (
        b"mg k k",
        [b"HD", b"HD kx", b"HD k", b"HD kkk", b"HD Kk", b"HD kk b", b"HD kYQ== b", b"EN", b"EN kx", b"HD kk kk"],
    ),
    (b"mg Zm9v k", [b"HD kZm9v b", b"HD kfoo", b"EN kZm9v b"]),
    (b"mg Zm9v b k", [b"HD kZm9v", b"HD kZm9= b", b"HD kZm8= b", b"EN kZm9x b"]),
    (b"mg k O7", [b"HD", b"HD O8", b"HD O", b"HD O77", b"HD o7", b"EN", b"EN O8"]),
    (b"mg k c s", [b"HD s1 c1", b"HD c1", b"HD c s1", b"HD cx s1", b"HD c1 s1 t1", b"HD c123456789012345678901 s1"]),
    (b"mg k O7 k", [b"HD kk O7", b"EN O7"]),
    (b"md k", [b"EN", b"VA 1\r\nx", b"NS", b"HD W", NON_NUMERIC]),
    (b"ma k", [b"VA 1\r\n5", b"EN", b"NS", b"HD W", b"5", b"NOT_FOUND"]),
    (b"ma k O3 v", [b"VA  2 O3\r\n10", b"VA 2  O3\r\n10", b"NF   O3", b"NF  O3 ", b"NF  O4"]),
    (b"mg k O3", [b"HD  O3", b"EN  O3", b"HD "]),
    (b"ma k v", [b"HD", b"VA 21\r\n184467440737095516150"]),
    (b"ma k c", [b"HD", b"NF c1"]),
    (b"ms k 1", [b"EN", b"STORED", b"VA 1\r\nx", b"HD s1", NON_NUMERIC]),
    (b"ms k 1 c", [b"HD", b"NS", b"EX", b"NF"]),
    (b"ms k 1 s k", [b"HD s1", b"HD sx kk", b"HD"]),
    (
        b"me k",
        [b"ME x exp=1", b"ME k", b"ME ", b"ME k exp", b"ME k exp=1 ", b"ME aw== b exp=1", b"HD", b"EN k", b"EN O1"],
    ),
]
NEVER_AT_ALL = [b"", b"ERROR", b"CLIENT_ERROR bad command line format", b"CLIENT_ERROR", b"hd", b" HD", b"HD  ", b"END"]
NEVER_AT_ALL += [b"SERVER_ERROR", b"SERVER_ERROR out of memory writing get response", b"VALUE k 0 1", b"MN", b"HD\nHD"]


def making(line: bytes, *more: bytes):
    """Makes the requests that a parser makes of these command lines."""

    def make(sink: Collector) -> list[Request]:
        requests = []
        for one in (line, *more):
            data = one + (b"\r\nx\r\n" if one.startswith(b"ms ") else b"\r\n")
            request = text()(sink).next(data, 0, 10)
            assert isinstance(request, MetaRequest | MetaDebug)
            requests.append(request)
        return requests

    return make


def flat(cases: list[tuple[bytes, list[bytes]]]) -> list[tuple[bytes, bytes]]:
    return [(line, reply) for line, replies in cases for reply in replies]


@pytest.mark.parametrize(("line", "reply"), flat(POSSIBLE))
def test_a_reply_that_the_command_can_have(line, reply):
    reading = read_every_way(making(line), reply + b"\r\n")
    assert (reading.received, reading.lost, reading.waiting) == (reply + b"\r\n", "", 0)
    assert reading.hits == (line.startswith(b"mg") and reply[:2] in (b"HD", b"VA"))


@pytest.mark.parametrize(("line", "reply"), flat(NEVER))
def test_a_reply_that_the_command_cannot_have(line, reply):
    reading = read_every_way(making(line), reply + b"\r\n")
    assert reading.lost
    assert reading.received == b"SERVER_ERROR lost\r\n"


@pytest.mark.parametrize("line", [line for line, _ in POSSIBLE])
@pytest.mark.parametrize("reply", NEVER_AT_ALL)
def test_what_is_no_reply_to_any_of_them(line, reply):
    reading = read_every_way(making(line), reply + b"\r\n")
    assert reading.lost
    assert reading.received == b"SERVER_ERROR lost\r\n"


@pytest.mark.parametrize("line", [line for line, _ in POSSIBLE])
@pytest.mark.parametrize("error", ERRORS)
def test_errors_of_the_server(line, error):
    reading = read_every_way(making(line), error + b"\r\n")
    assert (reading.received, reading.lost) == (error + b"\r\n", "")


@pytest.mark.parametrize(
    ("line", "hidden", "shown"),
    [
        (b"mg k q", [b"EN"], [b"HD", b"HD W"]),
        (b"mg k q k O1 v", [b"EN kk O1"], [b"VA 1 kk O1\r\nx"]),
        (b"ms k 1 q", [b"HD"], [b"NS", b"EX", b"NF"]),
        (b"ms k 1 k q c", [b"HD kk c1"], [b"NS kk c0"]),
        (b"md k q", [b"HD"], [b"NF", b"EX"]),
        (b"ma k q", [b"HD"], [b"NF", b"EX", NON_NUMERIC]),
        (b"ma k q v", [b"VA 2\r\n10"], [b"NF", b"EX", NON_NUMERIC]),
    ],
)
def test_quiet(line, hidden, shown):
    for reply in hidden:
        reading = read_every_way(making(line, b"me k"), reply + b"\r\nEN\r\n")
        assert (reading.received, reading.lost, reading.waiting) == (b"EN\r\n", "", 0)
    for reply in [*shown, *ERRORS]:
        reading = read_every_way(making(line, b"me k"), reply + b"\r\nEN\r\n")
        assert (reading.received, reading.lost, reading.waiting) == (reply + b"\r\nEN\r\n", "", 0)


def test_quiet_does_not_hide_that_the_link_was_lost():
    assert read(making(b"ms k 1 q"), b"garbage\r\n").received == b"SERVER_ERROR lost\r\n"


@pytest.mark.parametrize("size", [STREAM_FROM - 3, STREAM_FROM - 2, STREAM_FROM - 1, STREAM_FROM, 200_000])
def test_values_of_all_sizes(size):
    reply = b"VA %d kk\r\n%s\r\n" % (size, b"\r\n" * (size // 2) + b"x" * (size % 2))
    whole = reply + b"EN\r\n"
    for positions in ([], [5], [len(reply) - 1], [len(reply) - 2], [len(reply) - 3], range(11, len(whole), 1000)):
        reading = read(making(b"mg k v k", b"me k"), whole, positions)
        assert (reading.received == whole, reading.lost, reading.waiting, reading.hits) == (True, "", 0, 1)


@pytest.mark.parametrize("size", [10, STREAM_FROM + 10])
def test_a_value_that_is_longer_than_its_length(size):
    reply = b"VA %d\r\n%s" % (size, b"y" * size)
    for end in (b"z\r\n", b"\rz", b"\n\r"):
        reading = read(making(b"mg k v"), reply + end)
        assert reading.lost and not reading.was_cut_short
        assert reading.received == b"SERVER_ERROR lost\r\n"
        reading = read(making(b"mg k v"), reply + end, [len(reply) - 1, len(reply)])
        assert reading.lost
        assert reading.was_cut_short is (size > STREAM_FROM)


def test_a_value_that_breaks_off():
    reading = read(making(b"mg k v"), b"VA 100000\r\n" + b"y" * 50_000)
    assert (reading.waiting, reading.was_cut_short) == (1, False)
    sink = Collector()
    request = making(b"mg k v")(sink)[0]
    request.take(b"VA 100000\r\n" + b"y" * 50_000, 0)
    request.fail(b"gone")
    assert sink.was_cut_short


def test_the_size_of_values_is_learnt():
    sink = Collector()
    request = making(b"mg k v")(sink)[0]
    request.take(b"VA 100\r\n" + b"y" * 100 + b"\r\n", 0)
    assert 100 <= sink.largest_value <= 102


def test_a_reply_line_without_an_end():
    assert read(making(b"mg k v"), b"VA " + b"1" * 3000).lost
    assert read(making(b"me k"), b"ME " + b"1" * 3000).lost
    assert not read(making(b"mg k v"), b"VA 1").lost
    assert read_every_way(making(b"mg k"), b"HD\n").lost
    assert read_every_way(making(b"me k"), b"EN\n").lost
