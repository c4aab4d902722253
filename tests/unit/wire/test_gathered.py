"""Gets of several clients in one line: each gets its own, whatever comes, and however it is cut."""

import pytest

from mcproxy.wire.gathered import Gathered, Gathering
from mcproxy.wire.requests import STREAM_FROM, Request
from mcproxy.wire.retrieval import Get
from tests.unit.wire.driving import Collector, Link, cut
from tests.unit.wire.granting import text

END = b"END\r\n"
ERROR = b"SERVER_ERROR lost\r\n"


def nothing_is_denied() -> None:
    raise AssertionError("nothing was denied")


def get(sink: Collector, lines: bytes) -> Get:
    """What a parser makes of these lines, which are one request."""
    request = text()(sink).next(lines, 0, 1000)
    assert isinstance(request, Get)
    sink.in_flight += request.cost
    return request


class Crowd:
    """Clients that asked for these lines, all of which went up as `line`. Each says what it received."""

    def __init__(self, *lines: bytes) -> None:
        self.sinks = [Collector() for _ in lines]
        self.group = Gathered(self.sinks[0], "read", Gathering(nothing_is_denied))
        assert all(self.group.add(get(sink, asked)) for sink, asked in zip(self.sinks, lines, strict=True))
        self.line = self.group.to_send()
        self.link = Link()
        self.link.waiting.append(self.group)

    @property
    def hits(self) -> list[int]:
        """Of each client."""
        return [sink.tally.hits for sink in self.sinks]

    @property
    def misses(self) -> list[int]:
        return [sink.tally.misses for sink in self.sinks]

    def read(self, data: bytes, positions: list[int] | None = None) -> list[bytes]:
        for piece in cut(data, positions or []):
            self.link.receive(piece)
        return [sink.received for sink in self.sinks]


def test_who_has_no_answer_yet_is_owed_one() -> None:
    crowd = Crowd(b"get a\r\n", b"get b\r\n", b"get c\r\n")
    assert crowd.group.unanswered == 3
    # The first one's answer is whole once the second one's has begun.
    crowd.read(value(b"a", b"1") + b"VALUE b 7 1\r\n1")
    assert crowd.group.unanswered == 2
    crowd.read(b"\r\n" + END)
    assert crowd.group.unanswered == 0


def value(key: bytes, data: bytes) -> bytes:
    return b"VALUE %s 7 %d\r\n%s\r\n" % (key, len(data), data)


def read_every_way(lines: list[bytes], data: bytes) -> tuple[Crowd, list[bytes]]:
    """Replies taken whole; the same however they are cut."""
    crowd = Crowd(*lines)
    received = crowd.read(data)
    step = max(1, len(data) // 300)
    for positions in [*([position] for position in range(1, len(data), step)), list(range(1, len(data), step))]:
        other = Crowd(*lines)
        assert other.read(data, positions) == received, f"cut at {positions[:3]}"
        assert (other.link.lost, other.hits, other.misses) == (crowd.link.lost, crowd.hits, crowd.misses)
    return crowd, received


def test_each_gets_its_own() -> None:
    lines = [b"get a\r\n", b"get b\r\n", b"get c\r\n"]
    crowd, received = read_every_way(lines, value(b"a", b"1") + value(b"b", END) + value(b"c", b"") + END)
    assert crowd.line == b"get a b c\r\n"
    assert received == [value(b"a", b"1") + END, value(b"b", END) + END, value(b"c", b"") + END]
    assert (crowd.hits, crowd.misses, crowd.group.cost) == ([1, 1, 1], [0, 0, 0], 3)
    assert (crowd.group.hits, crowd.group.lookups) == (0, 0), "the link would count them once more"
    assert [sink.in_flight for sink in crowd.sinks] == [0, 0, 0]
    assert [len(sink.answered) for sink in crowd.sinks] == [1, 1, 1]
    assert not crowd.link.waiting
    assert not crowd.link.lost


@pytest.mark.parametrize("hits", [b"", b"a", b"b", b"c", b"ab", b"ac", b"bc", b"abc"])
def test_misses_are_those_that_are_passed_over(hits: bytes) -> None:
    names = [b"a", b"b", b"c"]
    found = [value(name, b"x" + name) if name in hits else b"" for name in names]
    crowd, received = read_every_way([b"get %s\r\n" % name for name in names], b"".join(found) + END)
    assert received == [block + END for block in found]
    assert crowd.hits == [int(name in hits) for name in names]
    assert crowd.misses == [int(name not in hits) for name in names]
    assert not crowd.link.lost


def test_no_miss_is_reported_before_it_is_known() -> None:
    crowd = Crowd(b"get a\r\n", b"get b\r\n")
    assert crowd.read(value(b"b", b"1")) == [b"", b""]
    assert crowd.read(END) == [END, value(b"b", b"1") + END]
    crowd = Crowd(b"get a\r\n", b"get b\r\n")
    assert crowd.read(value(b"b", b"1") + value(b"a", b"1") + END) == [ERROR, ERROR]


def test_a_key_stands_once_in_a_line() -> None:
    """memcached may find it for the second who asks and not for the first, and names nobody."""
    sink = Collector()
    group = Gathered(sink, "read", Gathering(nothing_is_denied))
    assert group.add(get(sink, b"get a\r\n"))
    assert not group.add(get(sink, b"get a\r\n"))
    assert not group.add(get(sink, b"get b\r\nget a\r\n"))
    assert not group.add(get(sink, b"get c\r\nget c\r\n"))
    assert group.add(get(sink, b"get b\r\nget c\r\n"))
    assert (group.to_send(), group.cost) == (b"get a b c\r\n", 3)


def test_a_pipeline_is_answered_line_by_line_and_in_order() -> None:
    lines = [b"get a\r\nget b\r\n", b"get x\r\n", b"get c\r\nget d\r\n"]
    reply = value(b"b", b"2") + value(b"x", b"3") + value(b"c", b"4") + value(b"d", b"1") + END
    crowd, received = read_every_way(lines, reply)
    assert crowd.line == b"get a b x c d\r\n"
    assert received == [
        END + value(b"b", b"2") + END,
        value(b"x", b"3") + END,
        value(b"c", b"4") + END + value(b"d", b"1") + END,
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        value(b"z", b"1"),
        value(b"ab", b"1"),
        value(b"a", b"1") + value(b"a", b"1"),
        value(b"c", b"1") + value(b"b", b"1"),
        b"VALUE b 7 1 99\r\nx\r\n",
        b"VALUE b 7 1\r\nxyz",
        b"STORED\r\n",
        b"ERROR\r\n",
        value(b"a", b"1") + value(b"b", b"1") + value(b"c", b"1") + value(b"c", b"1"),
        b"SERVER_ERROR out of memory writing get response\r\n",
    ],
)
def test_what_nobody_asked_for_ends_the_link_and_reaches_nobody(foreign: bytes) -> None:
    crowd = Crowd(b"get a\r\n", b"get b\r\n", b"get c\r\n")
    received = crowd.read(foreign + END)
    assert crowd.link.lost
    for name, data in zip((b"a", b"b", b"c"), received, strict=True):
        # Either its own, which came before the fault, or the error. Never a miss: who knows.
        assert data in (value(name, b"1") + END, ERROR)
    assert ERROR in received or foreign.count(b"VALUE") == 4
    assert [sink.in_flight for sink in crowd.sinks] == [0, 0, 0]


def test_more_behind_the_end_is_not_its_own() -> None:
    crowd = Crowd(b"get a\r\n", b"get b\r\n")
    assert crowd.read(value(b"a", b"1") + END + b"STORED\r\n") == [value(b"a", b"1") + END, END]
    assert crowd.link.lost


def test_an_error_of_upstream_answers_all_who_are_left() -> None:
    line = b"SERVER_ERROR out of memory\r\n"
    crowd, received = read_every_way([b"get a\r\n", b"get b\r\n", b"get c\r\n"], value(b"a", b"1") + line)
    assert received == [value(b"a", b"1") + END, line, line]
    assert not crowd.link.lost
    # What was passed over may be a miss, or what the error was about.
    _, received = read_every_way([b"get a\r\n", b"get b\r\n", b"get c\r\n"], value(b"b", b"1") + line)
    assert received == [line, line, line]


def test_large_values_are_passed_on_as_they_come() -> None:
    large = bytes(range(256)) * (STREAM_FROM // 256) + b"END\r\n"
    reply = value(b"a", large) + value(b"b", b"1") + value(b"c", large) + END
    crowd, received = read_every_way([b"get a\r\n", b"get b\r\n", b"get c\r\n"], reply)
    assert received == [value(b"a", large) + END, value(b"b", b"1") + END, value(b"c", large) + END]
    assert (crowd.sinks[0].largest_value, sum(crowd.hits), sum(crowd.misses)) == (len(large), 3, 0)


def test_misses_before_a_large_value_do_not_wait_for_the_end() -> None:
    large = b"x" * (STREAM_FROM + 1)
    reply = value(b"b", b"1") + value(b"d", large) + END
    crowd, received = read_every_way([b"get a\r\n", b"get b\r\n", b"get c\r\n", b"get d\r\n", b"get e\r\n"], reply)
    assert received == [END, value(b"b", b"1") + END, END, value(b"d", large) + END, END]
    crowd = Crowd(b"get a\r\n", b"get b\r\n", b"get d\r\n")
    assert crowd.read(reply[:100]) == [END, value(b"b", b"1") + END, b"VALUE d 7 16385\r\n" + b"x" * (100 - 33)]


def test_a_large_value_whose_line_end_is_missing() -> None:
    large = b"x" * (STREAM_FROM + 1)
    crowd = Crowd(b"get a\r\n", b"get b\r\n")
    crowd.read(b"VALUE a 7 %d\r\n" % len(large) + large)
    crowd.read(b"!!")
    assert crowd.link.lost
    assert [sink.was_cut_short for sink in crowd.sinks] == [True, False]
    assert crowd.sinks[1].received == ERROR


def test_upstream_ends_within_a_large_value() -> None:
    large = b"x" * (STREAM_FROM + 1)
    crowd = Crowd(b"get a\r\n", b"get b\r\n", b"get c\r\n")
    crowd.read(value(b"a", b"1") + value(b"b", large)[:-100])
    crowd.link.close("gone")
    assert [sink.was_cut_short for sink in crowd.sinks] == [False, True, False]
    assert crowd.sinks[2].received == ERROR
    assert [sink.in_flight for sink in crowd.sinks] == [0, 0, 0]


def test_upstream_ends_before_any_reply() -> None:
    crowd = Crowd(b"get a\r\nget b\r\n", b"get c\r\n")
    crowd.link.close("gone")
    assert [sink.received for sink in crowd.sinks] == [ERROR * 2, ERROR]


def test_a_line_has_bounds() -> None:
    sink = Collector()
    group = Gathered(sink, "read", Gathering(nothing_is_denied))
    taken = 0
    while group.add(get(sink, b"get k%d\r\n" % taken)):
        taken += 1
    assert taken == 100
    group = Gathered(sink, "read", Gathering(nothing_is_denied))
    taken = 0
    while group.add(get(sink, b"get %s\r\n" % (b"%d" % taken).rjust(250, b"y"))):
        taken += 1
    assert taken == 8
    assert len(group.to_send()) <= 2048
    group = Gathered(sink, "read", Gathering(nothing_is_denied))
    lines = [b"get k%d\r\n" % number for number in range(101)]
    assert group.add(get(sink, b"".join(lines[:60])))
    assert not group.add(get(sink, b"".join(lines[60:])))
    assert group.add(get(sink, b"".join(lines[60:100])))
    assert group.to_send() == b"get" + b"".join(b" k%d" % number for number in range(100)) + b"\r\n"


@pytest.mark.parametrize("line", [b"gets a\r\n", b"get a b\r\n", b"gat 0 a\r\n", b"get a\r\nget b c\r\n"])
def test_only_gets_of_one_key_are_gathered(line: bytes) -> None:
    request = text()(Collector()).next(line, 0, 1000)
    assert isinstance(request, Request)
    assert not isinstance(request, Get)
