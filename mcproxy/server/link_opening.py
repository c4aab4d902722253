"""Opening a link: connect, TLS, login, greeting. What comes of it is ready for requests; no client's byte goes before.

Every step has upstream.timeout. What goes wrong is told as a NotOpened, in words without secrets, and without what
upstream says of its own. Only what a line of version began with is told, made printable, where there was no login.
"""

import contextlib
import ssl
from collections.abc import Iterator
from typing import Final

import trio

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.login import LoginRefused, UpstreamConfused, upstream_login
from mcproxy.auth.upstream.scram import PLUS
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
from mcproxy.server.dialogue import LoginDialogue, connect, greet, secure
from mcproxy.server.state import UpstreamState
from mcproxy.server.upstream_logins import UpstreamLogins

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
            await _log_in(connection, protocol, upstream.login, upstream.logins, timeout)
        with _step(timeout, late=SILENT, broken=UNREACHABLE):
            await greet(connection, protocol, upstream.settings.engine, quoting=upstream.login is None)
    except BaseException:
        socket_of(connection).close()
        raise
    return connection


async def _log_in(
    connection: Connection, protocol: str, credentials: Credentials, logins: UpstreamLogins, patience: float
) -> None:
    binding = _binding(connection) if (credentials.mechanism or "").endswith(PLUS) else None
    try:
        with _step(patience, late=LOGIN_SILENT, broken=LOGIN_LOST) as clock:
            login = await logins.in_thread(clock, upstream_login, protocol, credentials, binding)
        dialogue = LoginDialogue(connection, login, logins)
        for _ in range(MOST_STEPS):
            with _step(patience, late=LOGIN_SILENT, broken=LOGIN_LOST) as clock:
                await dialogue.step(clock)
            if dialogue.done:
                logins.refusal = None
                return
    except LoginRefused as refused:
        logins.refusal = f"login refused: {refused}"
        raise NotOpened(LOGIN_REFUSED, logins.refusal) from None
    except UpstreamConfused as confused:
        raise NotOpened(LOGIN_CONFUSED, f"its answers to the login are wrong: {confused}") from None
    except NotOpened as problem:
        if problem.obstacle is LOGIN_SILENT and logins.refusal is not None:
            raise NotOpened(LOGIN_REFUSED, logins.refusal) from None
        raise
    raise NotOpened(LOGIN_CONFUSED, "its login has no end")


def _binding(connection: Connection) -> bytes | None:
    certificate = connection.certificate() if isinstance(connection, Secured) else None
    return None if certificate is None else server_end_point(certificate)


@contextlib.contextmanager
def _step(timeout: float, *, late: Obstacle, broken: Obstacle) -> Iterator[trio.CancelScope]:
    """The edge at which what trio, ssl and sockets raise becomes a NotOpened: `late` and `broken` are this step's."""
    try:
        with trio.fail_after(timeout) as clock:
            yield clock
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
