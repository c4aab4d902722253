"""Single gets of many clients, asked of upstream as one multi-get.

memcached answers every `get` line with a system call of its own, and one line of many keys with a single one. So what
clients ask within one turn goes up in one line, which costs memcached a fraction. Each client still gets exactly its
own: a VALUE must name a key that is owed, in the order asked, and goes to whoever asked for that one; keys that are
passed over were misses. A value is given out once what follows it is right; a miss, and what stands behind it, once END
has come, or a value behind it that is too large to wait: until then it could as well be that the two sides have got out
of step. No key stands twice in a line: of one VALUE for two who asked, nobody could tell whose it is.

An upstream with grants of its own denies a line as a whole, and nobody can tell for whose key. memcached grants all.
"""

from collections.abc import Callable
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.error_lines import DENIED
from mcproxy.wire.requests import STREAM_FROM, OutOfStep, Sink, ValueRequest, expect_more
from mcproxy.wire.retrieval import END, FAILURE, VALUE, Get

_HEADER: Final = VALUE.match
_VERB: Final = b"get"
# Nobody is told of a denial that may be another's.
_DENIED_TOGETHER: Final = b"SERVER_ERROR upstream has grants of its own; ask again\r\n"


class Gathering:
    """Whether gets go up together on the links to one upstream: until it has denied one, which `on_denial` is told."""

    def __init__(self, on_denial: Callable[[], None]) -> None:
        self.goes_on = True
        self._on_denial = on_denial

    def denied(self) -> None:
        """Upstream has grants of its own."""
        if self.goes_on:
            self.goes_on = False
            self._on_denial()


class Gathered(ValueRequest):
    """One line for many requests. It delivers to each of them, and tells each that it is finished.

    Hits and misses it counts itself, each for the principal who asked: `lookups` and `hits` of its own remain 0.
    """

    __slots__ = ("_answered", "_gathering", "_held_back", "_keys", "_known", "_length", "_missed", "_sinks")

    def __init__(self, sink: Sink, count: str, gathering: Gathering) -> None:
        super().__init__(sink, b"", 0, count)
        self._gathering = gathering
        # As they stand in a line: each behind its space.
        self._keys: list[bytes] = []
        self._known: set[bytes] = set()
        self._sinks: list[Sink] = []
        self._answered = 0
        # Answers of the next keys, until they may be given out; and whether there is a miss among them.
        self._held_back: list[bytes] = []
        self._missed = False
        self._length = len(_VERB) + 2

    def add(self, request: Get) -> bool:
        """Take one more request in, if there is room for all of its keys and none of them stands in the line."""
        cost = request.cost
        # The run less its verbs and line ends.
        length = len(request.upstream) - cost * (len(_VERB) + 2)
        if self.cost + cost > grammar.KEYS_PER_LINE or self._length + length > grammar.LINE_LENGTH:
            return False
        if cost == 1:
            key = request.upstream[3:-2]
            if key in self._known:
                return False
            self._known.add(key)
            self._keys.append(key)
            self._sinks.append(request.sink)
        else:
            keys = request.upstream[3:-2].split(b"\r\nget")
            if len(self._known.union(keys)) != len(self._keys) + cost:
                return False
            self._known.update(keys)
            self._keys += keys
            self._sinks += [request.sink] * cost
        self._length += length
        self.cost += cost
        return True

    def to_send(self) -> bytes:
        """The line. Nothing may be added any more."""
        return b"get%b\r\n" % b"".join(self._keys)

    def take(self, buffer: bytes, position: int) -> int:
        """Give each VALUE to whoever asked for it, and END to all who are left."""
        size = len(buffer)
        if self.streaming:
            position = self.stream(buffer, position)
            if self.streaming:
                return position
            self._held_back.append(END)
        keys = self._keys
        held_back = self._held_back
        while True:
            match = _HEADER(buffer, position)
            if match is None:
                break
            name, digits = match.group(1, 2)
            found = self._answered + len(held_back)
            if found < len(keys) and keys[found] == name:
                if not self._missed:
                    self._release()
            else:
                found = self._find(name, found)
                self._miss(found)
            length = int(digits)
            sink = self._sinks[found]
            if length > sink.largest_value:
                sink.largest_value = length
            end = match.end() + length + 2
            if end > size:
                if length > STREAM_FROM:
                    # Too large to wait for END.
                    self._release()
                    # Never ask whether a line end was cut in two: both of its bytes are kept for the next time.
                    start, position = position, min(size, end - 2)
                    self.streaming = end - position
                    sink.tally.hits += 1
                    sink.deliver(buffer[start:position])
                return position
            if not buffer.startswith(b"\r\n", end - 2):
                raise OutOfStep("a value that is longer than its length")
            sink.tally.hits += 1
            held_back.append(buffer[position:end] + END)
            position = end
        if buffer.startswith(END, position):
            self._release()
            self._answer_rest(END)
            return position + len(END)
        match = FAILURE.match(buffer, position)
        if match is None:
            expect_more(buffer, position)
            return position
        if not self._missed:
            self._release()
        failure = match.group()
        if failure == DENIED:
            self._gathering.denied()
            if len(self._keys) > 1:
                failure = _DENIED_TOGETHER
        self._answer_rest(failure)
        return match.end()

    def pass_on(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver a part of a large value."""
        self._sinks[self._answered].deliver(buffer[start:end])

    def fail(self, reason: bytes) -> None:
        """One error for each who has no answer yet; a value that was cut short ends its client's connection."""
        if self.streaming:
            self._sinks[self._answered].cut_short()
            self._answer(b"")
        for _ in range(len(self._keys) - self._answered):
            self._answer(b"SERVER_ERROR " + reason + b"\r\n")
        self.done = True

    def finish(self) -> None:
        """Each was told already."""

    @property
    def unanswered(self) -> int:
        """Those who have no answer yet."""
        return len(self._keys) - self._answered

    def _answer(self, data: bytes) -> None:
        """The next one has its answer."""
        sink = self._sinks[self._answered]
        self._answered += 1
        if data:
            sink.deliver(data)
        sink.in_flight -= 1
        sink.finished(self)

    def _answer_rest(self, data: bytes) -> None:
        """Upstream has nothing for those who are left."""
        for sink in self._sinks[self._answered :]:
            sink.tally.misses += 1
            self._answer(data)
        self.done = True

    def _find(self, name: bytes, start: int) -> int:
        """Where `name` stands among the keys from `start` on. Raises OutOfStep if it isn't owed."""
        try:
            return self._keys.index(name, start)
        except ValueError:
            raise OutOfStep("a value under a key that was not asked for") from None

    def _miss(self, found: int) -> None:
        """All that stand before the key `found` and have no answer are misses."""
        if not self._missed:
            self._release()
        self._missed = True
        self._held_back += [END] * (found - self._answered - len(self._held_back))

    def _release(self) -> None:
        """Give out what was held back."""
        if self._missed:
            for sink, answer in zip(self._sinks[self._answered :], self._held_back, strict=False):
                if answer == END:
                    sink.tally.misses += 1
        for answer in self._held_back:
            self._answer(answer)
        self._held_back.clear()
        self._missed = False
