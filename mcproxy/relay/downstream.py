"""A client's side of a session: its socket, what came in and isn't taken yet, what goes out and isn't sent yet."""

import fcntl
import math
import select
import socket
import sys
import termios
from typing import Final

from mcproxy.relay.input import Input
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.output import Output
from mcproxy.relay.poller import READ, Handler, Relay
from mcproxy.relay.secured import NO_DATA, RECEIVE_SIZE, TLS_UNSENT, Connection, Secured, socket_of
from mcproxy.wire.requests import Sink
from mcproxy.wire.tally import Tally

# A frame that comes in, however steadily, has to be whole after so many stall_timeouts; and so long after its socket
# was last writable, a client that reads has to have read enough for it to be so again.
FRAME_STALLS: Final = 10
WRITE: Final = select.EPOLLOUT
GONE: Final = select.EPOLLERR | select.EPOLLHUP


class Downstream(Sink, Handler):
    """Reads only while the session can go on (`_paused` says that it can't), and bounds what it keeps."""

    def __init__(self, relay: Relay, connection: Connection, limits: SessionLimits, tally: Tally) -> None:
        super().__init__(tally)
        self.held = 0
        # Since when the client has taken nothing of what is queued for it, or left a frame unfinished.
        self.stalled_since = relay.now
        self.closed = False
        self._relay = relay
        self._traffic = relay.traffic
        self._connection = connection
        self._socket = socket_of(connection)
        self._descriptor = self._socket.fileno()
        self._limits = limits
        self._secured = connection if isinstance(connection, Secured) else None
        self._recv = self._socket.recv
        self._input = Input()
        self._output = Output(connection)
        self._to_flush = False
        # Bytes that the kernel still had to deliver when that was last asked.
        self._undelivered = 0
        # When that had last become less. Not stalled_since: that says who is to blame for memory running out.
        self._took = 0.0
        self._events = READ
        self._paused = False
        # Is on the relay's list of those that can go on.
        self._ready = False
        # No more input is wanted; the session closes once everything that it is owed was delivered.
        self._finishing = False
        self._finish_reason = ""
        # What the client sends is thrown away; it is read so that its leaving is noticed.
        self._discarding = False
        # The client has closed both ways. What it sent before is still taken, as memcached would.
        self._hung_up = False
        self._active = relay.now
        # When it is closed whatever is still to be delivered, in seconds of the monotonic clock.
        self.ends_at = math.inf

    def _process(self, data: bytes) -> None:
        """Take frames from `data`, and keep the rest."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on after a pause, as far as that is possible now."""
        raise NotImplementedError

    def _make_ready(self) -> None:
        """Have `resume` called in this turn or the next."""
        if not self._ready:
            self._ready = True
            self._relay.ready.append(self)

    def on_events(self, events: int) -> None:
        """Read, write, or give up."""
        if events & GONE and not (events & READ and self._events & READ):
            self._gone(events)
            return
        if events & WRITE:
            self._drain()
        if events & READ and not self.closed:
            self.readable()

    def _gone(self, events: int) -> None:
        if events & select.EPOLLERR or not self._paused or self._finishing or self._discarding:
            self.close("connection reset")
        else:
            # Hang-ups can't be masked: without its descriptor the session goes on by itself, not by events.
            self._hung_up = True
            self._relay.mute(self._descriptor)
            self._output.discard()
            self._account()
            self._make_ready()

    def readable(self) -> None:
        """Read what the client sent, if the session can go on."""
        if self._paused or self._finishing:
            if self._discarding:
                self._discard()
            else:
                self._listen()
            return
        secured = self._secured
        try:
            data = self._recv(RECEIVE_SIZE) if secured is None else secured.receive(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(NO_DATA if getattr(error, "reason", None) == NO_DATA else "connection reset")
            return
        if not data:
            self._finish("closed by the client")
            return
        self._traffic.downstream_received += len(data)
        self._active = self._relay.now
        stored = self._input
        if not stored.kept and not stored.to_swallow:
            self._process(data)
        else:
            whole = stored.add(data)
            self._account()
            if whole and not self.closed:
                self._process(stored.take())
        if (self._hung_up or (self._secured is not None and self._secured.ended)) and not self.closed:
            self._read_more()

    def _discard(self) -> None:
        """Read, and look at nothing but whether it is the end."""
        secured = self._secured
        try:
            data = self._recv(RECEIVE_SIZE) if secured is None else secured.receive(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close("connection reset")
            return
        self._traffic.downstream_received += len(data)
        if not data or (self._secured is not None and self._secured.ended):
            self.close("closed by the client")

    def _read_more(self) -> None:
        """Go on reading in the next turn what has no event: what the TLS layer holds, or what came before a hang-up."""
        if not self._paused:
            self._paused = True
            self._make_ready()

    def _has_pending(self) -> bool:
        return self._secured is not None and self._secured.pending

    def _has_unread(self) -> bool:
        """Whether the client has sent something that was not read yet."""
        try:
            return self._has_pending() or bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def deliver(self, data: bytes) -> None:
        """Send at the end of the turn."""
        self._output.pieces.append(data)
        if not self._to_flush:
            self._to_flush = True
            self._relay.sessions_to_flush.append(self)

    def flush(self) -> None:
        """Send what this turn's replies came to."""
        self._to_flush = False
        if self.closed:
            self._output.discard()
            return
        output = self._output
        before = output.queued
        try:
            self._traffic.downstream_sent += output.flush()
        except OSError:
            self.close("connection reset")
            return
        if output.queued or before:
            self._queue_changed(before)
        elif self._finishing or self._paused:
            self._make_ready()

    def _drain(self) -> None:
        before = self._output.queued
        try:
            sent = self._output.drain()
        except OSError:
            self.close("connection reset")
            return
        if sent:
            self.stalled_since = self._active = self._relay.now
        self._queue_changed(before)

    def _queue_changed(self, before: int) -> None:
        queued = self._output.queued
        if not before:
            self.stalled_since = self._relay.now
        self._account()
        if self.closed:
            return
        self._listen()
        if queued <= self._limits.buffer and (self._paused or (self._finishing and not queued)):
            self._make_ready()

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
            self._make_ready()

    def _listen(self) -> None:
        """Wait for what can be acted on. Input that nobody reads must not be waited for, or the relay would spin."""
        events = 0 if (self._paused or self._finishing) and not self._discarding else READ
        if self._output.queued:
            events |= WRITE
        if events != self._events and not self.closed and not self._hung_up:
            self._events = events
            self._relay.modify(self._descriptor, events)

    def _account(self) -> None:
        """Tell the relay how many bytes are kept; it may close whoever keeps most."""
        size = len(self._input.kept) + self._output.queued
        if size != self.held:
            self._relay.hold(self, size - self.held)

    def sweep(self, now: float) -> None:
        """End a client that takes nothing, leaves a frame unfinished, or has been idle for too long."""
        limits = self._limits
        if self._secured is not None and self._secured.unsent > TLS_UNSENT:
            self.close(NO_DATA)
            return
        stalled = now - self.stalled_since
        if now >= self.ends_at:
            self.close(self._finish_reason)
        elif self._output.queued:
            if self._takes_some():
                self._took = now
            slow = now - max(self.stalled_since, self._took)
            # Not for ever: who takes a few bytes now and then would keep a buffer full with next to no effort.
            if slow > limits.stall_timeout or stalled > FRAME_STALLS * limits.stall_timeout:
                self.close("takes no replies")
        elif (self._input.kept or self._input.to_swallow) and not self._paused:
            if now - self._active > limits.stall_timeout or stalled > FRAME_STALLS * limits.stall_timeout:
                self.close("leaves a request unfinished")
        elif limits.idle_timeout and now - self._active > limits.idle_timeout and not self.in_flight:
            self.close("idle")

    def _takes_some(self) -> bool:
        """Whether the kernel has less to deliver than when this was last asked.

        A slow reader's socket is writable again only once a large part of what the kernel holds for it is gone.
        """
        left = int.from_bytes(fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        before, self._undelivered = self._undelivered, left
        return left < before

    def close(self, reason: str) -> None:
        """End the connection. Replies to what is still in flight are dropped when they come."""
        if self.closed:
            return
        whole = not self._output.queued
        self._leave()
        if self._secured is not None and whole:
            # Not behind a record of which only a part was sent.
            self._secured.goodbye()
        self._socket.close()
        self._closed(reason)

    def _closed(self, reason: str) -> None:
        """The connection is closed."""
        raise NotImplementedError

    def _leave(self) -> None:
        """Give the connection up without closing it."""
        self.closed = True
        self._relay.unregister(self._descriptor)
        self._output.discard()
        self._input.take()
        self._account()
