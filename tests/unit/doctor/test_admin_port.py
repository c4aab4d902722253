"""What the admin port says to whoever shows neither token nor certificate."""

import socket

import pytest

from mcproxy.doctor.admin_port import health, reach
from tests.unit.doctor.examining import answering, deployment, told

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


@pytest.mark.parametrize(("status", "verdicts"), [(404, ["ok"]), (200, ["finding", "finding"])])
async def test_the_health_port(status, verdicts):
    with answering(answers(localhost=status), 2) as address:
        results = await health(deployment(admin={"bind": "127.0.0.1:9156", "health_bind": str(address)}))
    assert [verdict for verdict, _ in told(results)] == verdicts
