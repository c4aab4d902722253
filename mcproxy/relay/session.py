"""One downstream connection after its login: bytes in, vetted requests on a link, replies out, in order.

A session stops (`_paused`) while it waits for replies because as many requests are in flight as it may have, for its
client to read, for a link that is busy sending, or for a link of its own. Whatever it waited for puts it on the relay's
`ready` list, and `resume` goes on with the bytes that it kept.
"""

from collections.abc import Callable
from typing import Final

from mcproxy.relay.downstream import Downstream
from mcproxy.relay.interfaces import Links, Observer, SessionLimits
from mcproxy.relay.link import Link
from mcproxy.relay.link_ends import CLIENT_LEFT
from mcproxy.relay.link_output import UNSENT_LIMIT
from mcproxy.relay.poller import READ, STOPPED, Relay
from mcproxy.relay.secured import Connection
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.parser import Parser
from mcproxy.wire.pipelining import OneAtATime
from mcproxy.wire.requests import Local, Request
from mcproxy.wire.tally import Tally

Translate = Callable[[Request], Request | Refusal]
"""What makes a request of the other protocol of a vetted one, or says why that can't be."""

# Frames of one session in one turn, so that nobody's pipeline holds up the others.
FRAMES_AT_ONCE: Final = 256
# Answers in flight before anything is known of how large this client's values are.
FIRST_WINDOW: Final = 32


class Session(Downstream):
    """One client. It is its own sink: the replies of its requests are delivered to it.

    `tally` counts for its principal: Traffic.tally_of.
    """

    def __init__(
        self,
        relay: Relay,
        connection: Connection,
        links: Links,
        limits: SessionLimits,
        observer: Observer,
        tally: Tally,
    ) -> None:
        super().__init__(relay, connection, limits, tally)
        self.parser: Parser
        self._buffer = limits.buffer
        self._counts = tally.requests
        self._links = links
        self._shared = links.shared
        self._observer = observer
        # The link that all answers in flight come on.
        self._link: Link | None = None
        self._window = min(FIRST_WINDOW, limits.pipeline)
        # The frame that ended the connection was refused, and the client is to see why.
        self._refused = False
        # A request that needs a link of its own; nothing else goes on until it is answered.
        self._private: Request | None = None
        self._private_opening = False
        self._private_link: Link | None = None
        self._log_in_again = False
        # The proxy is stopping: close once the input that came so far is dealt with.
        self._draining = False
        # The parser, where pipelines are refused.
        self._guard: OneAtATime | None = None
        self._translate: Translate | None = None

    def start(self, parser: Parser, data: bytes, translate: Translate | None = None) -> None:
        """Begin with what the client sent behind its login. `translate`: upstream speaks the other protocol."""
        self.parser = parser
        self._translate = translate
        self._guard = parser if isinstance(parser, OneAtATime) else None
        self._relay.refresh()
        self._relay.register(self._descriptor, self, READ)
        try:
            if data:
                self._process(data)
        except Exception:
            # Nobody knows where its next frame begins.
            self.close("internal error")
            raise
        if not self.closed and self._has_pending():
            self._read_more()
        self._relay.settle()

    def _process(self, data: bytes) -> None:
        """Take frames from `data` as long as that can go on, and keep the rest."""
        if self._guard is not None and data and (self.in_flight or self._output.queued or self._output.pieces):
            # Said here, as it may have to wait until nothing is in flight any more.
            self._guard.followed = True
        if not self.in_flight:
            # A session keeps its link while anything of it is in flight, or its replies could change places.
            self._link = self._shared.choose()
        elif self._link is not None and self._link.retired:
            # It ends with the replies that are in flight there; what follows goes to another.
            self._wait(data, 0)
            return
        link = self._link
        if self._output.queued > self._buffer or (link is not None and link.unsent > UNSENT_LIMIT and self._stalls()):
            self._wait(data, 0)
            return
        if self._window > self._relay.most_in_flight:
            self._window = self._relay.most_in_flight
        if self.largest_value * self._window > self._buffer:
            self._window = max(1, self._buffer // self.largest_value)
        parser = self.parser
        translate = self._translate
        counts = self._counts
        position = 0
        size = len(data)
        for _ in range(FRAMES_AT_ONCE):
            if position >= size and not parser.cutting:
                break
            outcome = parser.next(data, position, self._window - self.in_flight)
            if translate is not None and isinstance(outcome, Request):
                outcome = translate(outcome)
            if isinstance(outcome, Request):
                position = parser.end
                if outcome.private:
                    self._private = outcome
                    self._wait(data, position)
                    self._make_ready()
                    return
                if link is None or link.closed:
                    self._fail(outcome)
                else:
                    cost = outcome.cost
                    self.in_flight += cost
                    counts[outcome.count] += cost
                    link.submit(outcome)
            elif isinstance(outcome, Refusal):
                self._refuse(outcome)
                if outcome.close:
                    self._refused = True
                    self._finish(outcome.reason or "quit")
                    return
                position = parser.end
                if outcome.swallow:
                    if outcome.swallow > size - position:
                        self._input.to_swallow = outcome.swallow - (size - position)
                        self.stalled_since = self._relay.now
                        return
                    position += outcome.swallow
            elif outcome is Pending.INCOMPLETE:
                self.stalled_since = self._relay.now
                self._input.expect(data[position:], parser.needed - position, parser.until_newline)
                self._account()
                return
            else:
                self._log_in_again = isinstance(outcome, LogInAgain)
                self._wait(data, position)
                if self._log_in_again:
                    self._make_ready()
                return
            if self.closed:
                return
        else:
            # Others get their turn.
            self._wait(data, position)
            self._make_ready()
            return
        if self.held:
            self._account()

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.reason:
            self._observer.refused(self, refusal)
        if not refusal.reply:
            return
        link = self._link
        if self.in_flight and link is not None and not link.closed:
            self.in_flight += 1
            link.submit(Local(self, refusal.reply))
        else:
            self.deliver(refusal.reply)

    def _fail(self, request: Request) -> None:
        """There is no link for it."""
        answer = self._links.unavailable
        self._traffic.failed(answer, request.unanswered)
        request.fail(answer)

    def finished(self, request: Request) -> None:
        """A request has its answer, and `in_flight` was counted down."""
        if request is self._private:
            self._private = self._private_link = None
            self._private_opening = False
            if self._guard is not None and self._has_unread():
                self._guard.followed = True
        if self._paused or self._finishing:
            self._make_ready()

    def cut_short(self) -> None:
        """A reply broke off in its middle: anything that followed would be taken for the rest of it."""
        self.close("upstream ended within a reply")

    def goes_on_for_ever(self) -> None:
        """`watch` has begun: the session ends with its link, its client or the proxy, and not before."""
        self._discarding = True
        self._input.take()
        self._account()
        if self._draining or self._hung_up:
            self.close(STOPPED if self._draining else "closed by the client")
            return
        self._listen()
        if self._has_pending():
            self._discard()

    def resume(self) -> None:
        """Go on after a pause, as far as that is possible now."""
        self._ready = False
        if self.closed:
            return
        owing = self.in_flight or self._output.queued or self._output.pieces
        if self._private is not None:
            if not self.in_flight and not self._private_opening:
                self._open_private(self._private)
        elif self._finishing:
            if not owing:
                self._end()
        elif self._log_in_again:
            if not owing:
                self._hand_back()
        elif self._paused:
            if not self._output.queued:
                self._widen()
            self._paused = False
            self._process(self._input.take())
            if not self._paused and not self.closed:
                self._caught_up()

    def _caught_up(self) -> None:
        """All the input that was kept has been dealt with."""
        if self._draining:
            self._finish(STOPPED)
            return
        self._listen()
        if self._hung_up or self._has_pending():
            self.readable()

    def _widen(self) -> None:
        """Allow more in flight, as far as this client's values have shown themselves to be small.

        Whatever is in flight has to be kept if the client doesn't read it. So it is at most what fits the buffer at the
        largest value seen: a slow reader never fills memory, and never holds up a link that it shares.
        """
        window = min(self._window * 2, self._limits.pipeline, self._relay.most_in_flight)
        if self.largest_value:
            window = min(window, max(1, self._buffer // self.largest_value))
            # Large values of long ago count for less.
            self.largest_value -= self.largest_value >> 4
        self._window = window

    def _stalls(self) -> bool:
        """Whether the link has to send first; it resumes the session then."""
        link = self._link
        if link is None or link.closed:
            return False
        link.wake_when_sent(self)
        return True

    def _open_private(self, request: Request) -> None:
        self._private_opening = True
        self.in_flight += request.cost

        def ready(link: Link | None) -> None:
            self._relay.refresh()
            if link is None:
                self._fail(request)
                self.in_flight -= request.cost
                self.finished(request)
            elif self.closed:
                link.close(CLIENT_LEFT)
            else:
                self._link = self._private_link = link
                self._counts[request.count] += request.cost
                link.submit(request)
            self._relay.settle()

        self._links.open_private(ready)

    def _queue_changed(self, before: int) -> None:
        super()._queue_changed(before)
        if self._private_link is not None:
            # Nobody else waits for it, so it need not be read faster than the client reads.
            self._private_link.pause(self._output.queued > self._buffer)

    def _gone(self, events: int) -> None:
        super()._gone(events)
        if self._private_link is not None:
            # Nobody takes its reply any more: it must not wait for that, and memcached's crawler with it.
            self._private_link.close(CLIENT_LEFT)

    def _leave(self) -> None:
        super()._leave()
        link, self._private_link = self._private_link, None
        if link is not None:
            link.close(CLIENT_LEFT)

    def _hand_back(self) -> None:
        data = self._input.take()
        self._leave()
        self._observer.log_in_again(self, self._connection, data)

    def drain(self) -> None:
        """The proxy stops: answer what was received, then close. To be followed by the relay's `settle`."""
        self._draining = True
        if self._discarding:
            self.close(STOPPED)
        elif not self._paused:
            self._finish(STOPPED)

    def revoke(self, reason: str, patience: float) -> None:
        """The client may do nothing of this any more: of what it sent, nothing goes up that isn't in flight already.

        What is in flight is answered within `patience` seconds; then the session closes, and one with a link of its own
        at once. To be followed by the relay's `settle`.
        """
        self._relay.refresh()
        if self._discarding or self._private_opening or self._private_link is not None:
            self.close(reason)
            return
        self._draining = True
        # It waits for its turn, and doesn't get it.
        self._private = None
        self._log_in_again = False
        self.ends_at = self._relay.now + patience
        self._finish(reason)

    def change_limits(self, limits: SessionLimits) -> None:
        """From now on these hold."""
        self._limits = limits
        self._buffer = limits.buffer
        self._window = min(self._window, limits.pipeline)

    def _end(self) -> None:
        if not self._refused and not self._draining:
            self.close(self._finish_reason)
            return
        # Closing a socket with unread input resets the connection: the client would not see its last replies.
        self._leave()
        self._observer.linger(self, self._connection, self._finish_reason)

    def _closed(self, reason: str) -> None:
        self._observer.closed(self, reason)
