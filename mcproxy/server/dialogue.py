"""What is said to an upstream before its link is in service: connecting, the TLS handshake, the login, a greeting.

Each is one step, which whoever calls it bounds in time; its bytes are bounded here, and none may come that the step
doesn't account for.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from mcproxy.auth.upstream.login import UpstreamLogin
from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.relay.obstacle import FULL, LOGIN_LOST, LOGIN_WANTED, STRANGE, NotOpened
from mcproxy.relay.secured import RECEIVE_SIZE, Connection, Secured
from mcproxy.server.streams import receive, send_all, send_plain
from mcproxy.server.tls import HANDSHAKE_BYTES
from mcproxy.wire import binary_operations as operations

TOO_MANY: Final = b"ERROR Too many open connections"
"""What memcached says before it closes a connection over its limit: also to binary peers, and in clear text to those
that expect TLS."""

LOGIN_BYTES: Final = 64 * 1024
"""Of a whole login, from upstream."""

_VERSION: Final = 0x0B
_NOOP: Final = 0x0A
_AUTHENTICATION_ERROR: Final = 0x20
_LONGEST_VERSION: Final = 256
_UNAUTHENTICATED: Final = b"CLIENT_ERROR unauthenticated"
# One login computes at a time, and one that was given up still counts until its thread is done.
_thread = trio.CapacityLimiter(2)

Result = TypeVar("Result")


async def connect(address: TcpAddress | UnixAddress) -> socket.socket:
    """A non-blocking socket. Raises OSError."""
    if isinstance(address, UnixAddress):
        return await _connect(socket.AF_UNIX, address.path)
    found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    family, _, _, _, target = found[0]
    connection = await _connect(family, target)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


async def _connect(family: int, target: object) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        error = connection.connect_ex(target)  # type: ignore[arg-type]
        if error == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(connection)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        connection.close()
        raise
    return connection


async def secure(connection: socket.socket, context: ssl.SSLContext, server_name: str) -> Secured:
    """TLS over a fresh socket; the context verifies the certificate and that it is for `server_name`.

    Raises OSError (ssl.SSLError is one), and NotOpened.
    """
    secured = Secured(connection, context, server_hostname=server_name)
    allowed = HANDSHAKE_BYTES
    while True:
        done, data = secured.handshake()
        await send_plain(connection, data)
        if done:
            return secured
        received = await receive(connection, RECEIVE_SIZE)
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake")
        if allowed == HANDSHAKE_BYTES and received.startswith(TOO_MANY):
            raise NotOpened(FULL)
        allowed -= len(received)
        if allowed < 0:
            too_long = ssl.SSLError(ssl.SSL_ERROR_SSL, "too long")
            too_long.reason = "HANDSHAKE_TOO_LONG"
            raise too_long
        secured.feed(received)


class LoginDialogue:
    """A login over a connection, a step at a time, until it is `done`."""

    def __init__(self, connection: Connection, login: UpstreamLogin) -> None:
        self._connection = connection
        self._login = login
        self._to_send: bytes | None = None
        self._allowed = LOGIN_BYTES

    @property
    def done(self) -> bool:
        """Upstream has taken the login, and has nothing more to say about it."""
        return self._login.done

    async def step(self) -> None:
        """Say something, and take the whole answer. Raises OSError, NotOpened, and what the login does."""
        if self._to_send is None:
            self._to_send = await in_thread(self._login.start)
        await send_all(self._connection, self._to_send)
        self._to_send = b""
        while not self._to_send and not self.done:
            received = await receive(self._connection, 4096)
            if not received:
                raise NotOpened(LOGIN_LOST)
            self._allowed -= len(received)
            if self._allowed < 0:
                raise NotOpened(STRANGE, "it says too much during the login")
            if received.startswith(TOO_MANY):
                raise NotOpened(FULL)
            self._to_send = await in_thread(self._login.receive, received)


async def in_thread(function: Callable[..., Result], *arguments: object) -> Result:
    """Run what takes a while: a password is hashed as often as upstream asks for. Few at once, also of those that were
    given up."""
    return await trio.to_thread.run_sync(function, *arguments, limiter=_thread, abandon_on_cancel=True)


async def greet(connection: Connection, protocol: str, engine: str = "memcached") -> None:
    """Ask for the version, and let nothing else pass for an answer. Raises OSError and NotOpened.

    In binary a no-op goes with it: a memcached that wants a login tells its version to everybody. twemproxy passes it
    on to one of its memcacheds; that this one is gone is no reason to do without the others.
    """
    binary = protocol == "binary"
    await send_all(connection, _packet(_VERSION) + _packet(_NOOP) if binary else b"version\r\n")
    received = b""
    while not (_greeted_in_binary(received) if binary else _greeted_in_text(received, engine)):
        data = await receive(connection, 4096)
        if not data:
            raise NotOpened(STRANGE, "it closed the connection")
        received += data
    if isinstance(connection, Secured) and connection.pending:
        raise NotOpened(STRANGE, "it says more than it was asked")


def _packet(opcode: int) -> bytes:
    """Its opaque is the opcode: only to be told from another's."""
    return operations.HEADER.pack(operations.REQUEST_MAGIC, opcode, 0, 0, 0, 0, 0, opcode, 0)


def _greeted_in_text(received: bytes, engine: str) -> bool:
    if b"\n" not in received and len(received) < _LONGEST_VERSION:
        return False
    if received.startswith(TOO_MANY):
        raise NotOpened(FULL)
    if received.startswith(_UNAUTHENTICATED):
        raise NotOpened(LOGIN_WANTED)
    expected = (b"VERSION ", b"SERVER_ERROR ") if engine == "twemproxy" else b"VERSION "
    if not (received.startswith(expected) and received.endswith(b"\r\n") and received.count(b"\n") == 1):
        first = received.split(b"\r\n")[0][:60].decode("ascii", "backslashreplace")
        raise NotOpened(STRANGE, f"it answered version with {first!r}")
    return True


def _greeted_in_binary(received: bytes) -> bool:
    if received.startswith(TOO_MANY[:1]) and received[: len(TOO_MANY)] == TOO_MANY[: len(received)]:
        if len(received) < len(TOO_MANY):
            return False
        raise NotOpened(FULL)
    position = 0
    for opcode in (_VERSION, _NOOP):
        if len(received) < position + operations.HEADER_LENGTH:
            return False
        magic, answered, key, extras, _, status, length, opaque, _ = operations.HEADER.unpack_from(received, position)
        if (magic, answered, opaque) != (operations.RESPONSE_MAGIC, opcode, opcode) or length > _LONGEST_VERSION:
            raise NotOpened(STRANGE, "it does not speak the binary protocol")
        if status == _AUTHENTICATION_ERROR:
            raise NotOpened(LOGIN_WANTED)
        if status:
            raise NotOpened(STRANGE, f"it answered with status {status:#x}")
        if key or extras or (length and opcode == _NOOP):
            raise NotOpened(STRANGE, "it says more than it was asked")
        position += operations.HEADER_LENGTH + length
    if len(received) > position:
        raise NotOpened(STRANGE, "it says more than it was asked")
    return len(received) == position
