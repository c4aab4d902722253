"""A connection to memcached that many sessions share: one request, one reply, in order."""

import select
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from mcproxy.compiling import mypyc_attr
from mcproxy.relay.durations import Durations
from mcproxy.relay.link_ends import CLIENT_LEFT, CLOSED, DONE, LOST, RETIRED, TIMED_OUT, why
from mcproxy.relay.link_output import LinkOutput
from mcproxy.relay.poller import READ, Relay
from mcproxy.relay.secured import NO_DATA, TLS_UNSENT, Connection
from mcproxy.wire.gathered import Gathering
from mcproxy.wire.requests import LoginWanted, OutOfStep, Request

# More would make every receive map, shrink and unmap a bytes object: three system calls.
RECEIVE_SIZE: Final = 64 * 1024
# A whole answer may take so many times as long as its next byte, and a second more for so many bytes of it: what
# trickles in would hold up all who wait behind it, while a large value over a slow line is worth waiting for.
WHOLE_ANSWER: Final = 10
BYTES_IN_A_SECOND: Final = 64 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class Link(LinkOutput):
    """One upstream connection in service. `on_lost` is told the reason when it ends; `timeout` in seconds.

    The requests in flight stand in `waiting`, the oldest first. Any byte that the oldest cannot have as its reply, and
    any byte while nothing is in flight, ends the link: nothing doubtful is delivered (R3). Over TLS, so does a record
    that is not authentic, and nothing is delivered of what came in the same receive.

    `gathering`: gets of several clients go up in one line while that says so. None where upstream may be an mcproxy,
    which answers a line that it denies as a whole: one client's denial would be another's. `durations` as LinkOutput
    has it.
    """

    def __init__(
        self,
        relay: Relay,
        connection: Connection,
        timeout: float,
        on_lost: Callable[[str], None],
        gathering: Gathering | None = None,
        durations: Durations | None = None,
    ) -> None:
        super().__init__(relay, connection, gathering, durations)
        self.held = 0
        self.stalled_since = relay.now
        # Ends once nothing is in flight any more.
        self.single_use = False
        # Takes no more requests; see `retire`.
        self.retired = False
        self._timeout = timeout
        self._on_lost = on_lost
        self._partial = b""
        # The oldest request when it was last looked for, since when, and the bytes that came since.
        self._oldest: Request | None = None
        self._oldest_since = 0.0
        self._received = 0
        relay.register(self._descriptor, self, READ)
        if self._secured is not None and self._secured.pending:
            # What came with the end of the handshake has no event of its own.
            relay.ready.append(self)
            relay.settle()

    def on_events(self, events: int) -> None:
        """Read, or write what could not be written."""
        if events & select.EPOLLIN:
            self.readable()
        elif events & (select.EPOLLERR | select.EPOLLHUP):
            self._lost(CLOSED)
        if events & select.EPOLLOUT and not self.closed:
            self._blocked = False
            self._listen()
            self.flush()

    def readable(self) -> None:
        """Read replies, and give each to the request that it answers."""
        relay = self._relay
        secured = self._secured
        try:
            data = self._socket.recv(RECEIVE_SIZE) if secured is None else secured.receive(RECEIVE_SIZE)
        except BlockingIOError:
            if secured is not None and secured.unsent:
                self._flush_later()
            return
        except ssl.SSLError as error:
            self.close(why(error))
            return
        except OSError as error:
            self._lost(why(error))
            return
        if not data:
            self._lost(CLOSED)
            return
        size = len(data)
        relay.traffic.upstream_received += size
        self._received += size
        self._progress = relay.now
        if self._partial:
            data = self._partial + data
            size = len(data)
        position = 0
        waiting = self.waiting
        answerable = self._answerable
        timed = self._timed
        try:
            while waiting:
                request = waiting[0]
                if not request.local and (position == size or answerable <= 0):
                    break
                position = request.take(data, position)
                if not request.done:
                    break
                waiting.popleft()
                answerable -= 1
                if request.lookups:
                    tally = request.sink.tally
                    tally.hits += request.hits
                    tally.misses += request.lookups - request.hits
                if request is timed:
                    self._note_duration()
                request.finish()
                if self.closed:
                    return
            if position < size and answerable <= 0:
                raise OutOfStep("bytes that answer no request")
        except OutOfStep as error:
            self.close(str(error) if isinstance(error, LoginWanted) else f"out of step: {error}")
            return
        self._answerable = answerable
        self._partial = data[position:]
        if self.single_use and not waiting:
            self.close(RETIRED if self.retired else DONE)
        elif secured is not None:
            if secured.ended:
                self._lost(CLOSED)
            elif secured.unsent:
                self._flush_later()

    def resume(self) -> None:
        """Read what the TLS layer held from the beginning."""
        if not self.closed:
            self.readable()

    def sweep(self, now: float) -> None:
        """Drop the link if the oldest request has waited too long."""
        self._look_at_the_oldest(now)
        if self._is_late(now):
            # Its reply may have come long ago, if it was this process that stood still.
            self.readable()
        if self._is_late(now):
            self._end("upstream timed out", TIMED_OUT)
        elif self._secured is not None and self._secured.unsent > TLS_UNSENT:
            # It reads nothing, and has its keys updated all the while.
            self.close(f"upstream {NO_DATA}")

    def _is_late(self, now: float) -> bool:
        waiting = self.waiting
        if not waiting or self._paused or waiting[0].endless:
            return False
        if now - self._progress > self._timeout:
            return True
        allowed = WHOLE_ANSWER * self._timeout + self._received / BYTES_IN_A_SECOND
        return waiting[0] is self._oldest and now - self._oldest_since > allowed

    def _look_at_the_oldest(self, now: float) -> None:
        """From sweep to sweep, since that costs no request anything."""
        oldest = self.waiting[0] if self.waiting and not self._paused else None
        if oldest is not self._oldest:
            self._oldest = oldest
            self._oldest_since = now
            self._received = 0

    def retire(self) -> None:
        """Take no more requests, and end once those in flight are answered: at once, if there are none.

        To be taken out of service first. A session that has requests in flight here waits for their answers and goes on
        with another link, so what a retired link still has to do is bounded by what it had when it was retired.
        """
        self.retired = self.single_use = True
        if not self.waiting:
            self.close(RETIRED)

    def pause(self, paused: bool) -> None:
        """Read no more, or go on. Only for a link of one session's own: nobody else may have to wait for its client."""
        if paused != self._paused and not self.closed:
            self._paused = paused
            self._progress = self._relay.now
            self._listen()

    def _lost(self, reason: str) -> None:
        """Upstream has closed the link: what the oldest request may have been waiting for."""
        if self.waiting:
            self.waiting[0].upstream_closed()
        self.close(reason)

    def close(self, reason: str) -> None:
        """Drop the link: the requests in flight are answered with SERVER_ERROR, and never sent again."""
        self._end(reason, LOST)

    def _end(self, reason: str, answer: bytes) -> None:
        if self.closed:
            return
        self.closed = True
        self._relay.unregister(self._descriptor)
        if self._secured is not None and not self._rest:
            # Not behind a record of which only a part was sent.
            self._secured.goodbye()
        self._socket.close()
        self._outgoing.clear()
        self._oldest = self._timed = None
        waiting, self.waiting = self.waiting, deque()
        if reason != CLIENT_LEFT:
            self._relay.traffic.failed(answer, sum([request.unanswered for request in waiting]))
        for request in waiting:
            request.fail(answer)
            request.finish()
        self._relay.ready.extend(self._stalled)
        self._on_lost(reason)
