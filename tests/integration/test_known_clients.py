"""Clients who are known by their connection, and log in as users all the same."""

from tests.integration.conftest import StartProxy
from tests.support.conversation import play
from tests.support.proxy import token
from tests.support.tap import Tap


def test_who_is_known_by_address_may_log_in_and_is_replaced(start_proxy: StartProxy, tap: Tap) -> None:
    """And the password does not land in the cache as a value."""
    known = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["address", "token", "sasl"]}
    program = start_proxy(
        tap.address,
        listeners={"known": known},
        grants=[
            {"address": "127.0.0.1/32", "as": "legacy", "roles": ["everything"]},
            {"user": "sammy", "roles": ["app"]},
        ],
    )
    with program.connect("known") as connection:
        # sammy may not, and legacy is gone.
        asked = token("sammy", head=b"set auth 0 0") + b"get auth\r\n"
        play(connection, asked, [b"STORED\r\n", b"CLIENT_ERROR access denied\r\n"])
        play(connection, b"set app:a 0 0 1\r\nx\r\n", b"STORED\r\n")
    with program.connect("known") as connection:
        play(connection, b"get auth\r\n", b"END\r\n")
    with program.connect("known") as connection:
        connection.send(token("sammy", password="wrong") + b"get app:a\r\n")
        assert connection.line() == b"CLIENT_ERROR authentication failure\r\n"
        assert connection.line() == b"CLIENT_ERROR unauthenticated\r\n"
    with program.connect("known") as connection:
        play(connection, b"set note 0 0 11\r\nhello world\r\n", b"STORED\r\n")
        play(connection, b"get note\r\n", b"VALUE note 0 11\r\nhello world\r\nEND\r\n")


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
