"""Single gets of many clients, asked of upstream as one multi-get.

memcached answers every `get` line with a system call of its own, and one line of many keys with a single one. So what
clients ask within one turn goes up in one line, which costs memcached a fraction. Each client still gets exactly its
own: a VALUE must name a key that is owed, in the order asked, and goes to whoever asked for that one; keys that are
passed over were misses. A miss is believed only once END has come: until then it could as well be that the two sides
have got out of step, and what follows it waits too.
"""

from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.requests import STREAM_FROM, OutOfStep, Sink, ValueRequest, expect_more
from mcproxy.wire.retrieval import END, SERVER_ERROR, VALUE, Get

_HEADER: Final = VALUE.match
_VERB: Final = b"get"


class Gathered(ValueRequest):
    """One line for many requests. It delivers to each of them, and tells each that it is finished."""

    __slots__ = ("_answered", "_held_back", "_keys", "_length", "_sinks")

    def __init__(self, first: Get) -> None:
        super().__init__(first.sink, b"", 0, first.count)
        # As they stand in a line: each behind its space.
        self._keys: list[bytes] = []
        self._sinks: list[Sink] = []
        self._answered = 0
        # Answers that wait for END, those of the next keys.
        self._held_back: list[bytes] = []
        self._length = len(_VERB) + 2
        self.add(first)

    def add(self, request: Get) -> bool:
        """Take one more request in, if there is room for all of its keys."""
        cost = request.cost
        # The run less its verbs and line ends.
        length = len(request.upstream) - cost * (len(_VERB) + 2)
        if self.cost + cost > grammar.KEYS_PER_LINE or self._length + length > grammar.LINE_LENGTH:
            return False
        self._length += length
        self.cost += cost
        if cost == 1:
            self._keys.append(request.upstream[3:-2])
            self._sinks.append(request.sink)
        else:
            self._keys += request.upstream[3:-2].split(b"\r\nget")
            self._sinks += [request.sink] * cost
        return True

    def to_send(self) -> bytes:
        """The line. Nothing may be added any more."""
        self.lookups = self.cost
        return b"get%b\r\n" % b"".join(self._keys)

    def take(self, buffer: bytes, position: int) -> int:
        """Give each VALUE to whoever asked for it, and END to all who are left."""
        size = len(buffer)
        if self.streaming:
            position = self.stream(buffer, position)
            if self.streaming:
                return position
            self._answer(END)
        keys = self._keys
        held_back = self._held_back
        while True:
            match = _HEADER(buffer, position)
            if match is None:
                break
            name, digits = match.group(1, 2)
            found = self._answered + len(held_back)
            if found == len(keys) or keys[found] != name:
                found = self._find(name, found)
            length = int(digits)
            sink = self._sinks[found]
            if length > sink.largest_value:
                sink.largest_value = length
            end = match.end() + length + 2
            if end > size:
                if length > STREAM_FROM:
                    # Too large to wait for END.
                    self._pass_over_misses(found)
                    self._release()
                    # Never ask whether a line end was cut in two: both of its bytes are kept for the next time.
                    start, position = position, min(size, end - 2)
                    self.streaming = end - position
                    self.hits += 1
                    sink.deliver(buffer[start:position])
                return position
            if not buffer.startswith(b"\r\n", end - 2):
                raise OutOfStep("a value that is longer than its length")
            self.hits += 1
            if found != self._answered:
                self._pass_over_misses(found)
                held_back.append(buffer[position:end] + END)
            else:
                self._answer(buffer[position:end] + END)
            position = end
        if buffer.startswith(END, position):
            self._release()
            self._answer_all(END)
            return position + len(END)
        match = SERVER_ERROR.match(buffer, position)
        if match is None:
            expect_more(buffer, position)
            return position
        self._release()
        self._answer_all(match.group())
        return match.end()

    def pass_on(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver a part of a large value."""
        self._sinks[self._answered].deliver(buffer[start:end])

    def fail(self, reason: bytes) -> None:
        """One error for each who has no answer yet; a value that was cut short ends its client's connection."""
        if self.streaming:
            self._sinks[self._answered].cut_short()
            self._answer(b"")
        self._answer_all(b"SERVER_ERROR " + reason + b"\r\n")

    def finish(self) -> None:
        """Each was told already."""

    def _answer(self, data: bytes) -> None:
        """The next one has its answer."""
        sink = self._sinks[self._answered]
        self._answered += 1
        if data:
            sink.deliver(data)
        sink.in_flight -= 1
        sink.finished(self)

    def _answer_all(self, data: bytes) -> None:
        for _ in range(len(self._keys) - self._answered):
            self._answer(data)
        self.done = True

    def _find(self, name: bytes, start: int) -> int:
        """Where `name` stands among the keys from `start` on. Raises OutOfStep if it isn't owed."""
        try:
            return self._keys.index(name, start)
        except ValueError:
            raise OutOfStep("a value under a key that was not asked for") from None

    def _pass_over_misses(self, found: int) -> None:
        """All before the key `found` have their answer, if only held back."""
        self._held_back += [END] * (found - self._answered - len(self._held_back))

    def _release(self) -> None:
        """Give out what was held back."""
        for answer in self._held_back:
            self._answer(answer)
        self._held_back.clear()
