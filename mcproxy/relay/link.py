"""A connection to memcached that many sessions share: one request, one reply, in order."""

import select
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final

from mcproxy.compiling import mypyc_attr
from mcproxy.relay.poller import READ, Handler, Relay
from mcproxy.relay.secured import NO_DATA, TLS_UNSENT, Connection, Secured, socket_of
from mcproxy.wire.gathered import Gathered
from mcproxy.wire.requests import LoginWanted, OutOfStep, Request
from mcproxy.wire.retrieval import Get

# More would make every receive map, shrink and unmap a bytes object: three system calls.
RECEIVE_SIZE: Final = 64 * 1024
# A link with more unsent bytes takes no more requests.
UNSENT_LIMIT: Final = 2 * 1024 * 1024
# A link with more requests in flight is passed over for another, where there is one.
LONG_QUEUE: Final = 128
# Gets of a client that has seen larger values go up alone: memcached pins all items of a line while it sends them.
GATHERED_VALUE: Final = 16 * 1024
LOST: Final = b"upstream connection lost"
TIMED_OUT: Final = b"upstream timed out"
CLOSED: Final = "upstream closed the connection"


@mypyc_attr(allow_interpreted_subclasses=True)
class Link(Handler):
    """One upstream connection in service. `on_lost` is told the reason when it ends; `timeout` in seconds.

    The requests in flight stand in `waiting`, the oldest first. Any byte that the oldest cannot have as its reply, and
    any byte while nothing is in flight, ends the link: nothing doubtful is delivered (R3). Over TLS, so does a record
    that is not authentic, and nothing is delivered of what came in the same receive.

    `gathers`: gets of several clients may go up in one line. Not where upstream may be an mcproxy, which answers a line
    that it denies as a whole: one client's denial would be another's.
    """

    def __init__(
        self,
        relay: Relay,
        connection: Connection,
        timeout: float,
        on_lost: Callable[[str], None],
        gathers: bool = True,
    ) -> None:
        self.held = 0
        self.stalled_since = relay.now
        self.waiting: deque[Request] = deque()
        self.unsent = 0
        # How many of `waiting` upstream can have seen: what comes before a request was sent is not its reply.
        self._answerable = 0
        self.closed = False
        # Ends once nothing is in flight any more.
        self.single_use = False
        # Takes no more requests; see `retire`.
        self.retired = False
        self._relay = relay
        self._counts = relay.traffic.requests
        self._socket = socket_of(connection)
        self._secured = connection if isinstance(connection, Secured) else None
        self._descriptor = self._socket.fileno()
        self._gathers = gathers
        self._timeout = timeout
        self._on_lost = on_lost
        self._outgoing: list[Request] = []
        # The last of them, if more gets may still join it.
        self._group: Gathered | None = None
        # What the socket did not take, as it goes over the wire.
        self._rest = b""
        self._to_flush = False
        self._blocked = False
        # Is not read, because the client whose link this is doesn't read.
        self._paused = False
        self._partial = b""
        # When a reply last came, or the first request began to wait.
        self._progress = 0.0
        # Sessions that wait until there is less unsent.
        self._stalled: list[Handler] = []
        relay.register(self._descriptor, self, READ)
        if self._secured is not None and self._secured.pending:
            # What came with the end of the handshake has no event of its own.
            relay.ready.append(self)
            relay.settle()

    def submit(self, request: Request) -> None:
        """Send a request at the end of the turn."""
        group = None
        size = len(request.upstream)
        if self._gathers and isinstance(request, Get) and request.sink.largest_value <= GATHERED_VALUE:
            group = self._group
            if group is not None and group.add(request):
                self.unsent += size
                self._counts[request.count] += request.cost
                return
            group = Gathered(request.sink, request.count)
            if group.add(request):
                request = group
            else:
                group = None
        self._group = group
        self.waiting.append(request)
        if request.local:
            return
        if len(self.waiting) == 1:
            self._progress = self._relay.now
        self._outgoing.append(request)
        self.unsent += size
        self._counts[request.count] += request.cost
        if not self._to_flush:
            self._to_flush = True
            self._relay.links_to_flush.append(self)

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

    def flush(self) -> None:
        """Send what was submitted, in one call."""
        self._to_flush = False
        secured = self._secured
        if (
            self.closed
            or self._blocked
            or not (self._outgoing or self._rest or (secured is not None and secured.unsent))
        ):
            return
        self._group = None
        pieces = [request.to_send() for request in self._outgoing]
        self._outgoing.clear()
        try:
            if secured is not None:
                # Counted as in the other direction: without what TLS adds.
                self._relay.traffic.upstream_sent += sum([len(piece) for piece in pieces])
                pieces = [secured.encrypt_each(pieces)]
            if self._rest:
                pieces.insert(0, self._rest)
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(_why(error))
            return
        if secured is None:
            self._relay.traffic.upstream_sent += sent
        self.unsent = len(data) - sent
        self._answerable = len(self.waiting)
        if self.unsent:
            self._rest = data[sent:]
            self._blocked = True
            self._listen()
        elif self._rest:
            self._rest = b""
        if self._stalled and self.unsent < UNSENT_LIMIT:
            self._relay.ready.extend(self._stalled)
            self._stalled = []

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
            self.close(_why(error))
            return
        except OSError as error:
            self._lost(_why(error))
            return
        if not data:
            self._lost(CLOSED)
            return
        traffic = relay.traffic
        traffic.upstream_received += len(data)
        self._progress = relay.now
        if self._partial:
            data = self._partial + data
        position = 0
        size = len(data)
        waiting = self.waiting
        answerable = self._answerable
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
                    traffic.lookups += request.lookups
                    traffic.hits += request.hits
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
            self.close("retired" if self.retired else "done")
        elif secured is not None:
            if secured.ended:
                self._lost(CLOSED)
            elif secured.unsent:
                self._flush_later()

    def _flush_later(self) -> None:
        """Have `flush` called at the end of the turn."""
        if not self._to_flush:
            self._to_flush = True
            self._relay.links_to_flush.append(self)

    def resume(self) -> None:
        """Read what the TLS layer held from the beginning."""
        if not self.closed:
            self.readable()

    def sweep(self, now: float) -> None:
        """Drop the link if the oldest request has waited too long."""
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
        return bool(waiting) and now - self._progress > self._timeout and not self._paused and not waiting[0].endless

    def retire(self) -> None:
        """Take no more requests, and end once those in flight are answered: at once, if there are none.

        To be taken out of service first. A session that has requests in flight here waits for their answers and goes on
        with another link, so what a retired link still has to do is bounded by what it had when it was retired.
        """
        self.retired = self.single_use = True
        if not self.waiting:
            self.close("retired")

    def pause(self, paused: bool) -> None:
        """Read no more, or go on. Only for a link of one session's own: nobody else may have to wait for its client."""
        if paused != self._paused and not self.closed:
            self._paused = paused
            self._progress = self._relay.now
            self._listen()

    def _listen(self) -> None:
        events = 0 if self._paused else READ
        self._relay.modify(self._descriptor, events | select.EPOLLOUT if self._blocked else events)

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
        waiting, self.waiting = self.waiting, deque()
        for request in waiting:
            request.fail(answer)
            request.finish()
        self._relay.ready.extend(self._stalled)
        self._on_lost(reason)

    def wake_when_sent(self, session: Handler) -> None:
        """Resume a session once there is less unsent."""
        self._stalled.append(session)


class SharedLinks:
    """The links of one pool that are in service."""

    def __init__(self) -> None:
        self.links: list[Link] = []

    def choose(self) -> Link | None:
        """One of them, or None. The first one, so that much goes up in one send, unless it has a long queue."""
        links = self.links
        if not links:
            return None
        first = links[0]
        if len(first.waiting) < LONG_QUEUE or len(links) == 1:
            return first
        return min(links, key=lambda link: len(link.waiting))


class BinaryLink(Link):
    """A link that speaks the binary protocol: it numbers its packets, so that each reply says which one it answers."""

    def __init__(
        self,
        relay: Relay,
        connection: Connection,
        timeout: float,
        on_lost: Callable[[str], None],
        gathers: bool = True,
    ) -> None:
        super().__init__(relay, connection, timeout, on_lost, gathers)
        self._opaque = 1

    def submit(self, request: Request) -> None:
        """Send a request at the end of the turn, under the link's own opaque."""
        if not request.local:
            request.upstream = request.packet(self._opaque)
            self._opaque = (self._opaque + request.packets()) & 0xFFFFFFFF
        super().submit(request)


def _why(error: OSError) -> str:
    """Why a link was lost, in a few words."""
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "broken"
        return f"upstream {reason}" if reason == NO_DATA else f"upstream's TLS: {reason.replace('_', ' ').lower()}"
    return f"upstream: {error.strerror}"
