"""TLS (case 57): a TLS port speaks TLS alone; what else comes is closed and disturbs nobody."""

import contextlib
import socket
import ssl
import struct

import pytest

from tests.support.configuration import PASSWORDS
from tests.support.conversation import Connection, play
from tests.support.packets import packet, plain
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap

JUNK = {
    "memcached text": b"get app:a\r\nversion\r\n",
    "a text login": token("sammy") + b"get app:a\r\n",
    "memcached binary": packet(0x0B) * 3,
    "a binary login": plain("sammy", PASSWORDS["sammy"]),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": bytes(300),
    "noise": bytes((number * 89 + 7) % 256 for number in range(600)),
    "SSLv2": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(40),
    "a handshake of junk": b"\x16\x03\x01\x00\x50" + b"junk" * 20,
    "a record too long": b"\x16\x03\x01\xff\xff" + bytes(200),
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
}


@pytest.mark.parametrize("name", JUNK)
def test_what_is_not_tls_is_closed(proxy: Proxy, tap: Tap, name: str) -> None:
    with Connection(proxy.connect_raw("tls")) as connection:
        connection.send(JUNK[name])
        connection.finish_sending()
        said = connection.rest()
        assert said == b"" or said[0] == 0x15, str(connection)  # nothing, or a TLS alert
        assert len(said) < 64
    assert tap.recording.requests() == []


@pytest.mark.parametrize("name", ["memcached text", "memcached binary", "HTTP", "zeros", "noise"])
def test_what_is_not_tls_is_closed_without_waiting_for_its_end(proxy: Proxy, name: str) -> None:
    with Connection(proxy.connect_raw("tls")) as connection:
        connection.send(JUNK[name])
        assert len(connection.rest()) < 64


def test_junk_in_an_established_session_ends_it(proxy: Proxy, tap: Tap) -> None:
    """A record that fails its check is the end, before or after login."""
    for login in (b"", token("sammy")):
        raw = proxy.connect_raw("tls")
        context = proxy.certificates.client_context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with Connection(raw) as connection:
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    session.do_handshake()
                    break
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
            raw.sendall(outgoing.read())
            if login:
                session.write(login)
                raw.sendall(outgoing.read())
            raw.sendall(b"\x17\x03\x03\x00\x20" + b"forged!!" * 4)
            connection.rest()
    assert tap.recording.requests() == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_that_are_spoken(proxy: Proxy, version: ssl.TLSVersion) -> None:
    context = proxy.certificates.client_context()
    context.minimum_version = context.maximum_version = version
    raw = context.wrap_socket(proxy.connect_raw("tls"), server_hostname="localhost")
    with Connection(raw) as connection:
        play(connection, token("sammy") + b"get app:a\r\n", b"STORED\r\nEND\r\n")
        assert raw.version() == {771: "TLSv1.2", 772: "TLSv1.3"}[version]


def test_large_values_both_ways_and_many_records(proxy: Proxy) -> None:
    """Larger than a TLS record and than every buffer, sent at once and answered at once."""
    value = bytes(range(256)) * 4000
    with proxy.logged_in("sammy", "tls") as connection:
        store = b"set app:large 0 0 %d\r\n%s\r\n" % (len(value), value)
        block = b"VALUE app:large 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
        play(connection, (store + b"get app:large\r\n") * 4, (b"STORED\r\n" + block) * 4)


@pytest.mark.parametrize("cut", [1, 20, 30, 40])
def test_a_store_cut_short_by_a_broken_connection_is_dropped(proxy: Proxy, tap: Tap, cut: int) -> None:
    """The end of the connection in the middle of a `set`, with and without close_notify, stores nothing."""
    sent = b"set app:cut 0 0 20\r\n" + b"v" * 20 + b"\r\n"
    for graceful in (False, True):
        connection = proxy.logged_in("sammy", "tls")
        connection.send(sent[:cut])
        tls = connection.socket
        assert isinstance(tls, ssl.SSLSocket)
        if graceful:
            with contextlib.suppress(OSError):
                tls.unwrap()
        connection.close()
    with proxy.logged_in("sammy") as connection:
        play(connection, b"get app:cut\r\n", b"END\r\n")
    assert [frame.verb for frame in tap.recording.requests()] == ["get"]


def test_resets_during_the_handshake_do_no_harm(proxy: Proxy) -> None:
    hello = _client_hello(proxy)
    for cut in (0, 1, 5, len(hello) // 2, len(hello)):
        for _ in range(5):
            raw = proxy.connect_raw("tls")
            raw.sendall(hello[:cut])
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.close()
    with proxy.logged_in("sammy", "tls") as connection:
        play(connection, b"get app:a\r\n", b"END\r\n")


def _client_hello(proxy: Proxy) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = proxy.certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()
