"""One downstream connection after its login: bytes in, vetted requests on a link, replies out, in order.

A session reads only while it can go on. It stops (`paused`) while it waits for replies because as many requests are in
flight as it may have, for its client to read, for a link that is busy sending, or for a link of its own; whatever it
waited for puts it on the relay's `ready` list, and `resume` goes on with the bytes that it kept.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mcproxy.relay.input import Input
from mcproxy.relay.link import UNSENT_LIMIT, Link
from mcproxy.relay.output import BLOCKED, Output
from mcproxy.relay.poller import Relay
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.requests import Local, Request

# One TLS record is 16 KiB at most, so a read of this size leaves nothing behind in the TLS layer.
RECEIVE_SIZE = 64 * 1024
# Frames of one session in one turn, so that nobody's pipeline holds up the others.
FRAMES_AT_ONCE = 256
# Answers in flight before anything is known of how large this client's values are.
FIRST_WINDOW = 32
UNAVAILABLE = b"upstream is unavailable"
READ = select.EPOLLIN
WRITE = select.EPOLLOUT


class Parser(Protocol):
    """wire.text.TextParser or wire.binary.BinaryParser."""

    end: int
    needed: int
    until_newline: bool

    @property
    def cutting(self) -> bool: ...

    def next(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending | LogInAgain: ...


class Links(Protocol):
    """Where a session gets its links from: relay.pool.Pool."""

    def choose(self) -> Link | None:
        """A shared link in service, or None."""

    def open_private(self, ready: Callable[[Link | None], None]) -> None:
        """Open a link for one session; `ready` is called with it, or with None if that failed."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """`pipeline` answers in flight; `buffer` bytes queued towards the client before no more is asked for.

    Seconds: `stall_timeout` for a client that takes nothing, or leaves a frame unfinished; `idle_timeout`, 0 for none.
    """

    pipeline: int = 1000
    buffer: int = 2 * 1024 * 1024
    stall_timeout: float = 30.0
    idle_timeout: float = 0.0


class Observer(Protocol):
    """What is told of a session's life."""

    def refused(self, session: "Session", refusal: Refusal) -> None: ...
    def log_in_again(self, session: "Session", connection: socket.socket, data: bytes) -> None: ...
    def closed(self, session: "Session", reason: str) -> None: ...
    def linger(self, session: "Session", connection: socket.socket, reason: str) -> None: ...


class Session:
    """One client. It is its own sink: the replies of its requests are delivered to it."""

    def __init__(
        self, relay: Relay, connection: socket.socket, links: Links, limits: SessionLimits, observer: Observer
    ) -> None:
        self.held = 0
        self.largest_value = 0
        self.closed = False
        self.parser: Parser
        self._relay = relay
        self._connection = connection
        self._descriptor = connection.fileno()
        self._links = links
        self._limits = limits
        self._observer = observer
        self._receive = connection.recv
        self._pending = connection.pending if isinstance(connection, ssl.SSLSocket) else None
        self._input = Input()
        self._output = Output(connection)
        self._link: Link | None = None
        self._in_flight = 0
        self._window = min(FIRST_WINDOW, limits.pipeline)
        self._paused = False
        # No more input is wanted; close once everything that is owed was delivered.
        self._finishing = False
        self._finish_reason = ""
        self._refused = False
        # A request that needs a link of its own; nothing else goes on until it is answered.
        self._private: Request | None = None
        self._private_opening = False
        self._log_in_again = False
        self._to_flush = False
        self._events = READ
        self._active = relay.now
        # Since when the client has taken nothing of what is queued for it, or left a frame unfinished.
        self._stalled_since = relay.now

    def start(self, parser: Parser, data: bytes) -> None:
        """Begin with what the client sent behind its login."""
        self.parser = parser
        self._relay.register(self._descriptor, self, READ)
        if data:
            self._process(data)
        if self._has_pending() and not self.closed:
            self._read_more()
        self._relay.settle()

    def on_events(self, events: int) -> None:
        """Read, write, or give up."""
        if events & (select.EPOLLERR | select.EPOLLHUP) and not (events & READ and self._events & READ):
            self.close("connection reset")
            return
        if self._output.queued:
            # A TLS write may have waited for something to read.
            self._drain()
        if events & READ and not self.closed:
            if self._paused or self._finishing:
                self._listen()
            else:
                self._readable()

    def _readable(self) -> None:
        try:
            data = self._receive(RECEIVE_SIZE)
        except BLOCKED:
            return
        except OSError:
            self.close("connection reset")
            return
        if not data:
            self._finish("closed by the client")
            return
        relay = self._relay
        relay.traffic.downstream_received += len(data)
        self._active = relay.now
        if self._input.empty:
            self._process(data)
        else:
            whole = self._input.add(data)
            self._account()
            if whole and not self.closed:
                self._process(self._input.take())
        if self._pending is not None and self._has_pending() and not self.closed:
            self._read_more()

    def _read_more(self) -> None:
        """Bytes that the TLS layer holds have no event of their own: read them in the next turn."""
        if not self._paused:
            self._paused = True
            self._relay.ready.append(self)

    def _process(self, data: bytes) -> None:
        """Take frames from `data` as long as that can go on, and keep the rest."""
        if self._output.queued > self._limits.buffer or self._link_is_stalled():
            self._wait(data, 0)
            return
        if self.largest_value * self._window > self._limits.buffer:
            self._window = max(1, self._limits.buffer // self.largest_value)
        parser = self.parser
        position = 0
        size = len(data)
        for _ in range(FRAMES_AT_ONCE):
            if position >= size and not parser.cutting:
                break
            outcome = parser.next(data, position, self._window - self._in_flight)
            if isinstance(outcome, Request):
                position = parser.end
                if outcome.private:
                    self._private = outcome
                    self._wait(data, position)
                    if not self._in_flight:
                        self._relay.ready.append(self)
                    return
                self._submit(outcome)
            elif isinstance(outcome, Refusal):
                self._refuse(outcome)
                if outcome.close:
                    self._refused = True
                    self._finish(outcome.reason or "quit")
                    return
                position = parser.end
                if outcome.swallow:
                    if outcome.swallow > size - position:
                        self._input.swallow(outcome.swallow - (size - position))
                        return
                    position += outcome.swallow
            elif outcome is Pending.INCOMPLETE:
                self._stalled_since = self._relay.now
                self._input.expect(data[position:], parser.needed - position, parser.until_newline)
                self._account()
                return
            else:
                self._log_in_again = isinstance(outcome, LogInAgain)
                self._wait(data, position)
                if self._log_in_again:
                    self._relay.ready.append(self)
                return
            if self.closed:
                return
        else:
            # Others get their turn.
            self._wait(data, position)
            self._relay.ready.append(self)
            return
        if self._input.size or self.held:
            self._account()

    def _link_is_stalled(self) -> bool:
        link = self._link
        if link is None or link.unsent < UNSENT_LIMIT or link.closed:
            return False
        link.wake_when_sent(self)
        return True

    def _submit(self, request: Request) -> None:
        if not self._in_flight:
            # A session keeps its link while anything of it is in flight, or its replies could change places.
            self._link = self._links.choose()
        link = self._link
        if link is None or link.closed:
            request.fail(UNAVAILABLE)
            return
        self._in_flight += request.cost
        link.submit(request)

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.reason:
            self._observer.refused(self, refusal)
        if not refusal.reply:
            return
        link = self._link
        if self._in_flight and link is not None and not link.closed:
            self._in_flight += 1
            link.submit(Local(self, refusal.reply))
        else:
            self.deliver(refusal.reply)

    def deliver(self, data: bytes) -> None:
        """Send at the end of the turn."""
        self._output.pieces.append(data)
        if not self._to_flush:
            self._to_flush = True
            self._relay.sessions_to_flush.append(self)

    def cut_short(self) -> None:
        """A value broke off in its middle: anything that followed would be taken for the rest of it."""
        self.close("upstream failed within a value")

    def finished(self, request: Request) -> None:
        """A request has its answer."""
        self._in_flight -= request.cost
        if request is self._private:
            self._private = None
            self._private_opening = False
        if self._paused or self._finishing:
            self._relay.ready.append(self)

    def flush(self) -> None:
        """Send what this turn's replies came to."""
        self._to_flush = False
        if self.closed:
            self._output.discard()
            return
        before = self._output.queued
        try:
            self._relay.traffic.downstream_sent += self._output.flush()
        except OSError:
            self.close("connection reset")
            return
        if self._output.queued or before:
            self._queue_changed(before)
        elif self._finishing or self._log_in_again:
            self._relay.ready.append(self)

    def _drain(self) -> None:
        before = self._output.queued
        try:
            sent = self._output.drain()
        except OSError:
            self.close("connection reset")
            return
        if sent:
            self._stalled_since = self._relay.now
            self._relay.traffic.downstream_sent += sent
        self._queue_changed(before)

    def _queue_changed(self, before: int) -> None:
        queued = self._output.queued
        if not before:
            self._stalled_since = self._relay.now
        self._account()
        if self.closed:
            return
        self._listen()
        if queued <= self._limits.buffer and (self._paused or (self._finishing and not queued)):
            self._relay.ready.append(self)

    def resume(self) -> None:
        """Go on after a pause, as far as that is possible now."""
        if self.closed:
            return
        owing = self._in_flight or self._output.queued or self._output.pieces
        if self._private is not None:
            if not self._in_flight and not self._private_opening:
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
                self._listen()
                if self._has_pending():
                    self._readable()

    def _widen(self) -> None:
        """Allow more in flight, as far as this client's values have shown themselves to be small.

        Whatever is in flight has to be kept if the client doesn't read it. So it is at most what fits the buffer at the
        largest value seen: a slow reader never fills memory, and never holds up a link that it shares.
        """
        window = min(self._window * 2, self._limits.pipeline)
        if self.largest_value:
            window = min(window, max(1, self._limits.buffer // self.largest_value))
            # Large values of long ago count for less.
            self.largest_value -= self.largest_value >> 4
        self._window = window

    def _open_private(self, request: Request) -> None:
        self._private_opening = True
        self._in_flight += request.cost

        def ready(link: Link | None) -> None:
            if link is None:
                request.fail(UNAVAILABLE)
                self.finished(request)
            else:
                self._link = link
                link.submit(request)
            self._relay.settle()

        self._links.open_private(ready)

    def _hand_back(self) -> None:
        data = self._input.take()
        self._leave()
        self._observer.log_in_again(self, self._connection, data)

    def _wait(self, data: bytes, position: int) -> None:
        """Keep the rest and take no more. Events are masked only once the client sends more: most pauses are short."""
        if position < len(data):
            self._input.keep(data[position:])
        self._paused = True
        self._account()

    def _finish(self, reason: str) -> None:
        """Take no more input; close when all that is owed was delivered."""
        if not self._finishing:
            self._finishing = True
            self._finish_reason = reason
            self._input.take()
            self._account()
            self._listen()
            self._relay.ready.append(self)

    def drain(self) -> None:
        """The proxy stops: answer what is in flight, then close. To be followed by the relay's `settle`."""
        self._finish("the proxy ends")

    def _listen(self) -> None:
        """Wait for what can be acted on. Input that nobody reads must not be waited for, or the relay would spin."""
        events = 0 if self._paused or self._finishing else READ
        if self._output.queued:
            events |= WRITE
        if events != self._events and not self.closed:
            self._events = events
            self._relay.modify(self._descriptor, events)

    def _has_pending(self) -> bool:
        return self._pending is not None and self._pending() > 0

    def _account(self) -> None:
        """Tell the relay how many bytes are kept; it may close whoever keeps most."""
        size = self._input.size + self._output.queued
        if size != self.held:
            self._relay.hold(self, size - self.held)

    def sweep(self, now: float) -> None:
        """End a client that takes nothing, leaves a frame unfinished, or has been idle for too long."""
        limits = self._limits
        if (self._output.queued or not (self._input.empty or self._paused)) and (
            now - max(self._stalled_since, self._active if not self._output.queued else 0.0) > limits.stall_timeout
        ):
            self.close("stalled")
        elif limits.idle_timeout and not self._in_flight and now - self._active > limits.idle_timeout:
            self.close("idle")

    def close(self, reason: str) -> None:
        """End the connection. Replies to what is still in flight are dropped when they come."""
        if self.closed:
            return
        self._leave()
        if isinstance(self._connection, ssl.SSLSocket):
            # Says goodbye; the client's own goodbye is not waited for.
            with contextlib.suppress(OSError, ValueError):
                self._connection.unwrap()
        self._connection.close()
        self._observer.closed(self, reason)

    def _end(self) -> None:
        if not self._refused:
            self.close(self._finish_reason)
            return
        # Closing a socket with unread input resets the connection, and the client would not see why it was refused.
        self._leave()
        self._observer.linger(self, self._connection, self._finish_reason)

    def _leave(self) -> None:
        self.closed = True
        self._relay.unregister(self._descriptor)
        self._output.discard()
        self._input.take()
        self._account()
