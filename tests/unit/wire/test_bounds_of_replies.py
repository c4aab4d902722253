"""Where what memcached may say ends: error lines, and what each request counts as.

These bounds are in patterns, where one byte more or less changes nothing that a sound conversation shows.
"""

import re

import pytest

from mcproxy.wire import grammar
from mcproxy.wire.requests import LineRequest, Local, OutOfStep, Request, expect_more
from mcproxy.wire.retrieval import Retrieval
from tests.unit.wire.driving import Collector, Link
from tests.unit.wire.granting import text
from tests.unit.wire.test_retrieval_replies import LARGE, LARGE_REPLY, asking

server_error = re.compile(grammar.SERVER_ERROR).fullmatch
EVERY_BYTE = [bytes([byte]) for byte in range(256)]


@pytest.mark.parametrize("largest", [0, 5, 9, 10, 19, 99, 250, 1000, 2**31 - 1, 2**32 - 1, 2**64 - 1])
def test_a_number_has_nothing_but_digits(largest):
    """Whatever stands in the place of any digit."""
    matches = re.compile(grammar.decimal_at_most(largest)).fullmatch
    for number in {largest, largest // 2, largest // 10, 10 ** (len(str(largest)) - 1)}:
        digits = b"%d" % number
        for at in range(len(digits)):
            for byte in EVERY_BYTE:
                changed = digits[:at] + byte + digits[at + 1 :]
                sound = changed.isdigit() and changed == b"%d" % int(changed) and int(changed) <= largest
                assert (matches(changed) is not None) is sound, changed


def test_a_number_of_one_digit_is_a_class():
    assert grammar.decimal_at_most(5) == b"[0-5]"


def test_the_text_of_a_server_error():
    said = [byte for byte in EVERY_BYTE if server_error(b"SERVER_ERROR a" + byte + b"\r\n")]
    assert said == EVERY_BYTE[0x20:0x7F]
    fits = [length for length in range(300) if server_error(b"SERVER_ERROR " + b"x" * length + b"\r\n")]
    assert fits == list(range(257))


def request_for(frame: bytes) -> Request:
    request = text()(Collector()).next(frame, 0, 1000)
    assert isinstance(request, Request)
    return request


@pytest.mark.parametrize(
    ("frame", "count", "cost", "lookups"),
    [
        (b"get a\r\n", "read", 1, 1),
        (b"get a b\r\ngets a\r\n", "read", 2, 2),
        (b"gat 0 a b c\r\n", "touch", 3, 3),
        (b"set a 0 0 1\r\nx\r\n", "write", 1, 0),
        (b"incr a 1\r\n", "counter", 1, 0),
        (b"delete a\r\n", "delete", 1, 0),
        (b"touch a 0\r\n", "touch", 1, 0),
        (b"flush_all\r\n", "flush", 1, 0),
        (b"verbosity 1\r\n", "admin", 1, 0),
        (b"stats\r\n", "stats", 1, 0),
        (b"stats items\r\n", "inspect", 1, 0),
        (b"mn\r\n", "other", 1, 0),
        (b"mg a v\r\n", "read", 1, 1),
        (b"ms a 1\r\nx\r\n", "write", 1, 0),
        (b"md a\r\n", "delete", 1, 0),
        (b"ma a v\r\n", "counter", 1, 0),
        (b"me a\r\n", "inspect", 1, 0),
    ],
)
def test_what_a_request_counts_as(frame, count, cost, lookups):
    """Answers in flight, and what the metrics say of it: only retrievals look something up."""
    request = request_for(frame)
    assert (request.count, request.cost, request.lookups, request.hits) == (count, cost, lookups, 0)
    assert not request.done


def test_a_value_is_not_kept_once_it_was_sent_but_a_retrieval_is():
    """Its lines are what the keys of its reply are compared with."""
    storage, retrieval = request_for(b"set a 0 0 1\r\nx\r\n"), request_for(b"gets a\r\n")
    assert (type(storage), type(retrieval)) == (LineRequest, Retrieval)
    for request in (storage, retrieval):
        assert request.to_send() != b""
    assert (storage.upstream, retrieval.upstream) == (b"", b"gets a\r\n")


@pytest.mark.parametrize("frame", [b"set a 0 0 1\r\nx\r\n", b"get a\r\n", b"stats\r\n"])
def test_a_bare_line_end_is_no_reply(frame):
    with pytest.raises(OutOfStep):
        request_for(frame).take(b"\n", 0)


def test_a_large_value_of_a_piece_that_breaks_off_ends_the_connection():
    """As of a whole retrieval: what follows would be taken for the rest of the value."""
    sink, link = Collector(), Link()
    link.waiting.extend(asking(b"get b a\r\n", room=1)(sink))
    link.receive(LARGE_REPLY[: len(LARGE) // 2])
    link.close("gone")
    assert sink.was_cut_short
    assert LARGE_REPLY.startswith(sink.received)


def test_a_line_that_is_not_whole_is_waited_for_up_to_a_bound():
    expect_more(b"!\n" + b"x" * 2048, 2)
    for data in (b"!\n" + b"x" * 2049, b"!\n" + b"x\n"):
        with pytest.raises(OutOfStep):
            expect_more(data, 2)


def test_a_large_value_may_begin_anywhere_in_what_came():
    """Behind the replies before it; and where it goes on is up to the link as well."""
    (request,) = asking(b"get b\r\n")(sink := Collector())
    taken = request.take(b"!!" + LARGE_REPLY[:200], 2)
    assert (taken, sink.received) == (202, LARGE_REPLY[:200])
    assert request.take(b"!!" + LARGE_REPLY[200:300], 2) == 102
    assert sink.received == LARGE_REPLY[:300]
    assert request.take(b"!!" + LARGE_REPLY[300:], 2) == len(LARGE_REPLY) - 298
    assert (request.done, sink.received) == (True, LARGE_REPLY)


def test_only_the_proxys_own_reply_needs_nothing_from_upstream():
    assert not any(request_for(frame).local for frame in (b"get a\r\n", b"gets a\r\n", b"mn\r\n", b"stats\r\n"))
    own = Local(Collector(), b"x\r\n")
    assert own.local
    assert (own.upstream, own.count, own.cost, own.lookups) == (b"", "", 1, 0)


def test_a_request_that_fails_owes_its_answers_but_the_proxys_own_reply_does_not_fail():
    assert [request_for(frame).unanswered for frame in (b"get a\r\n", b"get a b c\r\n", b"stats\r\n")] == [1, 3, 1]
    assert Local(Collector(), b"x\r\n").unanswered == 0
