"""A relay whose clients and upstream are the other ends of socket pairs, all in one thread.

`Play.run` turns the relay until nothing is left to do, so a test reads as the conversation itself: somebody says
something, the relay runs, somebody hears something. Nothing waits, and `sweep` takes the time from the test.
"""

import contextlib
import select
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator

from mcproxy.policy.grants import CLASSES, Role, Ruleset
from mcproxy.policy.keys import KeySet
from mcproxy.relay.binary_link import BinaryLink
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.link import Link
from mcproxy.relay.obstacle import UNAVAILABLE
from mcproxy.relay.poller import Relay
from mcproxy.relay.secured import Connection, Secured, socket_of
from mcproxy.relay.session import Session, Translate
from mcproxy.relay.shared_links import SharedLinks
from mcproxy.wire.binary import BinaryParser, BinaryRules
from mcproxy.wire.gathered import Gathering
from mcproxy.wire.outcome import Refusal, WireLimits
from mcproxy.wire.pipelining import one_at_a_time
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules
from tests.support.packets import HEADER, Response, read_header

TIMEOUT = 1.0
STALL = 30.0
LIMITS = SessionLimits(pipeline=1000, buffer=2 << 20, stall_timeout=STALL)
# A conversation that needs more turns than this is spinning.
MANY_TURNS = 2000
APP = Ruleset([Role(frozenset({"read", "touch", "write", "counter", "delete"}), KeySet.of(["app:*"]))])
EVERYTHING = Ruleset([Role(CLASSES, KeySet.of(["*"]))])


MEGABYTE = 1_000_000
BIG = {b"big%d" % number: MEGABYTE for number in range(1000)}


class CountingSocket(socket.socket):
    """Counts the calls that matter: each is a system call."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(fileno=plain.detach())
        self.setblocking(False)
        self.sends = 0
        self.receives = 0

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        self.sends += 1
        return super().send(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.receives += 1
        return super().recv(size, flags)


class End:
    """The test's end of a connection: `send` never waits, `receive` gives whatever has arrived."""

    proxy_side: socket.socket

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.connection.setblocking(False)
        self.unsent = memoryview(b"")
        self.ended = False
        """The other side has closed in good order, or reset."""

    def send(self, data: bytes) -> None:
        """All of it must fit the kernel's buffer; see `push` for more."""
        assert self.connection.send(data) == len(data), "does not fit the socket's buffer"

    def push(self, data: bytes = b"") -> None:
        """Send as much as the socket takes, and keep the rest for the next call."""
        if data:
            self.unsent = memoryview(bytes(self.unsent) + data)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]

    def receive(self, most: int = 1 << 30) -> bytes:
        """What has arrived, up to `most` bytes."""
        parts = []
        while most > 0 and not self.ended:
            try:
                data = self.connection.recv(min(most, 1 << 18))
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except ConnectionResetError:
                data = b""
            self.ended = not data
            most -= len(data)
            parts.append(data)
        return b"".join(parts)

    def responses(self) -> list[Response]:
        """Binary packets that have arrived; all of them must be whole."""
        return list(parse_packets(self.receive()))

    def half_close(self) -> None:
        self.connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.connection.close()


class Client(End):
    """A client, the session that serves it, and the proxy's socket towards it."""

    session: Session


class Upstream(End):
    """Scripted memcached behind one link."""

    link: Link
    proxy_side: CountingSocket
    lost: list[str]

    def ask(self, wanted: bytes) -> None:
        """Assert that just this has come up."""
        came = self.receive()
        assert came == wanted, f"upstream received {came[:300]!r}"


class FakeLinks:
    """Those who want a link of their own stand in `private` until the test acts."""

    def __init__(self) -> None:
        self.shared = SharedLinks()
        self.links = self.shared.links
        self.private: list[Callable[[Link | None], None]] = []
        self.unavailable = UNAVAILABLE

    def open_private(self, ready: Callable[[Link | None], None]) -> None:
        self.private.append(ready)


class Witness:
    """The observer of all sessions: what happened, in order."""

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.ends: dict[Session, str] = {}
        self.handed_back: list[tuple[Connection, bytes]] = []

    def refused(self, session: Session, refusal: Refusal) -> None:
        self.refusals.append(refusal.reason)

    def log_in_again(self, session: Session, connection: Connection, data: bytes) -> None:
        self._ended(session, "logs in again")
        self.handed_back.append((connection, data))

    def closed(self, session: Session, reason: str) -> None:
        self._ended(session, reason)

    def linger(self, session: Session, connection: Connection, reason: str) -> None:
        self._ended(session, f"lingering: {reason}")
        socket_of(connection).close()

    def _ended(self, session: Session, reason: str) -> None:
        assert session not in self.ends, f"ended twice: {self.ends[session]}, {reason}"
        self.ends[session] = reason


class Play:
    """One relay and everybody around it."""

    def __init__(self, total_buffer: int = 256 << 20) -> None:
        self.errors: list[BaseException] = []
        self.relay = Relay(total_buffer, self.errors.append)
        self.total_buffer = total_buffer
        self.links = FakeLinks()
        # Of all links.
        self.denials = 0
        self.gathering = Gathering(self._denied)
        self.witness = Witness()
        self.clients: list[Client] = []
        self.upstreams: list[Upstream] = []
        self._rules: dict[tuple[int, int, bool], TextRules | BinaryRules] = {}
        self._busy = self.relay.busy()
        # So that no turn waits for more.
        self._busy.__enter__()

    # Who takes part.

    def upstream(
        self, *, binary: bool = False, private: bool = False, send_buffer: int = 0, gathers: bool = True
    ) -> Upstream:
        """A link in service, and its other end. A private one is not shared with the sessions."""
        mine, theirs = socket.socketpair()
        if send_buffer:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        upstream = Upstream(mine)
        upstream.proxy_side = CountingSocket(theirs)
        upstream.lost = []

        def on_lost(reason: str) -> None:
            upstream.lost.append(reason)
            if upstream.link in self.links.links:
                self.links.links.remove(upstream.link)

        kind = BinaryLink if binary else Link
        gathering = self.gathering if gathers else None
        upstream.link = kind(self.relay, upstream.proxy_side, TIMEOUT, on_lost, gathering)
        upstream.link.single_use = private
        if not private:
            self.links.links.append(upstream.link)
        self.upstreams.append(upstream)
        return upstream

    def client(
        self,
        *,
        binary: bool = False,
        grants: Ruleset = EVERYTHING,
        limits: SessionLimits = LIMITS,
        value: int = 1 << 20,
        token: bytes | None = None,
        one_command: bool = False,
        data: bytes = b"",
        pair: tuple[socket.socket, socket.socket | Secured] | None = None,
        translate: Translate | None = None,
        principal: str = "sammy",
    ) -> Client:
        """A client that has logged in; `data` came behind its login. `pair`: its end and the proxy's.

        `one_command`: its pipelines are refused.
        """
        mine, theirs = pair if pair is not None else socket.socketpair()
        client = Client(mine)
        connection = theirs if isinstance(theirs, Secured) else CountingSocket(theirs)
        client.proxy_side = socket_of(connection)
        tally = self.relay.traffic.tally_of("user", principal)
        session = client.session = Session(self.relay, connection, self.links, limits, self.witness, tally)
        parser: TextParser | BinaryParser
        wire_limits = WireLimits(value=value, keys=1000)
        rules = self._rules.get((id(grants), value, binary))
        if rules is None:
            rules = BinaryRules(grants, wire_limits) if binary else TextRules(grants, wire_limits)
            self._rules[id(grants), value, binary] = rules
        if isinstance(rules, BinaryRules):
            parser = BinaryParser(rules, session, b"PLAIN")
        else:
            parser = TextParser(rules, session, token)
        self.clients.append(client)
        session.start(one_at_a_time(parser, session) if one_command else parser, data, translate)
        return client

    # What happens.

    def _denied(self) -> None:
        self.denials += 1

    def quiet(self) -> bool:
        """Nothing is left to do until somebody outside acts."""
        return not self.relay.ready and not select.select([self.relay._epoll], [], [], 0)[0]

    def run(self) -> int:
        """Turn the relay until it is quiet; returns the number of turns."""
        for turns in range(MANY_TURNS):
            if self.quiet():
                return turns
            self.relay.turn()
        raise AssertionError(f"still not quiet after {MANY_TURNS} turns: the relay spins")

    def sweep(self, seconds: float) -> None:
        """Let the relay believe that so much time has passed since it last turned."""
        self.relay.sweep(self.relay.now + seconds)
        self.run()

    def said(self, client: Client, data: bytes) -> bytes:
        """Send, run, and return what the client has heard."""
        client.send(data)
        self.run()
        return client.receive()

    def end(self, client: Client) -> str | None:
        """Why the client's session ended; None while it lives."""
        return self.witness.ends.get(client.session)

    # How it all ends.

    def finish(self) -> None:
        """Everybody leaves; nothing may be left behind."""
        for client in self.clients:
            client.close()
        self.run()
        for upstream in self.upstreams:
            upstream.close()
        self.run()
        assert not self.errors, f"a handler raised: {self.errors}"
        assert self.relay.handlers == {}, f"left in the epoll: {self.relay.handlers}"
        assert self.relay.held == 0, f"{self.relay.held} bytes are still accounted for"
        for client in self.clients:
            assert client.session.closed
            assert client.session.held == 0
            assert self.end(client) is not None, "nobody was told of the session's end"

    def abandon(self) -> None:
        """Close what a failed test left open."""
        self._busy.__exit__(None, None, None)
        for handler in list(self.relay.handlers.values()):
            with contextlib.suppress(Exception):
                handler.close("the test ends")
        for end in [*self.clients, *self.upstreams]:
            end.close()
            end.proxy_side.close()
        for connection, _ in self.witness.handed_back:
            socket_of(connection).close()
        self.relay._epoll.close()
        with contextlib.suppress(OSError):
            socket.close(self.relay._wake)


class Store:
    """An upstream that answers gets of `sizes`: the key's name, repeated. Everything else is a miss."""

    def __init__(self, upstream: Upstream, sizes: dict[bytes, int]) -> None:
        self.upstream = upstream
        self.sizes = sizes
        self.asked: list[bytes] = []
        # Keys to be answered, and where a line ends: large values are made only when they can be sent.
        self._owed: deque[bytes | None] = deque()
        self._received = b""

    def serve(self) -> bool:
        """Answer what has come, as far as the socket takes it; True if there was anything to do."""
        received = self.upstream.receive()
        *lines, self._received = (self._received + received).split(b"\r\n")
        for line in lines:
            _, *keys = line.split(b" ")
            self.asked += keys
            self._owed.extend(key for key in keys if key in self.sizes)
            self._owed.append(None)
        before = len(self.upstream.unsent)
        self.upstream.push()
        done = bool(received) or len(self.upstream.unsent) != before
        while self._owed and not self.upstream.unsent:
            replies = []
            size = 0
            while self._owed and size < 100_000:
                key = self._owed.popleft()
                replies.append(b"END\r\n" if key is None else value_block(key, self.sizes[key]))
                size += len(replies[-1])
            self.upstream.push(b"".join(replies))
            done = True
        return done


def value_block(key: bytes, size: int) -> bytes:
    """VALUE and a block that tells whose it is."""
    return b"VALUE %s 0 %d\r\n%s\r\n" % (key, size, (key * (size // len(key) + 1))[:size])


def parse_packets(data: bytes) -> Iterator[Response]:
    """Cut up binary responses. Raises AssertionError if the last is not whole."""
    position = 0
    while position < len(data):
        response, key_length, body_length = read_header(data[position : position + HEADER.size])
        start = position + HEADER.size
        position = start + body_length
        assert position <= len(data), "a packet is cut short"
        key_start = start + len(response.extras)
        yield Response(
            response.opcode,
            response.status,
            response.opaque,
            response.cas,
            data[start:key_start],
            data[key_start : key_start + key_length],
            data[key_start + key_length : position],
        )


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection over loopback TCP, for what a socket pair cannot do: a reset."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        mine = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return mine, theirs


def reset(end: End) -> None:
    """Close so that the other side sees a reset."""
    end.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    end.close()


def tls_pair(server: ssl.SSLContext, client: ssl.SSLContext, *, tcp: bool = False) -> tuple[ssl.SSLSocket, Secured]:
    """A client and the proxy's side of it, after their handshake."""
    mine, theirs = tcp_pair() if tcp else socket.socketpair()
    mine.setblocking(False)
    theirs.setblocking(False)
    secured = Secured(theirs, server)
    wrapped = client.wrap_socket(mine, server_hostname="localhost", do_handshake_on_connect=False)
    done = theirs_done = False
    while not (done and theirs_done):
        with contextlib.suppress(ssl.SSLWantReadError):
            wrapped.do_handshake()
            done = True
        if not theirs_done:
            with contextlib.suppress(BlockingIOError):
                secured.feed(theirs.recv(1 << 16))
            theirs_done, answer = secured.handshake()
            theirs.send(answer)
    return wrapped, secured
