"""What is said to an upstream before its link is in service: connecting, the TLS handshake, the login, a greeting.

Each is one step, which whoever calls it bounds in time; its bytes are bounded here, and none may come that the step
doesn't account for.
"""

import contextlib
import errno
import os
import socket
import ssl
from typing import Final

import trio

from mcproxy.auth.upstream.login import UpstreamLogin
from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.relay.obstacle import FULL, LOGIN_LOST, LOGIN_WANTED, STRANGE, NotOpened
from mcproxy.relay.secured import RECEIVE_SIZE, Connection, Secured
from mcproxy.server import meta_commands
from mcproxy.server.streams import receive, send_all, send_plain
from mcproxy.server.tls import HANDSHAKE_BYTES
from mcproxy.server.upstream_logins import UpstreamLogins
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


async def connect(address: TcpAddress | UnixAddress) -> socket.socket:
    """A non-blocking socket. Raises OSError.

    Of a host's addresses each is tried in the order that the system gives, and may take an equal part of the time that
    is left to it and those behind it. The last one's error is what is told.
    """
    if isinstance(address, UnixAddress):
        return await _connect(socket.AF_UNIX, address.path)
    found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for left in range(len(found), 0, -1):
        family, _, _, _, target = found[-left]
        part = (trio.current_effective_deadline() - trio.current_time()) / left
        try:
            with trio.fail_after(max(part, 0)) if left > 1 else contextlib.nullcontext():
                connection = await _connect(family, target)
        except (OSError, trio.TooSlowError):
            if left == 1:
                raise
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))


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

    def __init__(self, connection: Connection, login: UpstreamLogin, logins: UpstreamLogins) -> None:
        self._connection = connection
        self._login = login
        self._logins = logins
        self._to_send: bytes | None = None
        self._allowed = LOGIN_BYTES

    @property
    def done(self) -> bool:
        """Upstream has taken the login, and has nothing more to say about it."""
        return self._login.done

    async def step(self, clock: trio.CancelScope) -> None:
        """Say something, and take the whole answer. Raises OSError, NotOpened, and what the login does.

        `clock` bounds how long upstream may take.
        """
        if self._to_send is None:
            self._to_send = await self._logins.in_thread(clock, self._login.start)
        await _say(self._connection, self._to_send)
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
            self._to_send = await self._logins.in_thread(clock, self._login.receive, received)


async def _say(connection: Connection, data: bytes) -> None:
    """Send the first thing of a step. An upstream that closed before it heard that may have said why: an alert that
    refuses our certificate, or that it is full. Raises OSError and NotOpened."""
    try:
        await send_all(connection, data)
    except ConnectionError:
        read = connection.receive if isinstance(connection, Secured) else connection.recv
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if read(4096).startswith(TOO_MANY):
                raise NotOpened(FULL) from None
        raise


async def greet(connection: Connection, protocol: str, engine: str = "memcached", *, quoting: bool = True) -> None:
    """Ask for the version, and let nothing else pass for an answer. Raises OSError and NotOpened.

    In binary a no-op goes with it: a memcached that wants a login tells its version to everybody. twemproxy passes it
    on to one of its memcacheds; that this one is gone is no reason to do without the others. It is sent no meta
    commands; all else that is spoken to in text must know them.

    `quoting`: a wrong answer may be repeated to people. It may not where upstream was told a password, since it could
    be that.
    """
    binary = protocol == "binary"
    question = b"version\r\n" if engine == "twemproxy" else b"version\r\n" + meta_commands.QUESTION
    await _say(connection, _packet(_VERSION) + _packet(_NOOP) if binary else question)
    received = b""
    while not (_greeted_in_binary(received) if binary else _greeted_in_text(received, engine, quoting)):
        data = await receive(connection, 4096)
        if not data:
            raise NotOpened(STRANGE, "it closed the connection")
        received += data
    if isinstance(connection, Secured) and connection.pending:
        raise NotOpened(STRANGE, "it says more than it was asked")


def _packet(opcode: int) -> bytes:
    """Its opaque is the opcode: only to be told from another's."""
    return operations.HEADER.pack(operations.REQUEST_MAGIC, opcode, 0, 0, 0, 0, 0, opcode, 0)


def _greeted_in_text(received: bytes, engine: str, quoting: bool) -> bool:
    if b"\n" not in received and len(received) < _LONGEST_VERSION:
        return False
    if received.startswith(TOO_MANY):
        raise NotOpened(FULL)
    if received.startswith(_UNAUTHENTICATED):
        raise NotOpened(LOGIN_WANTED)
    expected = (b"VERSION ", b"SERVER_ERROR ") if engine == "twemproxy" else b"VERSION "
    line, end, more = received.partition(b"\r\n")
    if not (end and line.startswith(expected) and b"\n" not in line):
        said = repr(line[:60].decode("ascii", "backslashreplace")) if quoting else "something else"
        raise NotOpened(STRANGE, f"it answered version with {said}")
    if engine != "twemproxy":
        meta_commands.check_version(line, quoting)
        return meta_commands.answered(more)
    if more:
        raise NotOpened(STRANGE, "it says more than it was asked")
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
