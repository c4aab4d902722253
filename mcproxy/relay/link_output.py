"""The way up of a link: what is submitted within a turn is sent in one call at its end."""

import select
import time
from collections import deque
from typing import Final

from mcproxy.compiling import mypyc_attr
from mcproxy.relay.durations import SAMPLE_INTERVAL, Durations
from mcproxy.relay.link_ends import why
from mcproxy.relay.poller import READ, Handler, Relay
from mcproxy.relay.secured import Connection, Secured, socket_of
from mcproxy.wire.gathered import Gathered, Gathering
from mcproxy.wire.requests import Request
from mcproxy.wire.retrieval import Get

# A link with more unsent bytes takes no more requests.
UNSENT_LIMIT: Final = 2 * 1024 * 1024
# Gets of a client that has seen larger values go up alone: memcached pins all items of a line while it sends them.
GATHERED_VALUE: Final = 16 * 1024


@mypyc_attr(allow_interpreted_subclasses=True)
class LinkOutput(Handler):
    """Keeps what the socket does not take; `unsent` is how many bytes. link.py has what comes back.

    The requests in flight stand in `waiting`, the oldest first. `gathering` says whether gets of several clients go up
    in one line; None for never. `durations` is told how long a request took, of one at a time; None for nobody.
    """

    def __init__(
        self, relay: Relay, connection: Connection, gathering: Gathering | None, durations: Durations | None
    ) -> None:
        self.waiting: deque[Request] = deque()
        self.unsent = 0
        self.closed = False
        # How many of `waiting` upstream can have seen: what comes before a request was sent is not its reply.
        self._answerable = 0
        self._relay = relay
        self._socket = socket_of(connection)
        self._secured = connection if isinstance(connection, Secured) else None
        self._descriptor = self._socket.fileno()
        self._gathering = gathering
        self._outgoing: list[Request] = []
        # The last of them, if more gets may still join it.
        self._group: Gathered | None = None
        # What the socket did not take, as it goes over the wire.
        self._rest = b""
        self._to_flush = False
        self._blocked = False
        # Is not read, because the client whose link this is doesn't read.
        self._paused = False
        # When a reply last came, or the first request began to wait.
        self._progress = 0.0
        self._durations = durations
        # The request that is timed, since when, and when the next one may be, in seconds of the monotonic clock.
        self._timed: Request | None = None
        self._timed_since = 0.0
        self._next_timed = 0.0
        # Sessions that wait until there is less unsent.
        self._stalled: list[Handler] = []

    def submit(self, request: Request) -> None:
        """Send a request at the end of the turn."""
        group = None
        size = len(request.upstream)
        gathering = self._gathering
        if (
            gathering is not None
            and gathering.goes_on
            and isinstance(request, Get)
            and request.sink.largest_value <= GATHERED_VALUE
        ):
            group = self._group
            if group is not None and group.add(request):
                self.unsent += size
                return
            group = Gathered(request.sink, request.count, gathering)
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
        if not self._to_flush:
            self._to_flush = True
            relay = self._relay
            relay.links_to_flush.append(self)
            if self._timed is None and relay.now >= self._next_timed and self._durations is not None:
                self._timed = request
                self._timed_since = time.monotonic()

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
            self.close(why(error))
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

    def _flush_later(self) -> None:
        """Have `flush` called at the end of the turn."""
        if not self._to_flush:
            self._to_flush = True
            self._relay.links_to_flush.append(self)

    def wake_when_sent(self, session: Handler) -> None:
        """Resume a session once there is less unsent."""
        self._stalled.append(session)

    def _note_duration(self) -> None:
        """The request that is timed has its whole answer."""
        self._timed = None
        now = time.monotonic()
        self._next_timed = now + SAMPLE_INTERVAL
        if self._durations is not None:
            self._durations.observe(now - self._timed_since)

    def _listen(self) -> None:
        events = 0 if self._paused else READ
        self._relay.modify(self._descriptor, events | select.EPOLLOUT if self._blocked else events)
