"""Clients who are known by their connection, and log in as users all the same."""

import pytest

from tests.integration.conftest import StartProxy
from tests.support.configuration import ROLES
from tests.support.conversation import play
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap

KNOWN = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["address", "token", "sasl"]}


@pytest.fixture(scope="module")
def program(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """Who comes from 127.0.0.1 may write keys that begin with `old:`."""
    return start_proxy(
        tap.address,
        listeners={"known": KNOWN},
        roles={**ROLES, "old": {"commands": ["read", "write"], "keys": ["old:*"]}},
        grants=[{"address": "127.0.0.1/32", "as": "legacy", "roles": ["old"]}, {"user": "sammy", "roles": ["app"]}],
    )


def test_who_is_known_by_address_may_log_in_and_is_replaced(program: Proxy, tap: Tap) -> None:
    """And the password does not land in the cache as a value."""
    with program.connect("known") as connection:
        # sammy may not, and legacy is gone.
        asked = token("sammy", head=b"set auth 0 0") + b"get old:a\r\n"
        play(connection, asked, [b"STORED\r\n", b"CLIENT_ERROR access denied\r\n"])
        play(connection, b"set app:a 0 0 1\r\nx\r\n", b"STORED\r\n")
    assert [request.keys for request in tap.recording.requests()] == [(b"app:a",)]
    with program.connect("known") as connection:
        connection.send(token("sammy", password="wrong") + b"get app:a\r\n")
        assert connection.line() == b"CLIENT_ERROR authentication failure\r\n"
        assert connection.line() == b"CLIENT_ERROR unauthenticated\r\n"


@pytest.mark.parametrize("name", ["sammy", "nobody", "hello"])
def test_what_is_a_login_does_not_tell_who_exists(program: Proxy, name: str) -> None:
    """Under a key of his own he stores, whosever name the value begins with; else he logs in, or fails to."""
    value = f"{name} world".encode()
    with program.connect("known") as connection:
        play(connection, b"set old:note 0 0 %d\r\n%s\r\n" % (len(value), value), b"STORED\r\n")
        whole = b"VALUE old:note 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
        play(connection, b"get old:note\r\n", whole)
    before = program.metric("mcproxy_logins_total", listener="known", mechanism="token", result="failure")
    with program.connect("known") as connection:
        connection.send(b"set note 0 0 %d\r\n%s\r\n" % (len(value), value))
        assert connection.line() == b"CLIENT_ERROR authentication failure\r\n"
    after = program.metric("mcproxy_logins_total", listener="known", mechanism="token", result="failure")
    assert after == before + 1


def test_a_login_that_does_not_end_costs_little(program: Proxy) -> None:
    """A length of many digits is none: nothing is kept until so much has come."""
    with program.connect("known") as connection:
        connection.send(b"set note 0 0 000000009999999999\r\n" + b"x" * 100_000)
        assert connection.line().startswith(b"CLIENT_ERROR"), str(connection)


def test_many_logins_at_once_wait_for_their_turn(start_proxy: StartProxy, tap: Tap) -> None:
    """After a restart all clients come back together: none of them may be turned away for that."""
    program = start_proxy(tap.address, limits={"login_connections": 4})
    silent = [program.connect_raw("plain") for _ in range(3)]
    connections = [program.connect_raw("plain") for _ in range(40)]
    for connection in connections:
        connection.sendall(token("sammy"))
    for connection in connections:
        assert connection.recv(100) == b"STORED\r\n"
    assert program.metric("mcproxy_connections_refused_total", listener="plain", reason="too_many") == 0
    for connection in silent + connections:
        connection.close()
