"""A request that was vetted: what goes upstream for it, and how its reply is read.

One request, one reply, in order. `take` is called with what upstream has sent and consumes what belongs to this
request; it hands the part that the client wants to its sink. Whatever upstream sends that this request cannot have as
its reply raises OutOfStep: the two sides disagree about where replies begin, and nothing further on that link can be
trusted.
"""

import re
from typing import Final

from mcproxy.compiling import mypyc_attr
from mcproxy.wire import grammar
from mcproxy.wire.tally import Tally

# A value up to this size is delivered whole; a larger one is passed on as it arrives, since its key is compared first.
STREAM_FROM: Final = 16 * 1024
LONGEST_REPLY_LINE: Final = 2048
_LOGIN_WANTED: Final = re.compile(grammar.LOGIN_WANTED).match


def one_of(*lines: bytes, deniable: bool = True) -> "re.Pattern[bytes]":
    """A pattern of replies of one line: any of these, or SERVER_ERROR, or that access is denied."""
    failure = grammar.FAILURE if deniable else grammar.SERVER_ERROR
    return re.compile(b"(?:" + b"|".join(lines) + b")\r\n|" + failure)


class OutOfStep(Exception):
    """Upstream sent what the oldest request in flight cannot have as its reply. The link must be dropped."""


class LoginWanted(OutOfStep):
    """Upstream does not take this link for logged in, or not any more: only another link can be."""

    def __init__(self) -> None:
        super().__init__("upstream asks for a login")


@mypyc_attr(allow_interpreted_subclasses=True)
class Sink:
    """Where the replies of one downstream connection go.

    `in_flight` answers are still to come. `largest_value` is that of the values it was sent lately, in bytes. `tally`
    counts for its principal.
    """

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.in_flight = 0
        self.largest_value = 0

    def deliver(self, data: bytes) -> None:
        """Queue bytes for the client."""
        raise NotImplementedError

    def cut_short(self) -> None:
        """A reply ended in its middle after a part of it was delivered: the connection cannot go on."""
        raise NotImplementedError

    def finished(self, request: "Request") -> None:
        """The request has its whole reply, or has failed; `in_flight` was counted down by its cost."""
        raise NotImplementedError

    def goes_on_for_ever(self) -> None:
        """A reply has begun that has no end (`watch`): whatever else the client sends is thrown away."""
        raise NotImplementedError


class Request:
    """What every kind of request has in common.

    `upstream` is what goes up, already canonical. `cost` is how many answers it asks for: its keys, or 1. `count` names
    the command class that it is counted under. `lookups` keys are looked up, `hits` of them were found so far. `done`
    says that the whole reply was taken.
    """

    __slots__ = ("cost", "count", "done", "hits", "lookups", "sink", "upstream")
    # Needs no bytes from upstream; see Local.
    local: bool = False
    # Needs a link that no other client shares.
    private: bool = False
    # Has no use for `upstream` once it was sent; it may hold a large value.
    releases: bool = False

    def __init__(self, sink: Sink, upstream: bytes, cost: int, count: str) -> None:
        self.sink = sink
        self.upstream = upstream
        self.cost = cost
        self.count = count
        self.lookups = 0
        self.hits = 0
        self.done = False

    def packets(self) -> int:
        """How many binary packets it goes up as."""
        return 1

    def packet(self, upstream_opaque: int) -> bytes:
        """A binary request under the link's own opaque; of several packets, each has the next higher one."""
        raise NotImplementedError

    def to_send(self) -> bytes:
        """What goes upstream. To be asked for once."""
        data = self.upstream
        if self.releases:
            self.upstream = b""
        return data

    def take(self, buffer: bytes, position: int) -> int:
        """Consume what belongs to this request from `position`; return where it ends. Raises OutOfStep."""
        raise NotImplementedError

    def fail(self, reason: bytes) -> None:
        """Answer what has not been answered yet with SERVER_ERROR and `reason`."""
        raise NotImplementedError

    def finish(self) -> None:
        """Tell the sink that it has its answer, after the last `take` or after `fail`."""
        self.sink.in_flight -= self.cost
        self.sink.finished(self)

    def upstream_closed(self) -> None:
        """Upstream closed the link with this request the oldest in flight. `fail` follows: mostly that says it all."""

    @property
    def endless(self) -> bool:
        """Whether the reply has begun and will not end."""
        return False

    @property
    def unanswered(self) -> int:
        """How many answers are owed if it fails now. A retrieval of one client counts whole until its last one."""
        return self.cost


class Local(Request):
    """The proxy's own reply, waiting for its turn behind requests that are in flight."""

    __slots__ = ("data",)
    local = True

    def __init__(self, sink: Sink, data: bytes) -> None:
        super().__init__(sink, b"", 1, "")
        self.data = data

    def take(self, buffer: bytes, position: int) -> int:
        """Deliver the reply; upstream has no part in it."""
        self.sink.deliver(self.data)
        self.done = True
        return position

    def fail(self, reason: bytes) -> None:
        """Deliver the reply all the same: it does not depend on the link."""
        self.sink.deliver(self.data)

    @property
    def unanswered(self) -> int:
        """None: it does not fail."""
        return 0


class ValueRequest(Request):
    """A request whose reply may hold a large value, which is passed on as it arrives.

    `streaming` is how many bytes of it, with its line end, are still to come.
    """

    __slots__ = ("streaming",)

    def __init__(self, sink: Sink, upstream: bytes, cost: int, count: str) -> None:
        super().__init__(sink, upstream, cost, count)
        self.streaming = 0

    def pass_on(self, buffer: bytes, start: int, end: int) -> None:
        """Deliver a part of the reply."""
        self.sink.deliver(buffer[start:end])

    def stream(self, buffer: bytes, position: int) -> int:
        """Pass on more of a large value; returns how far. Raises OutOfStep if its line end isn't where it must be."""
        available = len(buffer) - position
        if self.streaming > 2:
            wanted = min(self.streaming - 2, available)
            self.pass_on(buffer, position, position + wanted)
            self.streaming -= wanted
            position += wanted
            available -= wanted
        # Never ask whether a line end was cut in two: it is taken whole.
        if self.streaming == 2 and available >= 2:
            if not buffer.startswith(b"\r\n", position):
                raise OutOfStep("a value that is longer than its length")
            self.pass_on(buffer, position, position + 2)
            self.streaming = 0
            position += 2
        return position


class LineRequest(Request):
    """A command that is answered by one line. `replies` matches the lines that its verb can have."""

    __slots__ = ("replies", "silent")
    releases = True

    def __init__(self, sink: Sink, upstream: bytes, count: str, replies: "re.Pattern[bytes]", silent: bool) -> None:
        super().__init__(sink, upstream, 1, count)
        self.replies = replies
        self.silent = silent

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one line."""
        match = self.replies.match(buffer, position)
        if match is None:
            expect_more(buffer, position)
            return position
        end = match.end()
        if not self.silent:
            self.sink.deliver(buffer[position:end])
        self.done = True
        return end

    def fail(self, reason: bytes) -> None:
        """One error line, unless the client asked for no reply."""
        if not self.silent:
            self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")


def expect_more(buffer: bytes, position: int) -> None:
    """Raise OutOfStep unless the line at `position` is merely incomplete."""
    if buffer.find(b"\n", position) >= 0 or len(buffer) - position > LONGEST_REPLY_LINE:
        raise impossible(buffer, position)


def impossible(buffer: bytes, position: int) -> OutOfStep:
    """What is wrong with the line at `position`, which no request has as its reply: upstream may want a login first."""
    if _LOGIN_WANTED(buffer, position) is not None:
        return LoginWanted()
    return OutOfStep("a reply that the command cannot have")
