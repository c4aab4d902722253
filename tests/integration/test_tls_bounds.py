"""Handshakes are bounded in bytes and in time, and no connection rests on what an earlier one has shown (case 58)."""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartProxy, ends_well
from tests.support.certificates import CLIENT_URI, Certificates
from tests.support.configuration import GRANTS, LOOPBACK, server_tls
from tests.support.conversation import play
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually

LOGIN_TIMEOUT = 1.0
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def running(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    tls = server_tls(certificates, client_ca=str(certificates.authority))
    mtls = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "tls": tls, "authentication": ["certificate"]}
    optional = {**mtls, "tls": {**tls, "client_certificate": "optional"}, "authentication": ["certificate", "token"]}
    return start_proxy(
        tap.address,
        listeners={"mtls": mtls, "optional": optional},
        grants=[*GRANTS, {"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}],
        limits={"login_timeout": f"{LOGIN_TIMEOUT}s"},
    )


@pytest.fixture
def proxy(running: Proxy, tap: Tap) -> Iterator[Proxy]:
    tap.recording.forget()
    yield running
    ends_well(running, tap)


def records(content: bytes) -> bytes:
    """Handshake records of 16 KiB each (RFC 8446 section 5.1)."""
    pieces = [content[start : start + 16384] for start in range(0, len(content), 16384)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"
WARNING = b"\x15\x03\x03\x00\x02\x01\x5a"
ENDLESS = {
    "a ClientHello of 1 MB": records(b"\x01" + MEGABYTE.to_bytes(3, "big") + b"\x03\x03" + bytes(MEGABYTE)),
    "empty records": b"\x16\x03\x01\x00\x00" * (MEGABYTE // 5),
    "warnings": WARNING * (MEGABYTE // 7),
    "changes of cipher": CHANGE_CIPHER_SPEC * (MEGABYTE // 6),
}


def pushed(connection: socket.socket, data: bytes) -> int:
    """How many bytes the proxy took before it ended the connection."""
    taken = 0
    with contextlib.suppress(ConnectionError):
        while taken < len(data):
            taken += connection.send(data[taken : taken + 65536])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
        return taken
    return min(taken, len(data) - 1)


@pytest.mark.parametrize("name", ENDLESS)
def test_a_handshake_without_an_end_is_cut_off(proxy: Proxy, tap: Tap, name: str) -> None:
    before = len(proxy.events("connection_refused", listener="mtls"))
    start = time.monotonic()
    with proxy.connect_raw("mtls") as connection:
        pushed(connection, ENDLESS[name])
    eventually("a line in the log", lambda: len(proxy.events("connection_refused", listener="mtls")) > before)
    assert time.monotonic() - start < LOGIN_TIMEOUT, "by its bytes, not by its time"
    line = proxy.events("connection_refused", listener="mtls")[-1]
    assert line["reason"].startswith("TLS handshake failed: ")
    assert tap.recording.requests() == []


def hello(certificates: Certificates) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = certificates.client_context(with_certificate=True)
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing


def test_changes_of_cipher_behind_a_good_hello_are_bounded_too(proxy: Proxy, certificates: Certificates) -> None:
    """TLS 1.3 has servers ignore them (RFC 8446 section 5), however many there are."""
    before = len(proxy.events("connection_refused", listener="mtls"))
    _, _, outgoing = hello(certificates)
    start = time.monotonic()
    with proxy.connect_raw("mtls") as connection:
        connection.sendall(outgoing.read())
        pushed(connection, CHANGE_CIPHER_SPEC * (MEGABYTE // 6))
    eventually("a line in the log", lambda: len(proxy.events("connection_refused", listener="mtls")) > before)
    assert time.monotonic() - start < LOGIN_TIMEOUT


@pytest.mark.parametrize("part", ["nothing", "half a hello", "a hello and no more"])
def test_a_handshake_that_stops_is_given_up(proxy: Proxy, certificates: Certificates, part: str) -> None:
    _, _, outgoing = hello(certificates)
    data = outgoing.read()
    before = len(proxy.events("connection_refused", listener="mtls"))
    sent = {"nothing": b"", "half a hello": data[: len(data) // 2], "a hello and no more": data}[part]
    start = time.monotonic()
    with proxy.connect_raw("mtls") as connection:
        connection.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass
    assert LOGIN_TIMEOUT * 0.9 < time.monotonic() - start < LOGIN_TIMEOUT + 2
    eventually("a line in the log", lambda: len(proxy.events("connection_refused", listener="mtls")) > before)
    assert proxy.events("connection_refused", listener="mtls")[-1]["reason"] == "no login in time"


@pytest.mark.parametrize("listener", ["mtls", "optional", "tls"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed(
    proxy: Proxy, certificates: Certificates, listener: str, version: ssl.TLSVersion
) -> None:
    """Neither by a ticket nor by a session's number. A resumed one would keep the certificate of the first."""
    context = certificates.client_context(with_certificate=True)
    context.minimum_version = context.maximum_version = version
    session = None
    for _ in range(2):
        raw = proxy.connect_raw(listener)
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as connection:
            assert not connection.session_reused
            if listener == "mtls":
                connection.sendall(b"get app:a\r\n")
                assert connection.recv(100) == b"END\r\n"
            session = connection.session
            assert session is None or not session.has_ticket


def test_a_login_beside_it_still_works(proxy: Proxy) -> None:
    with proxy.logged_in("sammy", "optional") as connection:
        play(connection, b"get app:a\r\n", b"END\r\n")
