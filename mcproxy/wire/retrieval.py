"""get, gets, gat and gats: reading their replies, and comparing the keys in them with the keys that were asked.

A run is one or more complete command lines of one verb, as they went upstream. Its own bytes and a cursor are all that
the comparison needs: the cursor stands on the space before the next key that may still be answered, each VALUE must
name a key from there on, and a key that is passed over was a miss. That nobody's value reaches anybody else rests on
this (R3), and it costs one `startswith` for a key that is found.
"""

import re
from collections.abc import Callable
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.requests import STREAM_FROM, OutOfStep, Sink, ValueRequest, expect_more

_LENGTH: Final = grammar.decimal_at_most(grammar.LARGEST_LENGTH)
VALUE: Final = re.compile(rb"VALUE( %s) %s (%s)\r\n" % (grammar.KEY, grammar.FLAGS, _LENGTH))
VALUE_WITH_CAS: Final = re.compile(
    rb"VALUE( %s) %s (%s) %s\r\n" % (grammar.KEY, grammar.FLAGS, _LENGTH, grammar.CAS_UNIQUE)
)
FAILURE: Final = re.compile(grammar.FAILURE)
Matcher = Callable[..., "re.Match[bytes] | None"]
END: Final = b"END\r\n"
LAST: Final = b"\r\nEND\r\n"
SPACE: Final = 0x20
CARRIAGE_RETURN: Final = 0x0D


class Retrieval(ValueRequest):
    """A run of retrieval lines of one verb, which is what went upstream.

    `skip` is the distance from the start of a line to the space before its first key. `header` matches the first line
    of a VALUE block as the verb has it, with or without a cas unique.
    """

    __slots__ = ("cursor", "header", "skip")

    def __init__(self, sink: Sink, run: bytes, skip: int, cost: int, count: str, header: Matcher) -> None:
        # Spelled out rather than left to Request: this is made for every ordinary request.
        self.sink = sink
        self.upstream = run
        self.skip = self.cursor = skip
        self.cost = self.lookups = cost
        self.count = count
        self.header = header
        self.hits = 0
        self.done = False
        self.streaming = 0

    def take(self, buffer: bytes, position: int) -> int:
        """Consume VALUE blocks and ENDs. A short reply is delivered only when all of it has come."""
        if self.streaming:
            position = self.stream(buffer, position)
            if self.streaming:
                return position
        start = position
        size = len(buffer)
        run = self.upstream
        # Where the reply to the current line began, and what was so at the time.
        line, line_cursor, line_hits = position, self.cursor, self.hits
        try:
            while True:
                match = self.header(buffer, position)
                if match is not None:
                    name, digits = match.group(1, 2)
                    cursor = self.cursor
                    after = cursor + len(name)
                    if not run.startswith(name, cursor) or (run[after] != SPACE and run[after] != CARRIAGE_RETURN):
                        after = self._pass_over_misses(name)
                    length = int(digits)
                    if length > self.sink.largest_value:
                        self.sink.largest_value = length
                    end = match.end() + length + 2
                    if end > size:
                        if length <= STREAM_FROM:
                            break
                        self.cursor = after
                        self.hits += 1
                        # Never ask whether a line end was cut in two: both of its bytes are kept for the next time.
                        position = min(size, end - 2)
                        self.streaming = end - position
                        self.pass_on(buffer, start, position)
                        return position
                    self.cursor = after
                    self.hits += 1
                    position = end
                    if not buffer.startswith(LAST, end - 2):
                        if not buffer.startswith(b"\r\n", end - 2):
                            raise OutOfStep("a value that is longer than its length")
                        continue
                    # The usual end: one key asked, one value, END.
                    position += len(END)
                elif buffer.startswith(END, position):
                    position += len(END)
                else:
                    match = FAILURE.match(buffer, position)
                    if match is None:
                        expect_more(buffer, position)
                        break
                    position = match.end()
                    self._deliver_error(buffer, start, position)
                    start = position
                # The current line has its answer.
                following = run.find(b"\n", self.cursor) + 1
                if following == len(run):
                    self.done = True
                    self._deliver_end(buffer, start, position)
                    return position
                self.cursor = following + self.skip
                line, line_cursor, line_hits = position, self.cursor, self.hits
        except OutOfStep:
            # The lines before have their whole answer; this one gets an error instead.
            self.cursor, self.hits = line_cursor, line_hits
            self.pass_on(buffer, start, line)
            raise
        if position - line <= STREAM_FROM:
            position, self.cursor, self.hits = line, line_cursor, line_hits
        self.pass_on(buffer, start, position)
        return position

    def fail(self, reason: bytes) -> None:
        """One error for each line that has no answer yet; a value that was cut short ends the connection."""
        if self.streaming:
            self.sink.cut_short()
            return
        unanswered = self.upstream.count(b"\n", self.cursor)
        self.sink.deliver((b"SERVER_ERROR " + reason + b"\r\n") * unanswered)

    def pass_on(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver a part of the reply, if there is any."""
        if end > start:
            self.sink.deliver(buffer[start:end])

    def _deliver_end(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver the last of the reply, END and all; nothing, if an error line was the last."""
        if end > start:
            self.sink.deliver(buffer[start:end])

    def _deliver_error(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver what ends in an error line, the answer to a line of the run."""
        self.sink.deliver(buffer[start:end])

    def _pass_over_misses(self, name: bytes) -> int:
        """Where the key `name`, with its space, ends in the current line. Raises OutOfStep if it isn't owed."""
        run = self.upstream
        line_end = run.find(b"\r", self.cursor)
        cursor = self.cursor
        while cursor < line_end:
            after = cursor + len(name)
            if run.startswith(name, cursor) and (run[after] == SPACE or run[after] == CARRIAGE_RETURN):
                return after
            cursor = run.find(b" ", cursor + 1, line_end)
            if cursor < 0:
                break
        raise OutOfStep("a value under a key that was not asked for")


class Get(Retrieval):
    """A run of `get` lines with one key each, which may go up in one line with those of others; see wire.gathered."""

    __slots__ = ()


class MultiGet:
    """A retrieval that was cut into several lines on its way up: what its pieces share.

    `failed`: one of them was answered with an error, which was the answer to the whole; nothing may follow it.
    """

    __slots__ = ("failed",)

    def __init__(self) -> None:
        self.failed = False


class Piece(Retrieval):
    """One line of a cut multi-get. Only the END of the `last` one is the client's."""

    __slots__ = ("last", "whole")

    def __init__(
        self, sink: Sink, line: bytes, skip: int, cost: int, count: str, header: Matcher, whole: MultiGet, last: bool
    ) -> None:
        super().__init__(sink, line, skip, cost, count, header)
        self.whole = whole
        self.last = last

    def fail(self, reason: bytes) -> None:
        """One error for the whole retrieval."""
        if self.streaming:
            self.sink.cut_short()
        elif not self.whole.failed:
            self.whole.failed = True
            self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")

    def pass_on(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver a part of the reply, unless an error was the answer to the whole."""
        if end > start and not self.whole.failed:
            self.sink.deliver(buffer[start:end])

    def _deliver_end(self, buffer: bytes, start: int, end: int) -> None:
        self.pass_on(buffer, start, end if self.last else end - len(END))

    def _deliver_error(self, buffer: bytes, start: int, end: int) -> None:
        self.pass_on(buffer, start, end)
        self.whole.failed = True


class RenamedPiece(Piece):
    """A line with one key, which the client knows under another name: `own_name` stands in the reply."""

    __slots__ = ("named", "own_name")

    def __init__(
        self,
        sink: Sink,
        line: bytes,
        skip: int,
        own_name: bytes,
        count: str,
        header: Matcher,
        whole: MultiGet,
        last: bool,
    ) -> None:
        super().__init__(sink, line, skip, 1, count, header, whole, last)
        self.own_name = own_name
        # Its only VALUE line has been delivered.
        self.named = False

    def pass_on(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver a part of the reply, the first one with the client's name for the key."""
        if not self.named and buffer.startswith(b"VALUE ", start) and end > start:
            self.named = True
            _, _, rest = buffer[start:end].split(b" ", 2)
            buffer, start, end = b"VALUE " + self.own_name + b" " + rest, 0, len(self.own_name) + 7 + len(rest)
        super().pass_on(buffer, start, end)
