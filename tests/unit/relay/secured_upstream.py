"""An upstream that speaks TLS, over memory buffers: the test has every byte of its ciphertext in hand."""

import contextlib
import socket
import ssl

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.binary_link import BinaryLink
from mcproxy.relay.link import Link
from mcproxy.relay.secured import Secured
from mcproxy.server.tls import server_context
from tests.support.certificates import Certificates
from tests.unit.relay.harness import TIMEOUT, CountingSocket, Play, Upstream

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Contexts:
    """Both sides' contexts, of one TLS version. `tickets`: the server sends so many behind its handshake."""

    def __init__(self, certificates: Certificates, version: str = "1.3", *, tickets: int = 0) -> None:
        settings = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
        self.server = server_context(settings)
        if tickets:
            self.server.options &= ~ssl.OP_NO_TICKET
            self.server.num_tickets = tickets
        self.client = certificates.client_context()
        self.client.minimum_version = self.client.maximum_version = VERSIONS[version]


class SecuredUpstream(Upstream):
    """Its other end. `send` and `receive` carry plain bytes, `raw` ciphertext; `seal` makes it without sending it."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(connection)
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self.outgoing, server_side=True)
        self.lost = []
        # It got a close_notify.
        self.said_goodbye = False

    def seal(self, data: bytes) -> bytes:
        """The records that carry these bytes, and what was to be said before."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self.outgoing.read()

    def farewell(self) -> bytes:
        """A close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing.read()

    def send(self, data: bytes) -> None:
        self.raw(self.seal(data))

    def raw(self, data: bytes) -> None:
        """All of it must fit the kernel's buffer."""
        super().send(data)

    def push(self, data: bytes = b"") -> None:
        """The plain bytes are sealed at once; the ciphertext is sent as far as the socket takes it."""
        super().push(self.seal(data))

    def receive_raw(self) -> bytes:
        """The ciphertext that has arrived; `receive` gives what it holds."""
        data = super().receive()
        self._incoming.write(data)
        return data

    def receive(self, most: int = 1 << 30) -> bytes:
        self.receive_raw()
        parts = []
        with contextlib.suppress(ssl.SSLWantReadError):
            while not self.said_goodbye:
                try:
                    parts.append(self.tls.read(1 << 16))
                except ssl.SSLZeroReturnError:
                    # As b"", where both sides have said goodbye.
                    parts.append(b"")
                self.said_goodbye = not parts[-1]
        return b"".join(parts)

    def shake_hands(self, secured: Secured) -> None:
        """The proxy's side is done with it; what the server says at its end, tickets for one, is on its way."""
        done = False
        while not done:
            done, data = secured.handshake()
            self._incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            if not done:
                secured.feed(self.outgoing.read())
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()


def secured_upstream(
    play: Play,
    contexts: Contexts,
    *,
    binary: bool = False,
    private: bool = False,
    send_buffer: int = 0,
    behind_handshake: bytes = b"",
    gathers: bool = True,
) -> SecuredUpstream:
    """A link over TLS in service. `behind_handshake` came with the end of the handshake, in one receive."""
    mine, theirs = socket.socketpair()
    if send_buffer:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    upstream = SecuredUpstream(mine, contexts.server)
    upstream.proxy_side = CountingSocket(theirs)
    secured = Secured(upstream.proxy_side, contexts.client, server_hostname="localhost")
    upstream.shake_hands(secured)
    if behind_handshake:
        secured.feed(upstream.seal(behind_handshake))

    def on_lost(reason: str) -> None:
        upstream.lost.append(reason)
        if upstream.link in play.links.links:
            play.links.links.remove(upstream.link)

    kind = BinaryLink if binary else Link
    upstream.link = kind(play.relay, secured, TIMEOUT, on_lost, play.gathering if gathers else None)
    upstream.link.single_use = private
    if not private:
        play.links.links.append(upstream.link)
    play.upstreams.append(upstream)
    return upstream
