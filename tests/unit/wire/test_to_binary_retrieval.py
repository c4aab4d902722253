"""get, gets, gat and gats over GETK and GATK: VALUE lines, one END a line, errors for whole lines, large values."""

import pytest

from mcproxy.wire.requests import STREAM_FROM
from tests.unit.wire.driving import Collector
from tests.unit.wire.going_up_as_packets import Answer, asking, failed, faults, gets, hit, miss, said, stream
from tests.unit.wire.reading import read

DENIED = b"CLIENT_ERROR access denied\r\n"
DENIAL = Answer(0x24, b"access denied")
LOST = Answer(0x86, b"upstream is unavailable")
UNAVAILABLE = b"SERVER_ERROR upstream is unavailable\r\n"
NOISE = b"END\r\nVALUE b 0 1\r\n"
LARGE = NOISE * (STREAM_FROM // len(NOISE) + 2)


def value(key: bytes, data: bytes, more: bytes = b"") -> bytes:
    """A VALUE block."""
    return b"VALUE %b 7 %d%b\r\n%b\r\n" % (key, len(data), more, data)


@pytest.mark.parametrize("verb", [b"get", b"gats 5", b"gat -1", b"gets"])
def test_hits_and_misses(verb: bytes) -> None:
    unique = b" 99" if verb[:4] in (b"gets", b"gats") else b""
    answers = [hit(b"a", NOISE), miss(b"b"), hit(b"a", b""), miss(b"none")]
    reading = said(verb + b" a b a none\r\n", *answers)
    assert reading.received == value(b"a", NOISE, unique) + value(b"a", b"", unique) + b"END\r\n"
    assert (reading.lost, reading.hits) == ("", 2)


def test_extreme_numbers() -> None:
    answers = [hit(b"a", b"x", 0xFFFFFFFF, 2**64 - 1), hit(b"b", b"", 0, 0)]
    assert gets(b"gets a b\r\n", *answers) == (
        b"VALUE a 4294967295 1 18446744073709551615\r\nx\r\nVALUE b 0 0 0\r\n\r\nEND\r\n"
    )


@pytest.mark.parametrize("text", [b"get a\r\nget b\r\nget c\r\n", b"get a b\r\nget c\r\n", b"get a\r\nget b c\r\n"])
def test_an_end_for_every_line(text: bytes) -> None:
    received = b""
    for line in text.split(b"\r\n")[:-1]:
        received += b"".join(value(key, b"of " + key) for key in line.split()[1:] if key != b"b") + b"END\r\n"
    assert gets(text, hit(b"a", b"of a"), miss(b"b"), hit(b"c", b"of c")) == received


def test_what_is_counted() -> None:
    sink = Collector()
    (request,) = asking(b"get a b\r\nget c\r\n")(sink)
    assert (request.cost, request.lookups, request.count, request.packets(), sink.in_flight) == (3, 3, "read", 3, 3)
    request.take(stream(b"get a b\r\nget c\r\n", hit(b"a", b"12345"), miss(b"b"), hit(b"c", b"1")), 0)
    assert (request.done, request.hits, sink.largest_value) == (True, 2, 5)


def test_nothing_of_a_line_before_all_of_it() -> None:
    reading = said(b"get a b\r\n", hit(b"a", b"x"))
    assert (reading.received, reading.waiting) == (b"", 1)
    reading = said(b"get a\r\nget b\r\n", hit(b"a", b"x"), every_way=False)
    assert (reading.received, reading.waiting) == (value(b"a", b"x") + b"END\r\n", 1)


def test_a_large_value_is_passed_on_as_it_comes() -> None:
    data = stream(b"get b a\r\n", hit(b"b", b"small"), hit(b"a", LARGE))
    sink = Collector()
    (request,) = asking(b"get b a\r\n")(sink)
    cut = len(data) - 5000
    assert request.take(data[:cut], 0) == cut
    assert sink.received == value(b"b", b"small") + value(b"a", LARGE)[: -5000 - 2]
    assert request.take(data[cut:-1], 0) == 4999
    assert not request.done
    assert request.take(data[-1:], 0) == 1
    assert request.done
    assert sink.received == value(b"b", b"small") + value(b"a", LARGE) + b"END\r\n"
    assert sink.largest_value == len(LARGE)


@pytest.mark.parametrize("length", [STREAM_FROM, STREAM_FROM + 1, len(LARGE)])
def test_large_values_cut_anywhere(length: int) -> None:
    data = stream(b"get a b\r\nget a\r\n", hit(b"a", LARGE[:length]), miss(b"b"), hit(b"a", LARGE[:length]))
    expected = value(b"a", LARGE[:length]) + b"END\r\n" + value(b"a", LARGE[:length]) + b"END\r\n"
    for positions in [*([cut] for cut in range(0, len(data), 61)), range(1, len(data), 61)]:
        reading = read(asking(b"get a b\r\nget a\r\n"), data, positions)
        assert (reading.received, reading.lost, reading.waiting) == (expected, "", 0)


def test_not_under_another_name() -> None:
    wrong = "a reply about another key"
    assert said(b"get a\r\n", hit(b"b", b"x")).lost == wrong
    assert said(b"get a\r\n", miss(b"b")).lost == wrong
    assert said(b"get a b\r\n", hit(b"b", b"x")).lost == wrong
    large = hit(b"b", LARGE)
    reading = said(b"get a\r\n", large, every_way=False)
    assert (reading.lost, reading.received) == (wrong, b"SERVER_ERROR lost\r\n")


@pytest.mark.parametrize("right", [hit(b"a", b"x"), miss(b"a")])
@pytest.mark.parametrize("text", [b"get a\r\n", b"gats 4 a\r\n"])
def test_faults(text: bytes, right: Answer) -> None:
    faults(text, right)


def test_shapes_of_misses_and_hits() -> None:
    impossible = "a reply that the operation cannot have"
    for wrong in (Answer(1), Answer(1, b"Not found", key=b"a"), Answer(0, b"x", key=b"a"), Answer(2), hit(b"", b"x")):
        assert said(b"get a\r\n", wrong).lost == impossible


def test_lines_before_a_fault_keep_their_answer() -> None:
    reading = said(b"get a\r\nget b c\r\nget d\r\n", hit(b"a", b"x"), hit(b"b", b"x"), hit(b"x", b"x"), every_way=False)
    assert reading.received == value(b"a", b"x") + b"END\r\n" + b"SERVER_ERROR lost\r\n" * 2


@pytest.mark.parametrize(("answer", "line"), [(DENIAL, DENIED), (LOST, UNAVAILABLE)])
def test_an_error_is_the_answer_to_a_whole_line(answer: Answer, line: bytes) -> None:
    answers = [hit(b"a", b"x"), answer, hit(b"c", b"x"), miss(b"d"), hit(b"e", b"x")]
    assert gets(b"get a b c d\r\nget e\r\n", *answers) == line + value(b"e", b"x") + b"END\r\n"
    assert gets(b"get a b\r\n", answer, DENIAL) == line


def test_behind_an_error_large_values_are_dropped() -> None:
    answers = [DENIAL, hit(b"b", LARGE), hit(b"c", b"x")]
    data = stream(b"get a b\r\nget c\r\n", *answers)
    for cut in (24, 60, 200, 20_000, len(data) - 1):
        reading = read(asking(b"get a b\r\nget c\r\n"), data, [cut])
        assert reading.received == DENIED + value(b"c", b"x") + b"END\r\n"


def test_an_error_behind_a_large_value_stands_for_its_end() -> None:
    answers = [hit(b"a", LARGE), DENIAL]
    assert said(b"get a b\r\n", *answers, every_way=False).received == value(b"a", LARGE) + DENIED


def test_a_lost_link() -> None:
    text = b"get a\r\nget b c\r\nget d\r\n"
    error = b"SERVER_ERROR lost\r\n"
    data = stream(text, hit(b"a", b"x"), hit(b"b", b"x"))
    assert failed(text, b"").received == error * 3
    assert failed(text, data).received == value(b"a", b"x") + b"END\r\n" + error * 2


def test_a_lost_link_in_the_middle_of_a_large_value() -> None:
    sink = failed(b"get a\r\n", stream(b"get a\r\n", hit(b"a", LARGE))[:-1])
    assert sink.was_cut_short
    sink = failed(b"get a\r\n", stream(b"get a\r\n", hit(b"a", LARGE)) + b"")
    assert not sink.was_cut_short
    # Nobody has begun to see this one.
    sink = failed(b"get a b\r\n", stream(b"get a b\r\n", DENIAL, hit(b"b", LARGE))[:-1])
    assert (sink.was_cut_short, sink.received) == (False, b"SERVER_ERROR lost\r\n")
