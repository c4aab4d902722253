"""The one task that moves bytes.

A connection is registered once in the relay's own epoll, and trio only waits for that epoll's descriptor: neither a
task nor an epoll_ctl is needed for each request. A turn handles what is ready, sends what it gave rise to, and waits
for up to a millisecond more before it gives the turn back to trio, which for few connections saves most of trio's own
work. It doesn't wait while somebody else (a handshake, a login, the admin port) needs the turn.
"""

import contextlib
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import trio

from mcproxy.compiling import mypyc_attr, trait
from mcproxy.relay.traffic import Traffic

# Seconds until the turn goes back to trio, however much there is to do; and while others (a login, say) need it. Trio
# takes about 50 us to come round, in which all clients wait. Whoever can't wait for the end of a long turn says so.
TURN: Final = 0.01
SHORT_TURN: Final = 0.0005
# Seconds to wait for more, after activity.
LINGER: Final = 0.001
# Seconds between two looks for what has timed out.
SWEEP_INTERVAL: Final = 0.25
_EVENTS_AT_ONCE: Final = 512
# Seconds within which it takes another turn if it isn't stuck: many times the longest one.
_TURNS_WITHIN: Final = 5.0
READ: Final = select.EPOLLIN
# Why everything is closed at last.
STOPPED: Final = "the proxy ends"
# Why somebody is closed when all together keep more than total_buffer.
OVER_BUDGET: Final = "total_buffer exceeded"


@trait
@mypyc_attr(allow_interpreted_subclasses=True)
class Handler:
    """A descriptor in the epoll.

    It keeps `held` bytes in memory, and last got on with them at `stalled_since`, in seconds of the monotonic clock.
    """

    held: int
    stalled_since: float

    def readable(self) -> None:
        """There is something to read, and nothing else."""
        raise NotImplementedError

    def on_events(self, events: int) -> None:
        """Act on any other event mask of epoll's."""
        raise NotImplementedError

    def flush(self) -> None:
        """Send, at the end of the turn, what it asked to be sent by standing on one of the relay's lists."""
        raise NotImplementedError

    def resume(self) -> None:
        """Go on without an event, having stood on the relay's `ready` list."""
        raise NotImplementedError

    def sweep(self, now: float) -> None:
        """End what has timed out at `now`, in seconds of the monotonic clock."""
        raise NotImplementedError

    def close(self, reason: str) -> None:
        """Give the descriptor up."""
        raise NotImplementedError


class Relay:
    """The epoll, the descriptors in it, and the lists of one turn.

    `total_buffer` bounds the bytes that all handlers keep; the one that keeps most for longest is closed when
    it is exceeded.
    `largest_value` is what one answer may come to, in bytes.
    `on_error` is told of a handler that raised: a bug, which costs that connection and no other.
    """

    def __init__(
        self, total_buffer: int, on_error: Callable[[BaseException], None], largest_value: int = 1024 * 1024
    ) -> None:
        self.now = time.monotonic()
        self.traffic = Traffic()
        self.handlers: dict[int, Handler] = {}
        # To be sent at the end of the turn: requests first, so that upstream works while replies are written.
        self.links_to_flush: list[Handler] = []
        self.sessions_to_flush: list[Handler] = []
        self.ready: deque[Handler] = deque()
        self.held = 0
        self._total_buffer = total_buffer
        self._largest_value = largest_value
        # Answers that one session may have in flight: if all are of the largest size, they take half of what is left.
        self.most_in_flight = max(1, total_buffer // 2 // largest_value)
        self._on_error = on_error
        self._epoll = select.epoll()
        self._busy = 0
        self._giving_way = False
        self._turned = trio.Event()
        self._listening: set[int] = set()
        self._muted: set[int] = set()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)

    def register(self, descriptor: int, handler: Handler, events: int) -> None:
        """Take a descriptor in."""
        self._epoll.register(descriptor, events)
        self.handlers[descriptor] = handler

    def modify(self, descriptor: int, events: int) -> None:
        """Change what a descriptor waits for. Hang-ups and errors are always reported."""
        self._epoll.modify(descriptor, events)

    def unregister(self, descriptor: int) -> None:
        """Give a descriptor up, before it is closed."""
        if self.handlers.pop(descriptor, None) is not None:
            if descriptor in self._muted:
                self._muted.remove(descriptor)
            else:
                self._epoll.unregister(descriptor)

    def mute(self, descriptor: int) -> None:
        """No more events for a descriptor, hang-ups neither; it is still swept."""
        self._epoll.unregister(descriptor)
        self._muted.add(descriptor)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """While this is entered, the relay doesn't wait in its own poll: somebody else needs the turn."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    def give_way(self) -> None:
        """End this turn soon, and the next: something was left for a task of trio's."""
        self._giving_way = True

    @contextlib.contextmanager
    def giving_way_to(self, listening: socket.socket) -> Iterator[None]:
        """While this is entered, a connection that comes in on a listening socket ends the turn, to be accepted."""
        descriptor = listening.fileno()
        # Only for new ones: somebody who may not be accepted yet must not end every turn.
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)
        self._listening.add(descriptor)
        try:
            yield
        finally:
            self._listening.remove(descriptor)
            if not self._epoll.closed:
                self._epoll.unregister(descriptor)

    def hold(self, handler: Handler, size: int) -> None:
        """Account for `size` more bytes (or fewer, if negative) that a handler keeps."""
        handler.held += size
        self.held += size
        self.most_in_flight = max(1, (self._total_buffer - self.held) // 2 // self._largest_value)
        if self.held > self._total_buffer and size > 0:
            worst = max(self.handlers.values(), key=self._weight, default=handler)
            worst.close(OVER_BUDGET)

    async def turns(self) -> bool:
        """Whether it takes a turn when there is something to do, and soon: the proof that it isn't stuck."""
        if self._epoll.closed:
            return False
        turned = self._turned = trio.Event()
        os.eventfd_write(self._wake, 1)
        with trio.move_on_after(_TURNS_WITHIN):
            await turned.wait()
        return turned.is_set()

    def refresh(self) -> None:
        """To be called before acting outside of a turn: `now` may be as old as the last sweep."""
        self.now = time.monotonic()

    def settle(self) -> None:
        """To be called after acting outside of a turn: send what came of it, and see that the rest is gone on with."""
        self.flush()
        if self.ready:
            os.eventfd_write(self._wake, 1)

    def _weight(self, handler: Handler) -> float:
        """How much a handler is to blame for memory running out: what it keeps, by how long it has kept it.

        By size alone, many who keep a little for long would push out whoever sends something large just now.
        """
        return handler.held * (1.0 + self.now - handler.stalled_since)

    async def run(self) -> None:
        """Move bytes until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._sweep_forever)
                while True:
                    if self.ready:
                        await trio.lowlevel.checkpoint()
                    else:
                        await trio.lowlevel.wait_readable(self._epoll.fileno())
                    self.turn()
        finally:
            for handler in list(self.handlers.values()):
                handler.close(STOPPED)
            self._epoll.close()
            os.close(self._wake)

    def turn(self, longest: float = TURN) -> None:
        """Handle what is ready, for about `longest` seconds at most."""
        handlers = self.handlers
        ready = self.ready
        self._turned.set()
        # What was left for a task before this turn has that task run behind it.
        hurried = self._busy > 0 or self._giving_way
        self._giving_way = False
        self.now = time.monotonic()
        deadline = self.now + (min(SHORT_TURN, longest) if hurried else longest)
        wait = 0.0
        while True:
            events = self._epoll.poll(wait, _EVENTS_AT_ONCE)
            # Only behind a wait is it another time than before.
            since = time.monotonic() if wait else self.now
            if not events and not ready:
                return
            for descriptor, mask in events:
                handler = handlers.get(descriptor)
                if handler is not None:
                    try:
                        if mask == READ:
                            handler.readable()
                        else:
                            handler.on_events(mask)
                    except Exception as error:
                        self._broken(handler, error)
                elif descriptor == self._wake:
                    os.eventfd_read(self._wake)
                elif descriptor in self._listening:
                    self._giving_way = True
            if ready:
                self._resume()
            self.flush()
            self.now = time.monotonic()
            self.traffic.busy_seconds += self.now - since
            if self.now >= deadline or self._giving_way:
                return
            wait = 0.0 if ready or self._busy else LINGER

    def flush(self) -> None:
        """Send what the turn gave rise to."""
        if self.links_to_flush:
            links, self.links_to_flush = self.links_to_flush, []
            for link in links:
                try:
                    link.flush()
                except Exception as error:
                    self._broken(link, error)
        if self.sessions_to_flush:
            sessions, self.sessions_to_flush = self.sessions_to_flush, []
            for session in sessions:
                try:
                    session.flush()
                except Exception as error:
                    self._broken(session, error)

    def sweep(self, now: float) -> None:
        """End what has timed out."""
        self.now = now
        for handler in list(self.handlers.values()):
            try:
                handler.sweep(now)
            except Exception as error:
                self._broken(handler, error)
        self.settle()

    async def _sweep_forever(self) -> None:
        while True:
            await trio.sleep(SWEEP_INTERVAL)
            self.sweep(time.monotonic())

    def _resume(self) -> None:
        # Only those that are here now: who makes himself ready again waits for the next round.
        for _ in range(len(self.ready)):
            session = self.ready.popleft()
            try:
                session.resume()
            except Exception as error:
                self._broken(session, error)

    def report(self, error: BaseException) -> None:
        """Tell of a bug that cost a connection."""
        self._on_error(error)

    def _broken(self, handler: Handler, error: Exception) -> None:
        self.report(error)
        handler.close("internal error")
