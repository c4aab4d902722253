"""The replies to get, gets, gat and gats: everything that may come is passed on, nothing else is (R3).

Each reply is cut at every byte. A fault ends the link, and leaves one answer for each line that was asked.
"""

import pytest

from mcproxy.wire.requests import STREAM_FROM, Request
from tests.unit.wire.driving import Collector, Link
from tests.unit.wire.granting import text
from tests.unit.wire.reading import read, read_every_way

ERROR = b"SERVER_ERROR lost\r\n"


def asking(lines: bytes, room: int = 1000):
    """Makes the requests that a parser makes of these lines; in pieces if there is little room."""

    def make(sink: Collector) -> list[Request]:
        parser = text()(sink)
        requests = []
        while parser.end < len(lines) or parser.cutting:
            request = parser.next(lines, parser.end, room)
            assert isinstance(request, Request)
            requests.append(request)
        assert b"".join(request.upstream for request in requests) == lines or room < 1000
        return requests

    return make


def value(key: bytes, data: bytes, unique: bytes = b"", flags: int = 0) -> bytes:
    return b"VALUE %s %d %d%s\r\n%s\r\n" % (key, flags, len(data), unique, data)


LIKE_REPLIES = [
    b"",
    b"END\r\n",
    b"END\r\nVALUE x 0 1\r\n",
    b"VALUE a 0 100\r\n",
    b"\r\n",
    b"\r",
    b"\n",
    b"SERVER_ERROR x\r\n",
]


@pytest.mark.parametrize(
    ("run", "reply", "hits"),
    [
        (b"get a\r\n", b"END\r\n", 0),
        (b"get a\r\n", value(b"a", b"x") + b"END\r\n", 1),
        *((b"get a\r\n", value(b"a", data) + b"END\r\n", 1) for data in LIKE_REPLIES),
        *((b"gets a\r\n", value(b"a", data, b" 7") + b"END\r\n", 1) for data in LIKE_REPLIES),
        (b"gets a\r\n", value(b"a", b"x", b" 18446744073709551615", 2**32 - 1) + b"END\r\n", 1),
        (b"gat 0 a\r\n", value(b"a", b"x") + b"END\r\n", 1),
        (b"gat -1 a b\r\n", value(b"b", b"x") + b"END\r\n", 1),
        (b"gats 100 a b\r\n", value(b"a", b"x", b" 1") + value(b"b", b"", b" 2") + b"END\r\n", 2),
        (b"get a b c\r\n", value(b"a", b"x") + value(b"c", b"y") + b"END\r\n", 2),
        (b"get a b c\r\n", value(b"c", b"y") + b"END\r\n", 1),
        (b"get a a a\r\n", value(b"a", b"1") + value(b"a", b"2") + value(b"a", b"3") + b"END\r\n", 3),
        (b"get a a a\r\n", value(b"a", b"1") + b"END\r\n", 1),
        (b"get a b a\r\n", value(b"b", b"1") + value(b"a", b"2") + b"END\r\n", 2),
        (b"get ab a abc\r\n", value(b"a", b"1") + value(b"abc", b"2") + b"END\r\n", 2),
        (b"get abc ab a\r\n", value(b"a", b"1") + b"END\r\n", 1),
        (b"get " + b"k" * 250 + b"\r\n", value(b"k" * 250, b"x") + b"END\r\n", 1),
        (b"get VALUE END\r\n", value(b"VALUE", b"x") + value(b"END", b"y") + b"END\r\n", 2),
        (b"get a\r\nget b\r\n", b"END\r\nEND\r\n", 0),
        (b"get a\r\nget a\r\n", value(b"a", b"x") + b"END\r\n" + value(b"a", b"y") + b"END\r\n", 2),
        (b"get a\r\nget b\r\nget a b\r\n", b"END\r\n" + value(b"b", b"x") + b"END\r\nEND\r\n", 1),
        (b"get a\r\n", b"SERVER_ERROR out of memory\r\n", 0),
        (b"get a\r\nget b\r\n", b"SERVER_ERROR busy\r\n" + value(b"b", b"x") + b"END\r\n", 1),
        (b"get a\r\nget b\r\n", b"END\r\nSERVER_ERROR busy\r\n", 0),
        (b"get a b\r\n", value(b"a", b"x") + b"SERVER_ERROR \r\n", 1),
    ],
    ids=repr,
)
def test_what_may_come_is_passed_on(run, reply, hits):
    reading = read_every_way(asking(run), reply)
    assert (reading.received, reading.hits) == (reply, hits)
    assert (reading.lost, reading.waiting, reading.was_cut_short) == ("", 0, False)


def test_several_requests_share_what_comes():
    first, second = value(b"a", b"x") + b"END\r\n", value(b"b", b"y", b" 1") + b"END\r\nEND\r\n"
    reading = read_every_way(asking(b"get a\r\ngets b\r\ngets c\r\nget a\r\n"), first + second + first)
    assert (reading.received, reading.lost, reading.hits) == (first + second + first, "", 3)


FOREIGN = "a value under a key that was not asked for"
IMPOSSIBLE = "a reply that the command cannot have"
LONGER = "a value that is longer than its length"


@pytest.mark.parametrize(
    ("run", "reply", "why"),
    [
        (b"get a\r\n", value(b"b", b"x") + b"END\r\n", FOREIGN),
        (b"get a\r\n", value(b"aa", b"x") + b"END\r\n", FOREIGN),
        (b"get aa\r\n", value(b"a", b"x") + b"END\r\n", FOREIGN),
        (b"get ab b\r\n", value(b"a", b"x") + b"END\r\n", FOREIGN),
        (b"get a\r\n", value(b"get", b"x") + b"END\r\n", FOREIGN),
        (b"get a\r\n", value(b"a", b"x") * 2 + b"END\r\n", FOREIGN),
        (b"get a a\r\n", value(b"a", b"x") * 3 + b"END\r\n", FOREIGN),
        (b"get a b\r\n", value(b"b", b"x") + value(b"a", b"x") + b"END\r\n", FOREIGN),
        (b"get a\r\nget b\r\n", value(b"b", b"x") + b"END\r\nEND\r\n", FOREIGN),
        (b"get a\r\nget b\r\n", b"END\r\n" + value(b"a", b"x") + b"END\r\n", FOREIGN),
        (b"gat 10 a\r\n", value(b"10", b"x") + b"END\r\n", FOREIGN),
        (b"gats 10 a\r\n", value(b"10", b"x", b" 1") + b"END\r\n", FOREIGN),
        (b"gets a\r\n", value(b"a", b"x") + b"END\r\n", IMPOSSIBLE),
        (b"gats 0 a\r\n", value(b"a", b"x") + b"END\r\n", IMPOSSIBLE),
        (b"get a\r\n", value(b"a", b"x", b" 1") + b"END\r\n", IMPOSSIBLE),
        (b"gat 0 a\r\n", value(b"a", b"x", b" 1") + b"END\r\n", IMPOSSIBLE),
        (b"gets a\r\n", value(b"a", b"x", b" 18446744073709551616") + b"END\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 4294967296 1\r\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0 1073741825\r\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0 -1\r\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0 01\r\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0\r\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE  a 0 1\r\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0 1\nx\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0 1\r\nxy\r\nEND\r\n", LONGER),
        (b"get a\r\n", b"VALUE a 0 1\r\nxX\r\nEND\r\n", LONGER),
        (b"get a\r\n", b"VALUE a 0 2\r\nx\r\nEND\r\n", LONGER),
        (b"get a\r\n", value(b"a", b"x") + b"XX\r\nEND\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"VALUE a 0 0\r\n\n\nEND\r\n", LONGER),
        (b"get a\r\n", b"END\n", IMPOSSIBLE),
        (b"get a\r\n", b"END \r\n", IMPOSSIBLE),
        (b"get a\r\n", b"STORED\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"ERROR\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"CLIENT_ERROR bad command line format\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"SERVER_ERROR " + b"x" * 257 + b"\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"SERVER_ERROR\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"SERVER_ERROR a\x01b\r\n", IMPOSSIBLE),
        (b"get a\r\n", b"\0" * 2049, IMPOSSIBLE),
        (b"get a\r\n", b"END\r\nEND\r\n", "bytes that answer no request"),
        (b"get a\r\n", b"END\r\nx", "bytes that answer no request"),
    ],
    ids=repr,
)
def test_what_may_not_come_drops_the_link(run, reply, why):
    reading = read_every_way(asking(run), reply) if len(reply) < 2000 else read(asking(run), reply)
    assert reading.lost == why
    for positions in ([], *([position] for position in range(1, min(len(reply), 300)))):
        reading = read(asking(run), reply, positions)
        assert one_answer_a_line(reading.received, run.count(b"\n")), f"cut at {positions}: {reading.received!r}"
        if why == FOREIGN:
            assert b"VALUE b 0" not in reading.received or run != b"get a\r\n"


def one_answer_a_line(received: bytes, lines: int) -> bool:
    """Whether the client has exactly one answer for each line. None of the values here look like an end."""
    ends = received.split(b"\r\n")[:-1]
    return sum(line == b"END" or line.startswith(b"SERVER_ERROR ") for line in ends) == lines


@pytest.mark.parametrize(
    "words",
    [b"", b"\0\1responseK", b"responseK", b" ", b" x" * 20],
)
@pytest.mark.parametrize("run", [b"get a\r\n", b"gets a b\r\ngets c\r\n", b"gat 0 a\r\n"])
def test_the_error_that_throws_replies_away_drops_the_link(run, words):
    """It is no answer to the oldest request: the replies before it may be lost."""
    reply = b"SERVER_ERROR out of memory writing get response" + words + b"\r\n"
    reading = read_every_way(asking(run), reply)
    assert reading.lost
    assert reading.received == ERROR * run.count(b"\n")


RUN = b"get a b\r\nget c\r\nget d\r\n"
ANSWERS = value(b"a", b"1") + value(b"b", b"2") + b"END\r\nEND\r\n" + value(b"d", b"4") + b"END\r\n"


def test_a_fault_at_any_place_leaves_one_answer_for_each_line():
    """Whatever of the answers came in the same receive as the fault, and whatever came before."""
    for length in range(len(ANSWERS)):
        for fault in (b"!\r\nNONSENSE\r\n", b"!\r\n" * 30, b"!END\r\n" + b"END \r\n" * 9):
            reply = ANSWERS[:length] + fault
            for positions in ([], [1], [length // 2], [max(length, 1)], list(range(1, length, 7))):
                reading = read(asking(RUN), reply, positions)
                assert reading.lost and not reading.was_cut_short
                assert one_answer_a_line(reading.received, 3), f"{reply!r} cut at {positions}: {reading.received!r}"


def test_a_lost_link_at_any_place_leaves_one_answer_for_each_line():
    """Case 46."""
    for length in range(len(ANSWERS)):
        for position in range(1, max(length, 2)):
            sink, link = Collector(), Link()
            link.waiting.extend(asking(RUN)(sink))
            link.receive(ANSWERS[:position])
            link.receive(ANSWERS[position:length])
            link.close("gone")
            assert not sink.was_cut_short
            assert one_answer_a_line(sink.received, 3)
            assert len(sink.answered) == 1 and sink.answered[0].upstream == RUN


LARGE = bytes(range(256)) * 64 + b"END\r\n\r\r\n"
LARGE_REPLY = value(b"b", LARGE, flags=5) + b"END\r\n"


def test_a_large_value_is_passed_on_as_it_comes():
    """Cut at every byte of it, the one between CR and LF of its end included."""
    assert len(LARGE) > STREAM_FROM
    reply = b"END\r\n" + LARGE_REPLY + value(b"b", b"x") + b"END\r\n"
    make = asking(b"get a\r\nget a b\r\nget b\r\n")
    whole = read(make, reply)
    assert (whole.received, whole.lost, whole.hits, whole.waiting) == (reply, "", 2, 0)
    edges = [*range(1, 60), *range(60, 16300, 61), *range(16300, len(reply))]
    for position in edges:
        assert read(make, reply, [position]) == whole, position
    assert read(make, reply, range(1, len(reply))) == whole
    for position in range(len(reply) - 60, len(reply) - 1):
        assert read(make, reply, [position, position + 1]) == whole


def test_a_large_value_is_not_kept_until_it_is_whole():
    sink, link = Collector(), Link()
    link.waiting.extend(asking(b"get b\r\n")(sink))
    link.receive(LARGE_REPLY[:100])
    assert sink.received == LARGE_REPLY[:100]
    link.receive(LARGE_REPLY[100:200])
    assert sink.received == LARGE_REPLY[:200]
    assert sink.largest_value == len(LARGE)


def test_a_small_value_is_kept_until_it_is_whole():
    """A value of just the size from which they stream is not yet streamed: its link can still be lost cleanly."""
    small = b"x" * STREAM_FROM
    sink, link = Collector(), Link()
    link.waiting.extend(asking(b"get b\r\n")(sink))
    link.receive(value(b"b", small)[:-1])
    assert sink.received == b""
    link.close("gone")
    assert (sink.received, sink.was_cut_short) == (ERROR, False)


def test_a_large_value_that_breaks_off_ends_the_connection():
    """Case 46: never a hit that is cut short, never an error line within a value."""
    header = LARGE_REPLY.index(b"\n") + 1
    for length in [*range(0, 60), *range(100, 16300, 500), *range(len(LARGE_REPLY) - 30, len(LARGE_REPLY))]:
        sink, link = Collector(), Link()
        link.waiting.extend(asking(b"get a b\r\nget a\r\n")(sink))
        link.receive(LARGE_REPLY[:length])
        link.close("gone")
        if header <= length < header + len(LARGE) + 2:
            assert sink.was_cut_short, length
            assert LARGE_REPLY[:length].startswith(sink.received)
            assert len(sink.received) >= length - 2
        elif length < header:
            assert (sink.received, sink.was_cut_short) == (ERROR * 2, False), length
        else:
            assert not sink.was_cut_short
            assert sink.received == LARGE_REPLY[: header + len(LARGE) + 2] + ERROR * 2


@pytest.mark.parametrize("end", [b"\n\n", b"\r\r", b"xx", b"\n\r", b"\r\0"])
def test_a_large_value_longer_than_its_length(end):
    reply = LARGE_REPLY.removesuffix(b"\r\nEND\r\n") + end + b"END\r\n"
    at = len(reply) - 7
    for positions in ([], [50], [at - 1], [at], [at + 1], [at + 2], [50, at + 1], [at, at + 1, at + 2]):
        reading = read(asking(b"get b\r\n"), reply, positions)
        assert reading.lost == LONGER, positions
        was_streamed = bool(positions) and positions[0] <= at + 1
        assert reading.was_cut_short is was_streamed
        assert was_streamed or reading.received == ERROR


def test_a_large_value_comes_once():
    """Its key was answered when its first part was passed on."""
    for again in (LARGE_REPLY, value(b"b", b"x") + b"END\r\n"):
        reply = LARGE_REPLY.removesuffix(b"END\r\n") + again
        for positions in ([], [100], [len(LARGE)]):
            assert read(asking(b"get b\r\n"), reply, positions).lost == FOREIGN, positions


def test_values_of_a_line_that_is_not_answered_whole_are_no_hits():
    reading = read(asking(b"get a\r\nget a b\r\n"), value(b"a", b"x") + b"END\r\n" + value(b"a", b"x") + b"!\r\n")
    assert (reading.lost, reading.hits) == (IMPOSSIBLE, 1)
    assert reading.received == value(b"a", b"x") + b"END\r\n" + ERROR


@pytest.mark.parametrize("answered", [0, 1])
@pytest.mark.parametrize(("size", "passed_on"), [(0, False), (STREAM_FROM, False), (STREAM_FROM + 1, True)])
def test_the_first_values_of_a_line_are_kept_until_they_are_many(answered, size, passed_on):
    """While they are kept, a link that is lost costs the client one error, and nothing that looks like a hit."""
    block = value(b"a", b"x" * max(size - len(b"VALUE a 0 16384\r\n\r\n"), 0))
    assert not size or len(block) == size
    before = (value(b"c", b"y" * 9000) + b"END\r\n") * answered
    sink, link = Collector(), Link()
    link.waiting.extend(asking(b"get c\r\n" * answered + b"get a b\r\n")(sink))
    link.receive(before + block)
    assert sink.received == before + (block if passed_on else b"")
    link.close("gone")
    assert sink.received == before + (block if passed_on else b"") + ERROR


def test_a_large_value_of_a_foreign_key_is_not_begun():
    for position in [None, *range(1, 400)]:
        reading = read(asking(b"get a\r\n"), LARGE_REPLY, [] if position is None else [position])
        assert (reading.received, reading.lost, reading.was_cut_short) == (ERROR, FOREIGN, False)


def test_the_ends_of_pieces_are_dropped():
    make = asking(b"get a b\r\n", room=1)
    a, b, end = value(b"a", b"END\r\n"), value(b"b", b""), b"END\r\n"
    assert [request.upstream for request in make(Collector())] == [b"get a\r\n", b"get b\r\n"]
    for reply, wanted in (
        (a + end + b + end, a + b + end),
        (a + end + end, a + end),
        (end + end, end),
        (b"SERVER_ERROR x\r\n" + b + end, b"SERVER_ERROR x\r\n"),
        (a + end + b"SERVER_ERROR y\r\n", a + b"SERVER_ERROR y\r\n"),
        (a + end + b + b"SERVER_ERROR y\r\n", a + b + b"SERVER_ERROR y\r\n"),
        (b"SERVER_ERROR x\r\nSERVER_ERROR y\r\n", b"SERVER_ERROR x\r\n"),
    ):
        reading = read_every_way(make, reply)
        assert (reading.received, reading.lost, reading.waiting) == (wanted, "", 0)


def test_a_key_of_another_piece_is_foreign():
    for reply in (value(b"b", b"") + b"END\r\nEND\r\n", b"END\r\n" + value(b"a", b"") + b"END\r\n"):
        reading = read_every_way(asking(b"get a b\r\n", room=1), reply)
        assert (reading.lost, reading.received) == (FOREIGN, ERROR)


def test_a_fault_in_a_piece_is_one_error():
    replies = value(b"a", b"1") + b"END\r\n" + value(b"b", b"2") + b"END\r\n"
    for length in range(len(replies)):
        for positions in ([], [1], [length // 2], [max(length, 1)]):
            reading = read(asking(b"get a b\r\n", room=1), replies[:length] + b"!\r\nNONSENSE\r\n", positions)
            assert reading.lost
            assert reading.received.endswith(ERROR) and one_answer_a_line(reading.received, 1), reading.received
