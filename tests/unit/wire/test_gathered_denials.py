"""An mcproxy as upstream denies a line of several clients' gets as a whole: nobody can tell whose key it was."""

import pytest

from mcproxy.wire.gathered import Gathered, Gathering
from mcproxy.wire.requests import STREAM_FROM
from mcproxy.wire.retrieval import Get
from tests.unit.wire.driving import Collector, Link
from tests.unit.wire.granting import text
from tests.unit.wire.test_text_refusals import DENIED

END = b"END\r\n"
TOGETHER = b"SERVER_ERROR upstream has grants of its own; ask again\r\n"


class Line:
    """Gets of as many clients, in one line on a link. `told` counts the news that upstream has grants."""

    def __init__(self, *asked: bytes) -> None:
        self.told = 0
        self.gathering = Gathering(self._tell)
        self.sinks = [Collector() for _ in asked]
        self.link = Link()
        self.group = Gathered(self.sinks[0], "read", self.gathering)
        for sink, lines in zip(self.sinks, asked, strict=True):
            request = text()(sink).next(lines, 0, 10)
            assert isinstance(request, Get)
            sink.in_flight += request.cost
            assert self.group.add(request)
        self.group.to_send()
        self.link.waiting.append(self.group)

    def _tell(self) -> None:
        self.told += 1

    def answers(self, *pieces: bytes) -> list[bytes]:
        for piece in pieces:
            self.link.receive(piece)
        assert (self.link.lost, len(self.link.waiting)) == ("", 0)
        assert [sink.in_flight for sink in self.sinks] == [0] * len(self.sinks)
        return [sink.received for sink in self.sinks]


def value(key: bytes, data: bytes) -> bytes:
    return b"VALUE %b 0 %d\r\n%b\r\n" % (key, len(data), data)


@pytest.mark.parametrize("cut", range(1, len(DENIED)))
def test_nobody_is_told_that_he_was_denied(cut: int) -> None:
    line = Line(b"get a\r\n", b"get b\r\n", b"get c\r\nget d\r\n")
    assert line.answers(DENIED[:cut], DENIED[cut:]) == [TOGETHER, TOGETHER, TOGETHER * 2]
    assert (line.told, line.gathering.goes_on) == (1, False)
    assert [sink.tally.hits for sink in line.sinks] == [0, 0, 0]


def test_two_gets_of_one_client_are_not_told_apart_either() -> None:
    line = Line(b"get a\r\nget b\r\n")
    assert line.answers(DENIED) == [TOGETHER * 2]


def test_a_get_that_went_up_alone_was_denied_itself() -> None:
    line = Line(b"get a\r\n")
    assert line.answers(DENIED) == [DENIED]
    assert (line.told, line.gathering.goes_on) == (1, False), "and nothing is gathered from then on"


def test_what_came_before_a_denial_is_given_out() -> None:
    line = Line(b"get a\r\n", b"get b\r\n", b"get c\r\n")
    assert line.answers(value(b"a", b"x") + DENIED) == [value(b"a", b"x") + END, TOGETHER, TOGETHER]


def test_a_miss_before_a_denial_is_none() -> None:
    line = Line(b"get a\r\n", b"get b\r\n", b"get c\r\n")
    assert line.answers(value(b"b", b"x") + DENIED) == [TOGETHER] * 3


def test_a_denial_behind_a_large_value() -> None:
    line = Line(b"get a\r\n", b"get b\r\n")
    large = value(b"a", b"x" * (STREAM_FROM + 1))
    assert line.answers(large[:100], large[100:-50], large[-50:], DENIED) == [large + END, TOGETHER]


def test_it_is_told_once() -> None:
    line = Line(b"get a\r\n", b"get b\r\n")
    line.gathering.denied()
    line.answers(DENIED)
    assert line.told == 1


def test_another_error_is_no_denial() -> None:
    line = Line(b"get a\r\n", b"get b\r\n")
    error = b"SERVER_ERROR upstream is unavailable\r\n"
    assert line.answers(error) == [error] * 2
    assert (line.told, line.gathering.goes_on) == (0, True)
