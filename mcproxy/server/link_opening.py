"""Opening a link: connect, TLS, login, greeting. What comes of it is ready for requests; no client's byte goes before.

Every step has upstream.timeout. What goes wrong is told as a NotOpened, in words without secrets, and without what
upstream says of its own but for what its line of version began with, made printable.
"""

import contextlib
import ssl
from collections.abc import Iterator
from typing import Final

import trio

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.login import LoginRefused, UpstreamConfused, upstream_login
from mcproxy.relay.obstacle import (
    LOGIN_CONFUSED,
    LOGIN_LOST,
    LOGIN_REFUSED,
    LOGIN_SILENT,
    SILENT,
    TLS_FAILED,
    TLS_SILENT,
    UNREACHABLE,
    UNTRUSTED,
    NotOpened,
    Obstacle,
)
from mcproxy.relay.secured import Connection, Secured, socket_of
from mcproxy.server.channel_binding import server_end_point
from mcproxy.server.dialogue import LoginDialogue, connect, greet, in_thread, secure
from mcproxy.server.state import UpstreamState

MOST_STEPS: Final = 16
"""Of one login: no mechanism has more than four."""


async def open_connection(upstream: UpstreamState, protocol: str) -> Connection:
    """A connection on which upstream has answered, and nothing but what it was asked. Raises NotOpened."""
    timeout = upstream.settings.timeout
    with _step(timeout, late=SILENT, broken=UNREACHABLE):
        sock = await connect(upstream.settings.address)
    connection: Connection = sock
    try:
        if upstream.context is not None:
            with _step(timeout, late=TLS_SILENT, broken=TLS_FAILED):
                connection = await secure(sock, upstream.context, upstream.settings.server_name or "")
        if upstream.login is not None:
            await _log_in(connection, protocol, upstream.login, timeout)
        with _step(timeout, late=SILENT, broken=UNREACHABLE):
            await greet(connection, protocol, upstream.settings.engine)
    except BaseException:
        socket_of(connection).close()
        raise
    return connection


async def _log_in(connection: Connection, protocol: str, credentials: Credentials, patience: float) -> None:
    binding = None
    if isinstance(connection, Secured) and (certificate := connection.certificate()) is not None:
        binding = server_end_point(certificate)
    try:
        with _step(patience, late=LOGIN_SILENT, broken=LOGIN_LOST):
            login = await in_thread(upstream_login, protocol, credentials, binding)
        dialogue = LoginDialogue(connection, login)
        for _ in range(MOST_STEPS):
            with _step(patience, late=LOGIN_SILENT, broken=LOGIN_LOST):
                await dialogue.step()
            if dialogue.done:
                return
    except LoginRefused as refused:
        raise NotOpened(LOGIN_REFUSED, f"login refused: {refused}") from None
    except UpstreamConfused as confused:
        raise NotOpened(LOGIN_CONFUSED, f"its answers to the login are wrong: {confused}") from None
    raise NotOpened(LOGIN_CONFUSED, "its login has no end")


@contextlib.contextmanager
def _step(timeout: float, *, late: Obstacle, broken: Obstacle) -> Iterator[None]:
    """The edge at which what trio, ssl and sockets raise becomes a NotOpened: `late` and `broken` are this step's."""
    try:
        with trio.fail_after(timeout):
            yield
    except trio.TooSlowError:
        raise NotOpened(late) from None
    except ssl.SSLCertVerificationError as error:
        raise NotOpened(UNTRUSTED, f"{UNTRUSTED.words}: {error.verify_message}") from None
    except ssl.SSLError as error:
        # A client certificate that TLS 1.3 refuses is told of with the first answer.
        raise NotOpened(TLS_FAILED, f"{TLS_FAILED.words}: {error.reason or type(error).__name__}") from None
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise NotOpened(broken, what if broken is UNREACHABLE else f"{broken.words}: {what}") from None
