"""Questions to real sockets: what can come of one, and that an old version of TLS is seen where it is spoken."""

import socket
import ssl
import warnings

import pytest

from mcproxy.config.addresses import TcpAddress
from mcproxy.doctor.asking import Outcome, ask, ask_datagram, probing_context
from mcproxy.doctor.doors import Door
from mcproxy.doctor.served import _older
from mcproxy.doctor.strangers import _BINARY, _TEXT, _judged
from tests.unit.doctor.examining import answering, deployment, says


async def test_an_answer():
    with answering(says(b"END\r\n")) as address:
        answer = await ask(address, b"get a\r\n")
    assert (answer.outcome, answer.data, answer.source) == (Outcome.ANSWERED, b"END\r\n", "127.0.0.1")


async def test_a_closed_connection():
    with answering(lambda connection: None) as address:
        answer = await ask(address, b"get a\r\n")
    assert answer.outcome is Outcome.CLOSED


async def test_silence():
    def waits(connection: socket.socket) -> None:
        while connection.recv(100):
            pass

    with answering(waits) as address:
        answer = await ask(address, b"get a\r\n", patience=0.1)
    assert answer.outcome is Outcome.SILENT


async def test_nobody():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert (await ask(TcpAddress("127.0.0.1", port), b"get a\r\n")).outcome is Outcome.UNREACHABLE


async def test_no_tls_where_it_was_hoped_for():
    with answering(says(b"ERROR\r\n")) as address:
        answer = await ask(address, b"get a\r\n", tls=probing_context())
    assert answer.outcome is Outcome.TLS_FAILED


async def test_a_datagram():
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert await ask_datagram("127.0.0.1", port, b"version", 0.05) is None
        assert server.recv(100) == b"version"
    assert await ask_datagram("127.0.0.1", port, b"version", 5) is None  # told by ICMP, at once


@pytest.mark.parametrize("only", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
async def test_an_old_version_of_tls_is_seen(certificates, only):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            pass

    with answering(talk) as address:
        door = Door("private", deployment().settings.listeners["private"], address)
        result = await _older(door, only)
    assert result.verdict == "finding"


@pytest.mark.parametrize(
    ("probe", "data", "verdict"),
    [
        (_TEXT, b"CLIENT_ERROR unauthenticated\r\n", "ok"),
        (_TEXT, b"ERROR\r\n", "ok"),
        (_TEXT, b"END\r\n", "finding"),
        (_TEXT, b"VALUE a 0 1\r\n", "finding"),
        (_TEXT, b"HTTP/1.1 200 OK\r\n", "finding"),
        (_BINARY, b"\x81\x00\x00\x00\x00\x00\x00\x20" + bytes(16), "ok"),
        (_BINARY, b"\x81\x00\x00\x00\x00\x00\x00\x01" + bytes(16), "finding"),
        (_BINARY, b"\x81\x00\x00\x00\x00\x00\x00\x00" + bytes(16), "finding"),
        (_BINARY, b"\x81\x00", "finding"),
    ],
)
async def test_whether_it_was_refused(probe, data, verdict):
    with answering(says(data)) as address:
        answer = await ask(address, probe.question, enough=lambda received: received == data)
    door = Door("private", deployment().settings.listeners["private"], address)
    assert _judged(door, probe, answer).verdict == verdict
