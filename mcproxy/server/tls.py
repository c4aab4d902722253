"""TLS towards clients: a context of modern suites, and the handshake on a non-blocking socket."""

import errno
import socket
import ssl
from typing import cast

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import RECEIVE_SIZE, Secured
from mcproxy.server.streams import receive, send_plain

# RFC 9325 section 4.2: forward secrecy and authenticated encryption only. CPython's default still offers CBC suites.
TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(settings: ListenerTls) -> ssl.SSLContext:
    """A new context. Raises ssl.SSLError or OSError for files that don't do; the configuration's check came first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.minimum_version]
    context.set_ciphers(TLS12_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A resumed connection would keep the certificate of its first one, though its authority may be gone since.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(settings.certificate, settings.key, password=lambda: "")
    if settings.client_ca is not None:
        context.load_verify_locations(cafile=settings.client_ca)
        required = settings.client_certificate == "required"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


async def handshake(connection: socket.socket, context: ssl.SSLContext) -> Secured:
    """The TLS connection over a non-blocking socket. Raises OSError (ssl.SSLError is one) if it doesn't come about."""
    secured = Secured(connection, context)
    while True:
        done, data = secured.handshake()
        await send_plain(connection, data)
        if done:
            return secured
        received = await receive(connection, RECEIVE_SIZE)
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake")
        secured.feed(received)


def certificate_names(connection: Secured) -> list[str]:
    """The names of the verified client certificate: its subject alternative names of type URI, DNS and email.

    RFC 5280 section 4.2.1.6. Empty without a certificate. The subject is not a name here: what it says is free text.
    """
    names = cast(tuple[tuple[str, str], ...], connection.certificate().get("subjectAltName", ()))
    return [value for kind, value in names if kind in ("URI", "DNS", "email")]
