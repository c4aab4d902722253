"""A gateway without TLS or login in front of a guard that knows it by its address, and grants it the keys app:* alone.

Many clients share the one link, and every second one asks for what the guard denies.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import LOOPBACK, configuration
from tests.support.conversation import Connection
from tests.support.gateway import gateway
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy

TOGETHER = b"SERVER_ERROR upstream has grants of its own; ask again\r\n"
END = b"END\r\n"
CLIENTS = 16


@pytest.fixture(scope="module")
def guard(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    listeners = {
        "plain": None,
        "tls": None,
        "socket": None,
        "known": {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "authentication": ["address"]},
    }
    grants = [{"address": "127.0.0.1/32", "as": "gateway", "roles": ["app"]}]
    with Memcached(short_path()) as memcached:
        directory = short_path()
        settings = configuration(directory, memcached.address, certificates, listeners=listeners, grants=grants)
        program = Proxy(directory, settings, certificates)
        try:
            yield program.start()
        finally:
            program.assert_good_end()


@pytest.fixture
def before(guard: Proxy, short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    """The gateway, with an upstream that says that it is an mcproxy and one that doesn't. Its links stay in step."""
    upstream = {"address": guard.address("known")}
    program = gateway(short_path(), certificates, {"said": {**upstream, "engine": "mcproxy"}, "unsaid": upstream})
    try:
        yield program.start()
        assert program.events("upstream_link_lost") == [], str(program)
    finally:
        program.assert_good_end()


def answers(clients: list[Connection]) -> list[bytes]:
    """What each gets, whose requests come together."""
    for number, client in enumerate(clients):
        client.send(b"get other\r\n" if number % 2 else b"get app:%d\r\n" % number)
    return [client.line() for client in clients]


RIGHT = [END, b"CLIENT_ERROR access denied\r\n"] * (CLIENTS // 2)


def test_an_upstream_that_is_said_to_be_an_mcproxy(before: Proxy) -> None:
    clients = [before.connect("said-none") for _ in range(CLIENTS)]
    for _ in range(20):
        assert answers(clients) == RIGHT
    assert before.events("upstream_has_grants") == []


def test_one_of_which_that_is_not_said(before: Proxy) -> None:
    """Nobody hears of another's denial; and once there was one, all are told what is theirs."""
    clients = [before.connect("unsaid-none") for _ in range(CLIENTS)]
    came = answers(clients)
    assert all(answer in (right, TOGETHER) for answer, right in zip(came, RIGHT, strict=True)), came
    for _ in range(20):
        assert answers(clients) == RIGHT
    (line,) = before.events("upstream_has_grants")
    assert line["upstream"] == "unsaid"
    assert line["level"] == "warning"
    assert "write engine: mcproxy" in line["reason"]
