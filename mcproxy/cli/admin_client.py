"""A request to the admin port of the proxy that a configuration describes, for commands that look at it from outside.

Imports next to nothing at its top: `mcproxy health` runs every few seconds.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.regular_file import explained, read_regular_file

if TYPE_CHECKING:
    import ssl

MOST = 64 * 2**20
"""Bytes of one answer. /metrics of a thousand users is about a mebibyte."""
MOST_TOKEN = 4096
"""Bytes of a token's file."""
_PIECE = 64 * 1024
_NO_ANSWER = "closed without an answer; are there too many connections, or is it no admin port?"
_OPEN_TO_ALL = (b"/healthz", b"/readyz")
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what these are reached by


class AdminUnreachable(Exception):
    """There is no answer. The message is one line that says from where and why."""


class AdminTls(Protocol):
    """What is needed of the section `admin.tls`."""

    @property
    def certificate(self) -> Path: ...


class Admin(Protocol):
    """What is needed of the section `admin`: config/schema.py's has it, and so has the part that `health` reads."""

    @property
    def bind(self) -> TcpAddress | UnixAddress: ...
    @property
    def health_bind(self) -> TcpAddress | UnixAddress | None: ...
    @property
    def tls(self) -> AdminTls | None: ...
    @property
    def token_file(self) -> Path | None: ...


def fetch(
    admin: Admin,
    path: str,
    *,
    health: bool = False,
    timeout: float = 5.0,
    certificate: Path | None = None,
    key: Path | None = None,
) -> tuple[int, bytes]:
    """Status and body of a GET of `path`, within `timeout` seconds. `health`: of `health_bind` where there is one.

    With `admin.tls` only the very certificate that the configuration names is believed, and it is shown `certificate`
    (with `key`, if that isn't in the same file). The token goes with whatever needs it, and nowhere else. Raises
    AdminUnreachable.
    """
    apart = health and admin.health_bind is not None
    address = admin.health_bind if apart and admin.health_bind is not None else admin.bind
    deadline = time.monotonic() + timeout
    secret = path.partition("?")[0].encode() not in _OPEN_TO_ALL
    headers = {"Host": "localhost", "Connection": "close"}
    try:
        if secret and admin.token_file is not None:
            headers["Authorization"] = f"Bearer {_token(admin.token_file)}"
        with _connect(address, timeout) as connected:
            if admin.tls is None or apart:
                return _ask(connected, path, headers, deadline)
            # Nothing secret goes to, and nothing but a yes or no comes from, what is open to all. It is not held to the
            # certificate on disk, which may be newer than the one that is served.
            expected = _first_certificate(admin.tls.certificate) if secret else None
            with _encrypted(connected, certificate, key, deadline) as encrypted:
                if expected is not None and encrypted.getpeercert(binary_form=True) != expected:
                    message = f"shows another certificate than {admin.tls.certificate} holds; was that reloaded?"
                    raise AdminUnreachable(f"{address}: {message}")
                return _ask(encrypted, path, headers, deadline)
    except TimeoutError:
        raise AdminUnreachable(f"{address}: no answer within {timeout:g} seconds") from None
    except OSError as error:
        raise AdminUnreachable(_explain(address, error)) from None


def _explain(address: TcpAddress | UnixAddress, error: OSError) -> str:
    reason = explained(error)
    if error.filename is not None:
        return reason
    tls_reason = getattr(error, "reason", None)
    if tls_reason is not None:  # ssl.SSLError, which isn't imported where there is no TLS
        return f"{address}: TLS: {str(tls_reason).lower().replace('_', ' ')}"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        reason = f"nobody listens there ({reason}); is mcproxy running?"
    if isinstance(error, ConnectionResetError):
        reason = _NO_ANSWER
    return f"{address}: {reason}"


def _connect(address: TcpAddress | UnixAddress, timeout: float) -> socket.socket:
    """Raises OSError."""
    place: str | tuple[str, int]
    if isinstance(address, UnixAddress):
        family, place = socket.AF_UNIX, address.path
    elif address.port == 0:
        raise OSError("the port is the kernel's choice, which only the log tells; give it a number")
    else:
        # Not create_connection: it takes numbers for names, and imports what those may be written in.
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        place = (_EVERY_ADDRESS.get(address.host, address.host), address.port)
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.settimeout(timeout)
        connecting.connect(place)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _encrypted(connected: socket.socket, certificate: Path | None, key: Path | None, deadline: float) -> ssl.SSLSocket:
    """Raises OSError."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # No authority's word is taken: the handshake proves that the key of the certificate shown is there, and that
    # certificate is compared with the one expected.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            raise OSError(f"{certificate} and its key can't be used: {error.reason}") from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(certificate)) from None
    connected.settimeout(_left(deadline))
    return context.wrap_socket(connected)


def _first_certificate(path: Path) -> bytes:
    """The certificate that a server with this file shows, as DER. Raises OSError."""
    import ssl

    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = read_regular_file(path).content.decode("ascii", "replace")
    inner = text.partition(begin)[2].partition(end)[0]
    try:
        content = ssl.PEM_cert_to_DER_cert(f"{begin}{inner}{end}")
    except ValueError:
        content = b""
    if not content:
        raise OSError(f"{path} holds no certificate")
    return content


def _token(path: Path) -> str:
    """Raises OSError."""
    token = read_regular_file(path).content.strip()
    # It stands in a header: a line break in it would begin another.
    if not token or len(token) > MOST_TOKEN or not token.isascii() or not token.decode().isprintable():
        raise OSError(f"{path} holds no token: that is one line of ASCII")
    return token.decode()


def _ask(connected: socket.socket, path: str, headers: dict[str, str], deadline: float) -> tuple[int, bytes]:
    """Raises OSError."""
    import h11

    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target=path, headers=list(headers.items()))
    connected.settimeout(_left(deadline))
    connected.sendall((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    status, body, ended = 0, bytearray(), False
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                # However often something comes, all of it has to be there by then.
                connected.settimeout(_left(deadline))
                received = connected.recv(_PIECE)
                ended = not received
                connection.receive_data(received)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MOST:
                    raise OSError("the answer has no end")
    except h11.RemoteProtocolError:
        if ended and not status and not connection.trailing_data[0]:
            raise OSError(_NO_ANSWER) from None
        broken = (
            "the answer breaks off" if status and ended else "what answers there is no admin port (that is not HTTP)"
        )
        raise OSError(broken) from None
    return status, bytes(body)


def _left(deadline: float) -> float:
    """Seconds. Raises TimeoutError."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
