"""Logins that are refused: because they are wrong, or unchecked, which is no verdict on them."""

import json
import socket
import time
from typing import Any

import pytest

from mcproxy.doctor.logins import APART, logins
from mcproxy.doctor.running_status import ask_status, failed_logins
from tests.unit.doctor.examining import answering, deployment, says, told

WRONG, SLOWED = "wrong user name or password (by token)", "too many failed logins (by token)"


def refuses(connection: socket.socket) -> None:
    """The text protocol's login, as protocol.txt has it."""
    connection.recv(4096)
    connection.sendall(b"CLIENT_ERROR unauthenticated\r\n")
    connection.recv(4096)
    connection.sendall(b"CLIENT_ERROR authentication failure\r\n")


def failed(reason: str, ago: float = 0.0, source: str = "127.0.0.1") -> dict[str, Any]:
    """A row of the status; what has just failed is told with the moment at which it was asked for."""
    return {"event": "login_failed", "source": source, "reason": reason, "time": time.time() - ago}


def serves(*rows: dict[str, Any]):
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        body = json.dumps({"refusals": [{**row, "time": time.time()} for row in rows]}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return talk


async def logging_in(
    *after: dict[str, Any], before: tuple[dict[str, Any], ...] = (), password: str | None = None, silent: bool = False
) -> list[tuple[str, str]]:
    """At a listener that refuses everybody. `before` and `after` are what the proxy says has failed, unless it is
    silent."""
    wrong = 0 if before or silent else 1
    questions = wrong + (password is not None)
    says_nothing = says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    talk = says_nothing if silent else serves(*after)
    with answering(refuses, questions) as address, answering(talk, questions) as admin:
        listener = {"bind": [str(address)], "allow": ["127.0.0.1/32"], "authentication": ["token"], "plaintext": False}
        status = None if silent else {"refusals": list(before)}
        examined = deployment(listener, admin={"bind": str(admin)}, status=status, user="sammy", password=password)
        results = told(await logins(examined))
    return [(verdict, seen.replace(f"{address}: ", "")) for verdict, seen in results]


async def test_a_wrong_login_that_is_refused():
    assert (await logging_in(failed(WRONG)))[-1] == ("ok", "a made-up name with a made-up password is refused (token)")


async def test_a_wrong_login_that_is_refused_unchecked():
    assert (await logging_in(failed(SLOWED)))[-1] == (
        "could not tell",
        f"a made-up name with a made-up password is refused unchecked: {SLOWED}",
    )


async def test_a_right_login_that_is_refused():
    verdicts = await logging_in(failed(WRONG), password="right")
    assert verdicts[0][0] == "finding"
    assert verdicts[0][1].startswith("the login of sammy by token is refused: ")


async def test_a_right_login_that_is_refused_unchecked():
    verdicts = await logging_in(failed(SLOWED), password="right")
    assert verdicts[0] == ("could not tell", f"the login of sammy by token is refused unchecked: {SLOWED}")


async def test_no_wrong_login_where_one_has_just_failed():
    """Many doctors, one after the other, slow down nobody who shares this address."""
    assert (await logging_in(before=(failed(WRONG, ago=APART - 5),)))[-1] == (
        "note",
        "a made-up name with a made-up password was not tried: a login from here has just failed, and more would slow "
        "down others",
    )


async def test_no_wrong_login_where_it_cannot_be_seen_whether_others_have_failed():
    """Each could be the one that slows down whoever shares this address."""
    assert (await logging_in(silent=True)) == [
        ("note", "whether a right password gets in was not tried, as none was given"),
        (
            "could not tell",
            "a made-up name with a made-up password was not tried, as it can't be seen whether others have just "
            "failed: it was not asked",
        ),
    ]


async def test_a_right_login_that_is_refused_and_nobody_tells_why():
    verdicts = await logging_in(password="right", silent=True)
    assert verdicts[0] == (
        "could not tell",
        "the login of sammy by token is refused, and whether it was checked can't be seen: the admin port answers "
        "/status.json with status 403",
    )


@pytest.mark.parametrize(
    "row", [failed(WRONG, ago=APART + 5), failed(WRONG, source="10.0.0.9"), {"event": "login_failed"}, {}]
)
async def test_what_failed_elsewhere_or_long_ago_is_in_no_way(row):
    assert failed_logins({"refusals": [row]}, "127.0.0.1", time.time() - APART) == []


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"listeners": ' + b"9" * 5000 + b"}",
        b'{"listeners": 1}',
        b'{"listeners": [1]}',
        b'{"listeners": [{"addresses": 1}]}',
        b'{"refusals": {}}',
        b"[]",
        b"\xff",
    ],
)
def test_what_is_no_status(body):
    with answering(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))) as address:
        examined = deployment(admin={"bind": str(address)})
        assert ask_status(examined.settings, None, None) == (
            None,
            "what the admin port serves as /status.json can't be read",
        )
