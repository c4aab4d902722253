"""What the admin port says to whoever shows neither token nor certificate."""

import socket
import ssl

import pytest

from mcproxy.doctor.admin_port import health, reach
from tests.unit.doctor.examining import answering, deployment, says, told

TOKEN = {"token_file": "/nonexistent/token"}


def answers(**to: int):
    """Somebody who answers with a status by the Host header: `localhost` or `other`."""

    def talk(connection: socket.socket) -> None:
        request = connection.recv(4096)
        status = to["localhost" if b"Host: localhost" in request else "other"]
        connection.sendall(b"HTTP/1.1 %d said\r\nContent-Length: 0\r\n\r\n" % status)

    return talk


@pytest.mark.parametrize(
    ("guard", "statuses", "questions", "verdicts"),
    [
        ({}, {"localhost": 200, "other": 421}, 2, ["note", "ok"]),
        ({}, {"localhost": 200, "other": 200}, 2, ["note", "finding"]),
        (TOKEN, {"localhost": 401, "other": 401}, 1, ["ok"]),
        (TOKEN, {"localhost": 200, "other": 421}, 2, ["finding", "ok"]),
        (TOKEN, {"localhost": 403}, 1, ["ok"]),
        (TOKEN, {"localhost": 421}, 1, ["ok"]),
        (TOKEN, {"localhost": 404}, 1, ["could not tell"]),
        (TOKEN, {"localhost": 500}, 1, ["could not tell"]),
    ],
)
async def test_the_admin_port(guard, statuses, questions, verdicts):
    with answering(answers(**statuses), questions) as address:
        examined = deployment(admin={"bind": str(address), **guard}, addresses=("127.0.0.1",))
        results = await reach(examined)
    assert [verdict for verdict, _ in told(results)] == verdicts


async def test_a_unix_socket_is_no_matter_of_the_network():
    results = await reach(deployment(admin={"bind": "unix:/run/mcproxy/admin.sock"}))
    assert [verdict for verdict, _ in told(results)] == ["ok"]


async def test_nobody_there_is_not_taken_for_well():
    with answering(answers(localhost=200), 0) as address:
        pass
    results = await reach(deployment(admin={"bind": str(address)}, addresses=("127.0.0.1",)))
    assert [verdict for verdict, _ in told(results)] == ["could not tell"]


@pytest.mark.parametrize("words", [b"", b"END\r\n\r\n", b"HTTP/1.1 " + b"9" * 30 + b" no\r\n\r\n"])
async def test_what_is_no_admin_port_is_not_taken_for_well(words):
    with answering(says(words)) as address:
        results = await reach(deployment(admin={"bind": str(address), **TOKEN}, addresses=("127.0.0.1",)))
    assert [verdict for verdict, _ in told(results)] == ["could not tell"]


async def test_a_port_that_asks_for_a_certificate_is_well(certificates):
    """It says so only once the handshake is done, from the client's point of view."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    context.load_verify_locations(certificates.authority)
    context.verify_mode = ssl.CERT_REQUIRED

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            pass

    tls = {"certificate": "/nonexistent/crt", "key": "/nonexistent/key", "client_ca": "/nonexistent/ca"}
    with answering(talk) as address:
        results = await reach(deployment(admin={"bind": str(address), "tls": tls}, addresses=("127.0.0.1",)))
    assert [verdict for verdict, _ in told(results)] == ["ok"]


@pytest.mark.parametrize(("status", "verdicts"), [(404, ["ok"]), (200, ["finding", "finding"])])
async def test_the_health_port(status, verdicts):
    with answering(answers(localhost=status), 2) as address:
        results = await health(deployment(admin={"bind": "127.0.0.1:9156", "health_bind": str(address)}))
    assert [verdict for verdict, _ in told(results)] == verdicts
