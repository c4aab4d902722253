"""Conversations with a parser, held as relay.session and relay.link hold them, without sockets.

A conversation is held whole, byte by byte, cut in two at every byte, with replies at once and with replies as late as
possible; what went upstream, what came down and how it ended must be the same every time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mcproxy.wire.binary import BinaryParser
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.pipelining import OneBinaryCommand, OneTextCommand
from mcproxy.wire.requests import Local, OutOfStep, Request, Sink
from mcproxy.wire.tally import Tally
from mcproxy.wire.text import TextParser
from tests.unit.wire.answering import answer as answer_as_memcached

Parser = TextParser | BinaryParser | OneTextCommand | OneBinaryCommand
MakeParser = Callable[["Collector"], Parser]
Answer = Callable[[bytes], bytes]
LOST = b"lost"
"""What fails a request whose link is dropped."""

FIRST_OPAQUE = 0x7000
"""Opaques of the link begin here, so that none is a client's by chance."""


LONG = 1000
"""Bytes; what is longer is not taken byte by byte but in pieces of 97, to save time."""


class Collector(Sink):
    """A sink: what the client gets."""

    def __init__(self) -> None:
        super().__init__(Tally())
        self.received = b""
        self.was_cut_short = False
        self.watches = False
        self.answered: list[Request] = []

    def deliver(self, data: bytes) -> None:
        assert data, "nothing was delivered as if it were something"
        if not self.was_cut_short:
            self.received += data

    def cut_short(self) -> None:
        self.was_cut_short = True

    def finished(self, request: Request) -> None:
        self.answered.append(request)

    def goes_on_for_ever(self) -> None:
        self.watches = True


class Link:
    """relay.link's way of reading replies. `lost` is why it was dropped."""

    def __init__(self) -> None:
        self.waiting: deque[Request] = deque()
        self.lost = ""
        self._partial = b""

    def receive(self, data: bytes) -> None:
        """Hand what upstream sent to the requests that wait for it."""
        if self.lost:
            return
        data = self._partial + data
        position = 0
        try:
            while self.waiting:
                request = self.waiting[0]
                if position == len(data) and not request.local:
                    break
                taken = request.take(data, position)
                assert position <= taken <= len(data)
                position = taken
                if not request.done:
                    break
                self.waiting.popleft()
                request.finish()
            if position < len(data) and not self.waiting:
                raise OutOfStep("bytes that answer no request")
        except OutOfStep as error:
            self.close(str(error))
            return
        self._partial = data[position:]

    def close(self, reason: str) -> None:
        """Drop the link: whatever waits has failed."""
        self.lost = reason
        while self.waiting:
            request = self.waiting.popleft()
            request.fail(LOST)
            request.finish()


@dataclass
class Outcome:
    """What became of a conversation. `end` is "open", "unfinished", "closed", "cut short" or "log in again"."""

    upstream: bytes
    received: bytes
    refusals: list[tuple[str, str]]
    end: str
    requests: list[bytes] = field(default_factory=list, compare=False)


class Client(Collector):
    """relay.session's way with a parser: frames go to a link, refusals are answered in their turn."""

    def __init__(self, make_parser: MakeParser, answer: Answer, window: int, late: bool, reply_size: int) -> None:
        super().__init__()
        self.parser = make_parser(self)
        self.link = Link()
        self.sent: list[bytes] = []
        self.refusals: list[tuple[str, str]] = []
        self.end = ""
        self._answer = answer
        self._window = window
        self._late = late
        self._reply_size = reply_size
        # What is kept of a frame that isn't whole, and how much of a refused block is still to come.
        self._kept = b""
        self._needed = 0
        self._swallow = 0
        self._owed: list[bytes] = []

    def receive(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.end or self.watches:
            return
        skipped = min(self._swallow, len(data))
        self._swallow -= skipped
        self._kept += data[skipped:]
        came = b"\n" in data[skipped:]
        if len(self._kept) >= self._needed or (self.parser.until_newline and came):
            data, self._kept = self._kept, b""
            self._process(data)
        if not self._late:
            self.answer()

    def finish(self) -> Outcome:
        """The client sends no more."""
        self.answer()
        end = self.end or ("unfinished" if self._kept or self._swallow else "open")
        if self.was_cut_short:
            end = "cut short"
        return Outcome(b"".join(self.sent), self.received, self.refusals, end, self.sent)

    def answer(self) -> None:
        """Let upstream answer all that it was asked."""
        data = b"".join(self._owed)
        self._owed.clear()
        size = self._reply_size or len(data) or 1
        for position in range(0, len(data), size):
            self.link.receive(data[position : position + size])

    def _process(self, data: bytes) -> None:
        position = 0
        self._needed = 0
        while position < len(data) or self.parser.cutting:
            outcome = self.parser.next(data, position, self._window - self.in_flight)
            if isinstance(outcome, Request):
                position = self.parser.end
                if outcome.private:
                    self.answer()
                    self._submit(outcome)
                    self.answer()
                    if self.watches:
                        # Whatever else it sends is thrown away.
                        return
                else:
                    self._submit(outcome)
            elif isinstance(outcome, Refusal):
                self._refuse(outcome)
                if outcome.close:
                    self.end = "closed"
                    return
                position = self.parser.end
                if outcome.swallow:
                    missing = outcome.swallow - (len(data) - position)
                    if missing > 0:
                        self._swallow = missing
                        return
                    position += outcome.swallow
            elif outcome is Pending.INCOMPLETE:
                assert self.parser.needed > len(data), "it has what it says that it needs"
                self._kept = data[position:]
                self._needed = self.parser.needed - position
                return
            elif outcome is Pending.NO_ROOM:
                assert self.in_flight >= self._window
                self.answer()
                assert self.in_flight < self._window, "no room, and nothing in flight that could make any"
            else:
                assert isinstance(outcome, LogInAgain)
                self.end = "log in again"
                return

    def _submit(self, request: Request) -> None:
        if self.link.lost:
            self.link = Link()
        assert 0 < request.cost <= self._window - self.in_flight, "more in flight than there was room for"
        self.in_flight += request.cost
        if isinstance(self.parser, BinaryParser | OneBinaryCommand):
            data = request.packet(FIRST_OPAQUE + len(self.sent))
        else:
            data = request.upstream
        self.sent.append(data)
        self.link.waiting.append(request)
        self._owed.append(self._answer(data))

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.reason or refusal.denied:
            self.refusals.append((refusal.reason, refusal.denied))
        if refusal.reply and self.in_flight and not self.link.lost:
            self.in_flight += 1
            self.link.waiting.append(Local(self, refusal.reply))
        elif refusal.reply:
            self.deliver(refusal.reply)


def cut(data: bytes, positions: Iterable[int]) -> Iterator[bytes]:
    """`data` in pieces that begin at `positions`."""
    start = 0
    for position in [*positions, len(data)]:
        yield data[start:position]
        start = position


def play(
    make_parser: MakeParser,
    data: bytes,
    positions: Iterable[int] = (),
    *,
    answer: Answer = answer_as_memcached,
    window: int = 1000,
    late: bool = False,
    reply_size: int = 0,
) -> Outcome:
    """Hold one conversation. `late`: upstream answers only when it must; `reply_size`: in pieces of so many bytes."""
    client = Client(make_parser, answer, window, late, reply_size)
    for piece in cut(data, positions):
        client.receive(piece)
    return client.finish()


def play_every_way(
    make_parser: MakeParser,
    data: bytes,
    *,
    answer: Answer = answer_as_memcached,
    window: int = 1000,
    splits: Iterable[int] | None = None,
) -> Outcome:
    """Hold a conversation in every way; `splits` where it is too long to cut at every byte. Returns what came of it.

    In a small window, how multi-gets are cut up depends on what else is in flight; what the client sees does not.
    """
    whole = play(make_parser, data, answer=answer, window=window)
    every_byte = range(1, len(data))
    slowly = range(1, len(data), 1 if len(data) < LONG else 97)

    def check(what: str, positions: Iterable[int], late: bool = False, reply_size: int = 0) -> None:
        again = play(make_parser, data, positions, answer=answer, window=window, late=late, reply_size=reply_size)
        assert (again.received, again.refusals, again.end) == (whole.received, whole.refusals, whole.end), what
        assert window < 1000 or again.upstream == whole.upstream, what

    for position in every_byte if splits is None else splits:
        check(f"cut at {position}", [position])
    check("piece by piece", slowly)
    check("late, with replies in small pieces", (), True, 1 if len(whole.received) < LONG else 97)
    check("piece by piece, late", slowly, True)
    return whole
