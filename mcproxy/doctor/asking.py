"""One question to one address, bounded in time and bytes, and all that can come of it as data.

Certificates are not verified here: what is served is itself what is examined. Nothing secret is sent this way.
"""

from __future__ import annotations

import os
import socket
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import trio

from mcproxy.config.addresses import TcpAddress, UnixAddress

PATIENCE = 2.0
"""Seconds for a whole question."""
LONGEST_ANSWER = 256 * 1024


class Outcome(Enum):
    UNREACHABLE = auto()
    """Nobody listens, or the way there is barred."""
    TLS_FAILED = auto()
    CLOSED = auto()
    """It closed the connection without a byte."""
    SILENT = auto()
    ANSWERED = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` is all that came, `detail` why nothing did. `source` is the address that it was asked from, empty for a
    unix socket; `certificate` the server's, in DER; `version` that of TLS."""

    outcome: Outcome
    data: bytes = b""
    detail: str = ""
    source: str = ""
    certificate: bytes | None = None
    version: str = ""

    @property
    def line(self) -> str:
        """The first line, for people."""
        return self.data.partition(b"\n")[0][:80].decode("ascii", "backslashreplace").strip()


def probing_context(
    only: ssl.TLSVersion | None = None, *, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """A client that takes any certificate, and offers `only` this version, however old. It shows `certificate`, if any.

    Raises ssl.SSLError where this machine's OpenSSL has no such version, and OSError for files that don't do.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    if only is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what is wanted here
            context.minimum_version = only
            context.maximum_version = only
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def whole_line(data: bytes) -> bool:
    """Whether the answer's first line is there."""
    return b"\n" in data


async def ask(
    address: TcpAddress | UnixAddress,
    question: bytes,
    *,
    tls: ssl.SSLContext | None = None,
    source: str | None = None,
    preamble: bytes = b"",
    enough: Callable[[bytes], bool] = whole_line,
    patience: float = PATIENCE,
) -> Answer:
    """Connect (from `source`, if given), send, and read until `enough` or the end. Never raises for what the other
    side does; an empty question only connects. `preamble` goes out in clear text, before TLS."""
    from_address = ""
    received = bytearray()
    certificate, version = None, ""
    try:
        with trio.fail_after(patience):
            plain = await _connect(address, source)
            async with plain:
                if isinstance(address, TcpAddress):
                    from_address = str(plain.socket.getsockname()[0])
                stream: trio.abc.Stream = plain
                if preamble:
                    await plain.send_all(preamble)
                if tls is not None:
                    secured = trio.SSLStream(plain, tls, server_hostname="mcproxy", https_compatible=True)
                    try:
                        await secured.do_handshake()
                    except (trio.BrokenResourceError, ssl.SSLError, ssl.CertificateError) as error:
                        return Answer(Outcome.TLS_FAILED, detail=_reason(error), source=from_address)
                    certificate, version = secured.getpeercert(binary_form=True), secured.version() or ""
                    stream = secured
                if question:
                    await stream.send_all(question)
                while not (question == b"" or enough(bytes(received))) and len(received) < LONGEST_ANSWER:
                    data = await stream.receive_some(16384)
                    if not data:
                        break
                    received += data
    except trio.TooSlowError:
        outcome = Outcome.ANSWERED if received else Outcome.SILENT
        return Answer(outcome, bytes(received), f"no answer within {patience:g} s", from_address, certificate, version)
    except trio.BrokenResourceError as error:
        refused = isinstance(error.__cause__, ssl.SSLError)
        outcome = Outcome.TLS_FAILED if refused else Outcome.ANSWERED if received else Outcome.CLOSED
        return Answer(outcome, bytes(received), _reason(error), from_address, certificate, version)
    except OSError as error:
        # Its own text repeats the address.
        detail = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error) or type(error).__name__
        return Answer(Outcome.UNREACHABLE, detail=detail, source=from_address)
    if question and not received:
        return Answer(Outcome.CLOSED, b"", "it closed the connection", from_address, certificate, version)
    return Answer(Outcome.ANSWERED, bytes(received), "", from_address, certificate, version)


async def _connect(address: TcpAddress | UnixAddress, source: str | None) -> trio.SocketStream:
    """Raises OSError."""
    if isinstance(address, UnixAddress):
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: object = address.path
    else:
        found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, target = found[0]
        sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        if source is not None:
            await sock.bind((source, 0))
        await sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLError):
        return cause.reason or type(cause).__name__
    return getattr(cause, "strerror", None) or "it closed the connection"


async def ask_datagram(host: str, port: int, question: bytes, patience: float) -> bytes | None:
    """What comes back for one UDP datagram; None if nothing does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with trio.move_on_after(patience), trio.socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            target = (await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM))[0][4]
            await sock.connect(target)
            await sock.send(question)
            return await sock.recv(2048)
        except OSError:  # such as that nobody is there, as ICMP says
            return None
    return None
