"""What a fuzzed stream of commands must hold to, whatever is in it.

The stream is held as a session and a link hold it (tests/unit/wire/driving.py), twice: whole, and in pieces of any size
with replies as late as possible. Both must come to the same for the client. In either, the parser raises nothing, goes
forward, asks for no more than there is room for, and keeps nothing once a frame is over. What goes upstream is read by
the independent judge of tests/support, which raises on any byte that isn't canonical.
"""

import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from fuzz.coverage.answers import answer
from mcproxy.wire.outcome import Outcome, Pending, Refusal
from mcproxy.wire.requests import Request
from tests.unit.wire.answering import frames_of
from tests.unit.wire.driving import Collector, MakeParser, Parser, play
from tests.unit.wire.granting import LIMITS

HEADER_LENGTH = 4
"""Bytes before the stream that choose the client, the window and, two of them, how the stream is cut."""

KEPT_LIMIT = 4096
"""Bytes of its own that a parser may keep between frames: a few numbers, a digest, an empty list."""

SHARED = ("_rules", "_sink", "_match", "_forms", "next")
"""What a parser refers to and does not own."""


@dataclass(frozen=True)
class Principal:
    """Who sends the stream: how his parser is made, and how each of the keys that he may name begins.

    `steady`: what comes of a stream doesn't depend on how it was cut; behind `pipelining: refuse` it does.
    """

    make_parser: MakeParser
    prefix: bytes = b""
    steady: bool = True


class Watched:
    """A parser's `next`, with what must hold after each call of it."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._next = parser.next

    def __call__(self, data: bytes, position: int, room: int) -> Request | Outcome:
        parser = self._parser
        was_cutting = parser.cutting
        outcome = self._next(data, position, room)
        if isinstance(outcome, Request):
            assert 0 < outcome.cost <= room, f"{outcome.cost} answers where there is room for {room}"
        elif isinstance(outcome, Pending):
            assert outcome is not Pending.NO_ROOM or room <= 0, "no room, although there is some"
            return outcome
        if isinstance(outcome, Request | Refusal) and not getattr(outcome, "close", False):
            assert position < parser.end <= len(data) or was_cutting, f"from {position} to {parser.end} of {len(data)}"
        return outcome


def watched(make_parser: MakeParser, made: list[Parser]) -> MakeParser:
    """Makes parsers that are watched, and adds them to `made`."""

    def make(sink: Collector) -> Parser:
        parser = make_parser(sink)
        parser.next = Watched(parser)  # type: ignore[method-assign]
        made.append(parser)
        return parser

    return make


def kept_bytes(parser: Parser) -> int:
    """How much memory a parser keeps of its own: what its attributes hold, and theirs."""

    def size(value: object) -> int:
        inner: Iterable[object] = ()
        if isinstance(value, list | tuple):
            inner = value
        elif type(value).__module__.startswith("mcproxy.wire.") and hasattr(value, "__dict__"):
            inner = own(value)
        return sys.getsizeof(value) + sum(map(size, inner))

    def own(thing: object) -> list[object]:
        return [value for name, value in vars(thing).items() if name not in SHARED]

    return sum(map(size, own(parser)))


def pieces(chosen: random.Random, size: int) -> Iterator[int]:
    """Where a stream of `size` bytes is cut: into small pieces, large ones, or both."""
    largest = chosen.choice([1, 2, 8, 64, 1024])
    position = chosen.randint(1, largest)
    while position < size:
        yield position
        position += chosen.randint(1, largest)


def hold(principals: list[Principal], data: bytes) -> None:
    """Hold the conversation that `data` describes. Raises AssertionError if something is wrong with it."""
    if len(data) <= HEADER_LENGTH:
        return
    who, room, *seed = data[:HEADER_LENGTH]
    stream = data[HEADER_LENGTH:]
    principal = principals[who % len(principals)]
    # Mostly the widest window: in a narrow one replies come sooner.
    window = room % 16 + 1 if room < 64 else 1000
    chosen = random.Random(bytes(seed))
    made: list[Parser] = []
    make_parser = watched(principal.make_parser, made)

    def answered(upstream: bytes) -> bytes:
        for frame in frames_of(upstream, LIMITS.value):
            assert all(key.startswith(principal.prefix) for key in frame.keys), f"not granted: {frame.raw!r}"
        return answer(upstream)

    whole = play(make_parser, stream, answer=answered, window=window)
    positions = list(islice(pieces(chosen, len(stream)), 4096))
    size = chosen.choice([0, 1, 7, 100])
    again = play(make_parser, stream, positions, answer=answered, window=window, late=True, reply_size=size)
    if principal.steady:
        seen = (whole.received, whole.refusals, whole.end)
        assert (again.received, again.refusals, again.end) == seen, f"{again} when cut at {positions}, not {whole}"
        assert window < 1000 or again.upstream == whole.upstream, f"{again.upstream!r} went up, not {whole.upstream!r}"
    for parser in made:
        assert parser.cutting or kept_bytes(parser) < KEPT_LIMIT, f"{vars(parser)} is kept"
