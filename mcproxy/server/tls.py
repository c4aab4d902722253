"""TLS towards clients: a context of modern suites, and the handshake on a non-blocking socket."""

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from mcproxy.config.revocation import covers_all
from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import RECEIVE_SIZE, Secured
from mcproxy.server.client_certificate import refused, unusable
from mcproxy.server.openssl import keep_no_sessions, restrict_groups
from mcproxy.server.streams import receive, send_plain

# RFC 9325 section 4.2: forward secrecy and authenticated encryption only. CPython's default still offers CBC suites.
TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
HANDSHAKE_BYTES = 320 * 1024
"""From a client, requests that came behind its handshake included. OpenSSL has bounds of its own (a ClientHello of 128
KiB, certificates of 100 KiB, some records that say nothing); this one is the same for all its versions."""
Step = Callable[[], contextlib.AbstractAsyncContextManager[None]]
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(settings: ListenerTls) -> ssl.SSLContext:
    """A new context. Raises ssl.SSLError or OSError for files that don't do; the configuration's check came first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restrict_groups(context)
    context.minimum_version = VERSIONS[settings.minimum_version]
    context.set_ciphers(TLS12_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A resumed connection would keep the certificate of its first one, though its authority may be gone since.
    context.options |= ssl.OP_NO_TICKET
    keep_no_sessions(context)
    context.num_tickets = 0
    context.load_cert_chain(settings.certificate, settings.key, password=lambda: "")
    if settings.client_ca is not None:
        context.load_verify_locations(cafile=settings.client_ca)
        required = settings.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        if settings.crl is not None:
            _check_revocation(context, settings.crl, settings.client_ca)
    return context


def _check_revocation(context: ssl.SSLContext, crl: Path, client_ca: Path) -> None:
    """Have certificates checked against the lists in a file. Without a list, or with a stale one, they are refused.

    The whole chain is checked if every authority has a list, else the client's own certificate alone.
    """
    before = context.cert_store_stats()
    context.load_verify_locations(cafile=crl)
    after = context.cert_store_stats()
    if after["x509"] != before["x509"] or after["crl"] <= before["crl"]:
        raise OSError(errno.EINVAL, f"{crl} does not hold revocation lists, and those alone")
    whole = covers_all(crl, client_ca)
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN if whole else ssl.VERIFY_CRL_CHECK_LEAF


async def handshake(connection: socket.socket, context: ssl.SSLContext, step: Step = contextlib.nullcontext) -> Secured:
    """The TLS connection over a non-blocking socket. Raises OSError (ssl.SSLError is one) if it doesn't come about.

    Whoever calls this bounds its time; its bytes are bounded here. `step` is entered for each of its steps.
    """
    secured = Secured(connection, context)
    allowed = HANDSHAKE_BYTES
    while True:
        async with step():
            done, data = secured.handshake()
        await send_plain(connection, data)
        if done:
            break
        received = await receive(connection, RECEIVE_SIZE)
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake")
        allowed -= len(received)
        if allowed < 0:
            too_long = ssl.SSLError(ssl.SSL_ERROR_SSL, "too long")
            too_long.reason = "HANDSHAKE_TOO_LONG"
            raise too_long
        secured.feed(received)
    problem = unusable(secured)
    if secured.tls.session_reused and context.verify_mode != ssl.CERT_NONE:
        problem = "it was shown on an earlier connection, whose session was resumed"
    if problem is not None:
        raise refused(problem)
    return secured
