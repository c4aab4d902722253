"""How long a line may be: 2048 bytes with its CRLF, and for retrievals what limits.keys come to."""

import pytest

from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.parser import Parser
from tests.unit.wire.answering import answer, frames_of
from tests.unit.wire.driving import play, play_every_way
from tests.unit.wire.granting import text

TOO_LONG = b"CLIENT_ERROR line too long\r\n"
TOO_MANY = b"CLIENT_ERROR too many keys in one request\r\n"
EDGE = [1, 2, 5, 6, 2040, 2046, 2047, 2048, 2049, 2050, 2051]
WHOLE_LINE = 2048


def padded(line: bytes, size: int) -> bytes:
    """The line with its CRLF, made `size` bytes long with blanks."""
    return line + b" " * (size - len(line) - 2) + b"\r\n"


def few(size: int) -> list[int]:
    return [position for position in EDGE if position < size]


@pytest.mark.parametrize("size", [2047, 2048])
@pytest.mark.parametrize("line", [b"version", b"mn", b"delete b", b"touch b 0", b"incr b 1", b"stats", b"  get a"])
def test_a_line_of_2048_bytes_is_read(line, size):
    outcome = play_every_way(text(), padded(line, size) + b"mn\r\n", splits=few(size))
    canonical = line.strip() + b"\r\n"
    assert outcome.upstream == canonical + b"mn\r\n"
    assert outcome.received == answer(canonical) + b"MN\r\n"


@pytest.mark.parametrize("size", [2049, 2050, 2051, 4096, 65536])
@pytest.mark.parametrize(
    "line", [b"version", b"delete b", b"set k 0 0 1", b"boguscmd", b"", b" get b", b"getx b", b"getsx b"]
)
def test_a_longer_line_ends_the_connection(line, size):
    splits = [*few(size), size - 2, size - 1]
    outcome = play_every_way(text(), padded(line, size) + b"mn\r\n", splits=splits)
    assert (outcome.upstream, outcome.received, outcome.end) == (b"", TOO_LONG, "closed")
    assert outcome.refusals == [("line too long", "")]


@pytest.mark.parametrize(("size", "end"), [(2047, "unfinished"), (2048, "unfinished"), (2049, "closed")])
@pytest.mark.parametrize("start", [b"x", b"set k 0 0 ", b" get ", b"version"])
def test_without_a_line_end_2049_bytes_are_too_many(size, start, end):
    """Case 16: the answer does not wait for a line end that may never come."""
    data = start + b"1" * (size - len(start))
    outcome = play_every_way(text(), data, splits=few(size))
    assert (outcome.upstream, outcome.received, outcome.end) == (b"", TOO_LONG if end == "closed" else b"", end)


def test_a_storage_line_of_just_2048_bytes():
    line = padded(b"set k 0 0 3 noreply", WHOLE_LINE)
    outcome = play_every_way(text(), line + b"abc\r\n", splits=[*few(2048), 2052, 2053, 2054])
    assert outcome.upstream == b"set k 0 0 3\r\nabc\r\n"


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat 0", b"gats -1"])
def test_a_retrieval_may_be_as_long_as_its_keys(verb):
    """1,000 keys of 250 bytes, 251 kB: memcached itself would kill a gat of that length."""
    keys = [b"%0250d" % number for number in range(1000)]
    data = verb + b" " + b" ".join(keys) + b"\r\n"
    expected = answer_whole(verb, keys)
    for positions in ([], [5], [2049], [2050], [100_000], [len(data) - 1], list(range(0, len(data), 997))[1:]):
        outcome = play(text(), data, positions)
        assert outcome.received == expected
        assert [key for frame in frames_of(outcome.upstream) for key in frame.keys] == keys


def answer_whole(verb: bytes, keys: list[bytes]) -> bytes:
    """One answer, as if memcached had been asked for all of them at once."""
    return b"".join(answer(verb + b" " + key + b"\r\n").removesuffix(b"END\r\n") for key in keys) + b"END\r\n"


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat", b"gats"])
@pytest.mark.parametrize("limit", [1, 3, 10, 1000])
def test_a_retrieval_has_its_bound_too(verb, limit):
    limits = WireLimits(value=1000, keys=limit)
    bound = max(WHOLE_LINE, limit * 251 + 64)
    endless = verb + b" " + b"1" * (bound - len(verb) - 1)
    splits = [1, 3, 4, 5, 6, bound // 2, bound - 1]
    assert play_every_way(text(limits=limits), endless, splits=splits).end == "unfinished"
    outcome = play_every_way(text(limits=limits), endless + b"1", splits=splits)
    assert (outcome.received, outcome.end) == (TOO_LONG, "closed")
    # Case 10.
    blanks = verb + b" " * (bound + 3000) + b"a\r\n"
    assert play_every_way(text(limits=limits), blanks, splits=splits).received == TOO_LONG


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat 0", b"gats 0"])
@pytest.mark.parametrize("limit", [1, 2, 7, 8, 9, 99, 100, 101, 250])
def test_one_key_too_many(verb, limit):
    limits = WireLimits(value=1000, keys=limit)
    data = verb + b" b" * limit + b"\r\n"
    outcome = play_every_way(text(limits=limits), data, splits=range(1, len(data), 1 + len(data) // 12))
    assert outcome.received == answer_whole(verb, [b"b"] * limit)
    data = verb + b" b" * (limit + 1) + b"\r\nmn\r\n"
    for spelling in (data, data.replace(b" ", b"  ", 1)):
        outcome = play_every_way(text(limits=limits), spelling, splits=range(1, len(data), 1 + len(data) // 12))
        assert (outcome.upstream, outcome.received, outcome.end) == (b"", TOO_MANY, "closed")
        assert outcome.refusals == [("too many keys", "")]


@pytest.mark.parametrize("limit", [0, 1, 9, 10, 999, 1000, 1024, 65535, 65536])
def test_the_cap_on_values(limit):
    limits = WireLimits(value=limit, keys=10)
    splits = [1, 12, 13, 14, 15, 16, 17]
    at_cap = b"set k 0 0 %d\r\n%s\r\n" % (limit, b"x" * limit)
    above = b"set k 0 0 %d\r\n%s\r\n" % (limit + 1, b"x" * (limit + 1))
    outcome = play_every_way(text(limits=limits), at_cap + b"mn\r\n", splits=splits)
    assert outcome.upstream == at_cap + b"mn\r\n"
    outcome = play_every_way(text(limits=limits), above + b"mn\r\n", splits=splits)
    assert outcome.upstream == b"mn\r\n"
    assert outcome.received == b"SERVER_ERROR object too large for cache\r\nMN\r\n"


class Counting(Parser):
    """A parser in front of another, which notes how often it is asked."""

    def __init__(self, parser: Parser, asked: list[int]) -> None:
        super().__init__()
        self.parser = parser
        self.asked = asked

    def next(self, data, position, room):
        self.asked.append(1)
        outcome = self.parser.next(data, position, room)
        self.end, self.needed = self.parser.end, self.parser.needed
        self.until_newline, self.cutting = self.parser.until_newline, self.parser.cutting
        return outcome


def test_a_body_that_comes_slowly_is_not_looked_at_for_every_piece():
    """`needed` spares a parser that: a frame of a million bytes would be a million looks at it."""
    limits = WireLimits(value=1 << 20)
    asked: list[int] = []

    def counting(sink):
        return Counting(text(limits=limits)(sink), asked)

    data = b"set k 0 0 100000\r\n" + b"x\n" * 50_000 + b"\r\n"
    assert play(counting, data, range(1, len(data))).upstream == data
    assert len(asked) < 10
