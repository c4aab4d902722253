"""Strangers who hold all places before login and say nothing don't keep out those who would log in."""

from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.conversation import Connection
from tests.support.haproxy import BALANCER
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap
from tests.support.waiting import eventually

PLACES = 24


def listeners() -> dict[str, Any]:
    behind = {
        "bind": ["127.0.0.1:0"],
        "allow": ["10.1.0.0/16", "2001:db8::/32"],
        "proxy_protocol": [BALANCER],
        "authentication": ["sasl", "token"],
    }
    local = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.0/8"], "authentication": ["token"]}
    return {"behind": behind, "local": local}


def conveyed(program: Proxy, source: str, data: bytes = b"") -> Connection:
    """A connection of a listed balancer for a client with this address."""
    family, own = ("TCP6", "::1") if ":" in source else ("TCP4", "10.0.0.1")
    connection = Connection(program.connect_raw("behind", source=BALANCER))
    connection.send(f"PROXY {family} {source} {own} 1 2\r\n".encode() + data)
    return connection


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("sources", [["2001:db8::{}"], ["10.1.0.1", "10.1.0.2", "2001:db8::{}"]])
def test_silent_strangers_make_room(start_proxy: StartProxy, tap: Tap, workers: int, sources: list[str]) -> None:
    """Their connections last a minute, so whoever gets in before that gets in by this alone."""
    limits = {"login_connections": PLACES, "login_timeout": "1m"}
    program = start_proxy(tap.address, listeners=listeners(), limits=limits, workers=workers)
    with ExitStack() as ends:
        for number in range(2 * PLACES):
            source = sources[number % len(sources)].format(f"{number:x}")
            ends.enter_context(conveyed(program, source))
        with program.connect("local") as local:
            local.send(token("sammy"))
            assert local.line() == b"STORED\r\n", "another listener has places of its own"
        for source in ("10.1.9.9", "2001:db8:9::9"):
            for connection in [ends.enter_context(conveyed(program, source, token("sammy"))) for _ in range(4)]:
                assert connection.line() == b"STORED\r\n"
        crowded_out = program.metric("mcproxy_connections_refused_total", listener="behind", reason="crowded_out")
        assert 1 <= crowded_out <= 2 * PLACES
        eventually(
            "it is logged",
            lambda: program.events("connection_refused", reason="it was silent while others needed its place"),
        )
        assert program.metric("mcproxy_connections_refused_total", reason="login_timeout") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rush_of_clients_who_talk_gets_in(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    """As after a restart: more of them than there are places, of few addresses, and nobody is turned away."""
    program = start_proxy(tap.address, listeners=listeners(), limits={"login_connections": 64}, workers=workers)
    with ExitStack() as ends:
        rush = [ends.enter_context(conveyed(program, f"10.1.0.{number % 12}", token("sammy"))) for number in range(600)]
        for connection in rush:
            assert connection.line() == b"STORED\r\n"
    assert program.metric("mcproxy_connections_refused_total") == 0
