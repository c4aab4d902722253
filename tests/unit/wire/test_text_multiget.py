"""Multi-gets that are too much for one line: cut up on the way up, joined on the way down."""

import random

import pytest

from tests.unit.wire.answering import answer, frames_of
from tests.unit.wire.driving import Collector, Link, play, play_every_way
from tests.unit.wire.granting import text
from tests.unit.wire.test_text_lengths import answer_whole

BROKEN = b"SERVER_ERROR out of memory\r\n"
VERBS = [b"get", b"gets", b"gat 10", b"gats -1"]


def keys_of(seed: int, count: int, longest: int) -> list[bytes]:
    chosen = random.Random(seed)
    return [b"%d:" % number + b"k" * chosen.randint(0, longest - 5) for number in range(count)]


def pieces_of(upstream: bytes, keys: list[bytes]) -> int:
    """How many lines they are; each within the bounds (which the judge checks), together all keys in order."""
    frames = frames_of(upstream)
    assert [key for frame in frames for key in frame.keys] == keys
    assert all(len(frame.raw) <= 2048 and len(frame.keys) <= 100 for frame in frames)
    return len(frames)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("count", "longest", "fewest"),
    [(8, 250, 1), (9, 250, 1), (100, 10, 1), (101, 10, 2), (250, 20, 3), (100, 250, 5), (999, 6, 10), (1000, 250, 60)],
)
def test_pieces_fit_and_are_answered_as_one(verb, count, longest, fewest):
    keys = keys_of(count, count, longest)
    data = verb + b" " + b" ".join(keys) + b"\r\n"
    splits = range(1, len(data), 1 + len(data) // 8)
    outcome = play_every_way(text(), data + b"mn\r\n", splits=splits)
    assert outcome.received == answer_whole(verb, keys) + b"MN\r\n"
    assert pieces_of(outcome.upstream.removesuffix(b"mn\r\n"), keys) >= fewest


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("window", [1, 2, 50, 101])
def test_pieces_fit_the_room(verb, window):
    keys = keys_of(window, 230, 100)
    data = verb + b" " + b" ".join(keys) + b"\r\nmn\r\n" + verb + b" a b c\r\n"
    outcome = play_every_way(text(), data, window=window, splits=[7, 5000])
    assert outcome.received == answer_whole(verb, keys) + b"MN\r\n" + answer_whole(verb, [b"a", b"b", b"c"])


def line_of(size: int) -> tuple[bytes, list[bytes]]:
    """A get of nine keys that is `size` bytes long with its CRLF."""
    keys = [b"%d" % number * 225 for number in range(1, 9)]
    keys.append(b"9" * (size - len(b"get  \r\n") - len(b" ".join(keys))))
    return b"get " + b" ".join(keys) + b"\r\n", keys


@pytest.mark.parametrize(("size", "pieces"), [(2046, 1), (2047, 1), (2048, 1), (2049, 2), (2050, 2)])
def test_at_the_edge_of_a_line(size, pieces):
    """2,048 bytes mean the same however they are chunked; memcached was seen to die of 2,050 in two pieces."""
    line, keys = line_of(size)
    assert len(line) == size
    outcome = play_every_way(text(), line, splits=[4, 6, 2046, 2047, 2048, 2049])
    assert pieces_of(outcome.upstream, keys) == pieces
    padded = b"get  " + line[4:]
    outcome = play_every_way(text(), padded, splits=[4, 6, 2046, 2047, 2048, 2049])
    assert pieces_of(outcome.upstream, keys) == pieces


def test_keys_of_any_length_share_a_line():
    """One of 250 bytes is not overlong."""
    keys = [b"%d" % number + b"k" * 249 for number in range(9)]
    outcome = play(text(), b"get " + b" ".join(keys) + b"\r\n")
    assert [line.count(b" ") for line in outcome.requests] == [8, 1]


@pytest.mark.parametrize(("window", "requests"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3])])
def test_of_a_run_of_lines_as_many_go_up_at_once_as_there_is_room_for(window, requests):
    outcome = play(text(), b"get a\r\n" * 3, window=window)
    assert outcome.requests == [b"get a\r\n" * lines for lines in requests]
    assert outcome.received == answer(b"get a\r\n") * 3


def test_the_time_of_a_get_and_touch_is_none_of_its_keys():
    """However the line is spelled, and however little room there is."""
    for window in (1, 2, 3):
        outcome = play(text(), b"gat  60  b d\r\n", window=window)
        assert outcome.requests == ([b"gat 60 b\r\n", b"gat 60 d\r\n"] if window == 1 else [b"gat 60 b d\r\n"])


@pytest.mark.parametrize("count", [99, 100, 101, 200, 201])
def test_at_the_edge_of_a_hundred_keys(count):
    keys = [b"b"] * count
    outcome = play_every_way(text(), b"get" + b" b" * count + b"\r\n", splits=[5])
    assert pieces_of(outcome.upstream, keys) == -(-count // 100)
    assert outcome.received == answer_whole(b"get", keys)


@pytest.mark.parametrize("failing", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("late", [False, True])
def test_an_error_in_a_piece_is_answered_once(failing, late):
    """And it is the last of the answer: no END, and nothing of later pieces."""
    keys = [b"%d" % number for number in range(300)]
    lines = [b"get " + b" ".join(keys[start : start + 100]) + b"\r\n" for start in (0, 100, 200)]
    seen: list[bytes] = []

    def answering(data: bytes) -> bytes:
        seen.append(data)
        return BROKEN if data in lines and lines.index(data) in failing else answer(data)

    first = failing[0]
    before = b"".join(answer(line).removesuffix(b"END\r\n") for line in lines[:first])
    for reply_size in (0, 13, 3000):
        data = b"get " + b" ".join(keys) + b"\r\nmn\r\n"
        outcome = play(text(), data, answer=answering, late=late, reply_size=reply_size)
        assert outcome.received == before + BROKEN + b"MN\r\n"
        assert outcome.end == "open"


def test_the_rest_is_not_asked_once_a_piece_has_failed():
    keys = [b"%d" % number for number in range(300)]
    outcome = play(text(), b"get " + b" ".join(keys) + b"\r\nmn\r\n", answer=lambda _: BROKEN, window=100)
    assert outcome.requests == [b"get " + b" ".join(keys[:100]) + b"\r\n", b"mn\r\n"]
    assert outcome.received == BROKEN + BROKEN


@pytest.mark.parametrize("at", ["in the first piece", "between pieces", "in the last piece", "before any"])
def test_a_lost_link_is_answered_once(at):
    keys = [b"%d" % number for number in range(300)]
    sink, link = Collector(), Link()
    parser = text()(sink)
    data = b"get " + b" ".join(keys) + b"\r\n"
    pieces = [parser.next(data, 0, 1000)]
    while parser.cutting:
        pieces.append(parser.next(data, parser.end, 1000))
    assert len(pieces) == 3 and parser.end == len(data)
    link.waiting.extend(pieces)
    replies = [answer(piece.upstream) for piece in pieces]
    whole = b"".join(replies)
    length = {
        "before any": 0,
        "in the first piece": len(replies[0]) - 9,
        "between pieces": len(replies[0]),
        "in the last piece": len(whole) - 3,
    }[at]
    link.receive(whole[:length])
    link.close("gone")
    assert sink.received.endswith(b"SERVER_ERROR lost\r\n")
    assert sink.received.count(b"SERVER_ERROR") == 1
    assert len(sink.answered) == 3
    values = sink.received.removesuffix(b"SERVER_ERROR lost\r\n")
    assert answer_whole(b"get", keys).startswith(values)


def test_repeated_keys_are_asked_as_often():
    keys = [b"b"] * 150 + [b"c", b"a", b"b"] * 40
    outcome = play_every_way(text(), b"get " + b" ".join(keys) + b"\r\n", splits=[9])
    assert outcome.received == answer_whole(b"get", keys)


APP = ("read", ("app:*",))


@pytest.mark.parametrize("at", [0, 1, 99, 100, 101, 249])
@pytest.mark.parametrize(("foreign", "reply"), [(b"x", b"access denied"), (b"k" * 251, b"bad command line format")])
def test_one_key_that_may_not_be_asked_stops_them_all(at, foreign, reply):
    keys = [b"app:%d" % number for number in range(250)]
    keys[at] = foreign
    outcome = play_every_way(text(APP), b"get " + b" ".join(keys) + b"\r\nmn\r\n", splits=[4, 5, 700])
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"CLIENT_ERROR " + reply + b"\r\nMN\r\n")


def test_a_long_get_and_touch_needs_both_classes():
    keys = b" ".join(b"app:%d" % number for number in range(250))
    outcome = play_every_way(text(APP), b"gat 0 " + keys + b"\r\n", splits=[4, 5, 700])
    assert (outcome.upstream, outcome.received) == (b"", b"CLIENT_ERROR access denied\r\n")
    both = text(("read", ("app:*",)), ("touch", ("*",)))
    assert frames_of(play(both, b"gat 0 " + keys + b"\r\n").upstream)
    for exptime in (b"x", b"2147483648", b"+1", b"--1"):
        outcome = play_every_way(both, b"gat " + exptime + b" " + keys + b"\r\n", splits=[4, 5, 700])
        assert (outcome.upstream, outcome.received) == (b"", b"CLIENT_ERROR invalid exptime argument\r\n")
    assert play(both, b"gat -77 " + keys + b"\r\n").upstream.startswith(b"gat -1 app:0 ")


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat 60", b"gats 60"])
def test_where_a_line_becomes_too_long(verb):
    for length in (2047, 2048, 2049):
        words = [verb, *[b"k" * 200] * 9]
        words.append(b"k" * (length - len(b" ".join(words)) - 3))
        line = b" ".join(words) + b"\r\n"
        assert len(line) == length
        lines = play(text(), line).upstream.splitlines(keepends=True)
        assert (lines == [line]) is (length <= 2048), f"{length} bytes"
        assert max(map(len, lines)) <= 2048


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat 60", b"gats 60"])
def test_nine_of_the_longest_keys_are_cut(verb):
    line = verb + b" " + b" ".join([b"k" * 250] * 9) + b"\r\n"
    assert max(map(len, play(text(), line).upstream.splitlines(keepends=True))) <= 2048


@pytest.mark.parametrize(("count", "pieces"), [(99, 1), (100, 1), (101, 2), (200, 2), (201, 3)])
def test_a_hundred_keys_share_a_line(count, pieces):
    for verb in (b"get", b"gats 60"):
        upstream = play(text(), verb + b" k" * count + b"\r\n").upstream
        assert upstream.count(b"\n") == pieces
        assert max(line.count(b" k") for line in upstream.splitlines()) == min(count, 100)
