"""SIGHUP: what the files say now is served, and whoever it concerns ends; all others go on (R8)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcproxy.auth.users import parse_line
from mcproxy.auth.verifiers import make_verifier
from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.configuration import GRANTS, PASSWORDS, ROLES
from tests.support.conversation import Connection, play
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads, replace, users_text
from tests.support.tap import Tap
from tests.support.waiting import eventually

NOOP = 0x0A


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def program(request: pytest.FixtureRequest, start_proxy: StartProxy, tap: Tap) -> Proxy:
    return start_proxy(tap.address, workers=request.param, watch_files=False)


@pytest.fixture
def reloads(program: Proxy) -> Iterator[Reloads]:
    """With the files as they were at first, before and after."""
    users = (program.directory / "users").read_bytes()
    yield Reloads(program)
    program.close_connections()
    replace(program.directory / "users", users)
    Reloads(program).succeeds()


def goes_on(connection: Connection) -> None:
    play(connection, b"get app:none\r\n", b"END\r\n")


def ended(connection: Connection) -> None:
    assert connection.rest() == b"", connection


def refused(program: Proxy, user: str, password: str) -> None:
    with program.connect() as connection:
        connection.send(token(user, password))
        assert connection.line() == b"CLIENT_ERROR authentication failure\r\n"


def accepted(program: Proxy, user: str, password: str) -> None:
    with program.connect() as connection:
        connection.send(token(user, password))
        assert connection.line() == b"STORED\r\n"


def several(program: Proxy, user: str) -> list[Connection]:
    """So many that both workers have some."""
    return [program.logged_in(user) for _ in range(6)] + [program.logged_in(user, "tls") for _ in range(6)]


def test_a_removed_user_is_gone_and_others_go_on(reloads: Reloads) -> None:
    program = reloads.program
    reading, working = several(program, "reader"), several(program, "sammy")
    replace(reloads.users, lines_of(reloads, "root") + lines_of(reloads, "sammy"))
    record = reloads.sighup()
    assert record["connections_ended"] == len(reading)
    assert record["changed"] == "users_file"
    for connection in reading:
        ended(connection)
    for connection in working:
        goes_on(connection)
    refused(program, "reader", PASSWORDS["reader"])
    accepted(program, "sammy", PASSWORDS["sammy"])


def lines_of(reloads: Reloads, user: str) -> str:
    """A user's lines as they are in the file: a verifier made anew would be another secret."""
    lines = reloads.users.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith(f"{user}:"))


def test_an_added_user_can_log_in(reloads: Reloads) -> None:
    program = reloads.program
    refused(program, "newcomer", "first")
    working = several(program, "sammy")
    replace(reloads.users, reloads.users.read_text() + users_text({"newcomer": "first"}))
    assert reloads.sighup()["connections_ended"] == 0
    accepted(program, "newcomer", "first")
    for connection in working:
        goes_on(connection)


def test_a_changed_password_ends_those_who_came_with_the_old_one(reloads: Reloads) -> None:
    program = reloads.program
    old = several(program, "sammy")
    others = "".join(lines_of(reloads, name) for name in PASSWORDS if name != "sammy")
    replace(reloads.users, others + users_text({"sammy": "a new one"}))
    assert reloads.sighup()["connections_ended"] == len(old)
    for connection in old:
        ended(connection)
    refused(program, "sammy", PASSWORDS["sammy"])
    accepted(program, "sammy", "a new one")


def test_a_second_password_ends_nobody_and_dropping_the_first_ends_those_who_came_with_it(reloads: Reloads) -> None:
    program = reloads.program
    others = "".join(lines_of(reloads, name) for name in PASSWORDS if name != "sammy")
    first = lines_of(reloads, "sammy")
    verifier = parse_line(first.strip())[1]
    second = users_text({"sammy": make_verifier("the new one", verifier.iterations, verifier.salt)})
    old = several(program, "sammy")
    replace(reloads.users, others + second + first)
    assert reloads.sighup()["connections_ended"] == 0
    with program.connect() as new:
        new.send(token("sammy", "the new one"))
        assert new.line() == b"STORED\r\n"
        for connection in old:
            goes_on(connection)
        replace(reloads.users, others + second)
        assert reloads.sighup()["connections_ended"] == len(old)
        for connection in old:
            ended(connection)
        goes_on(new)


def test_changed_grants_end_those_whom_they_concern(reloads: Reloads) -> None:
    program = reloads.program
    reading, working = several(program, "reader"), several(program, "sammy")
    reloads.settings["grants"] = [*GRANTS[:2], {"user": "reader", "roles": ["app"]}, *GRANTS[3:]]
    record = reloads.succeeds()
    assert (record["changed"], record["connections_ended"]) == ("grants", len(reading))
    for connection in reading:
        ended(connection)
    for connection in working:
        goes_on(connection)
    with program.logged_in("reader") as connection:
        play(connection, b"set app:k 0 0 1\r\nx\r\n", b"STORED\r\n")


def test_a_changed_role_ends_those_who_have_it(reloads: Reloads) -> None:
    program = reloads.program
    reading, working = several(program, "reader"), several(program, "sammy")
    reloads.settings["roles"] = ROLES | {"reader": {"commands": ["read"], "keys": ["app:*", "more:*"]}}
    reloads.succeeds()
    for connection in reading:
        ended(connection)
    for connection in working:
        goes_on(connection)


def test_the_allowlist_is_held_against_those_who_are_there(reloads: Reloads) -> None:
    program = reloads.program
    near, far = program.logged_in("sammy"), program.logged_in("sammy", source="127.0.0.9")
    reloads.settings["listeners"]["plain"]["allow"] = ["127.0.0.1"]
    assert reloads.succeeds()["connections_ended"] == 1
    goes_on(near)
    ended(far)
    with program.connect(source="127.0.0.9") as connection:
        ended(connection)


def test_a_way_to_log_in_that_is_taken_out_ends_who_came_by_it(reloads: Reloads) -> None:
    program = reloads.program
    by_token, by_sasl = program.logged_in("sammy"), program.logged_in_binary("sammy")
    reloads.settings["listeners"]["plain"]["authentication"] = ["sasl"]
    reloads.succeeds()
    ended(by_token)
    assert by_sasl.ask(packets.packet(NOOP)).status == 0


def test_what_is_in_flight_is_answered_first(reloads: Reloads) -> None:
    program = reloads.program
    value = b"v" * 500_000
    with program.logged_in("root") as writer:
        play(writer, b"set app:large 0 0 %d\r\n%s\r\n" % (len(value), value), b"STORED\r\n")
    connection = program.logged_in("reader")
    connection.send(b"get app:large\r\n" * 10)
    before = connection.line()
    replace(reloads.users, "".join(lines_of(reloads, name) for name in ("root", "sammy")))
    reloads.sighup()
    reply = b"VALUE app:large 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
    assert before + connection.rest() == reply * 10


def test_limits_change_without_ending_anybody(reloads: Reloads) -> None:
    program = reloads.program
    reloads.settings["limits"] = {"connections": 4, "idle_timeout": "1h", "pipeline": 10}
    held = [program.logged_in("sammy") for _ in range(3)]
    assert reloads.succeeds()["connections_ended"] == 0
    held.append(program.logged_in("sammy"))
    with program.connect() as connection:
        ended(connection)
    for connection in held:
        goes_on(connection)


def test_the_log_follows(reloads: Reloads) -> None:
    program = reloads.program
    reloads.settings["logging"] = {"level": "debug", "format": "json"}
    assert reloads.succeeds()["changed"] == "logging"
    accepted(program, "sammy", PASSWORDS["sammy"])
    eventually("the connection is in the log", lambda: program.log_contains("connection_accepted"))


def test_nothing_changed(reloads: Reloads) -> None:
    program = reloads.program
    generation = program.metric("mcproxy_generation")
    assert reloads.sighup()["changed"] == "nothing"
    assert program.metric("mcproxy_generation") == generation


def test_the_metrics_tell(reloads: Reloads) -> None:
    program = reloads.program
    generation = program.metric("mcproxy_generation")
    results: dict[str, Any] = {
        result: program.metric("mcproxy_reloads_total", result=result) for result in ("success", "failure")
    }
    at = program.metric("mcproxy_last_reload_success_timestamp_seconds")
    reloads.settings["default_roles"] = ["reader"]
    reloads.succeeds()
    assert program.metric("mcproxy_generation") == generation + 1
    assert program.metric("mcproxy_last_reload_successful") == 1
    assert program.metric("mcproxy_last_reload_success_timestamp_seconds") > at
    replace(program.configuration_path, "listeners: 7")
    reloads.fails()
    assert program.metric("mcproxy_generation") == generation + 1
    assert program.metric("mcproxy_last_reload_successful") == 0
    assert program.metric("mcproxy_reloads_total", result="success") == results["success"] + 1
    assert program.metric("mcproxy_reloads_total", result="failure") == results["failure"] + 1


def test_the_users_file_itself_can_change(reloads: Reloads) -> None:
    program = reloads.program
    other = Path(program.directory, "other-users")
    replace(other, users_text({"sammy": "elsewhere"}))
    reloads.settings["users_file"] = str(other)
    reloads.succeeds()
    refused(program, "sammy", PASSWORDS["sammy"])
    accepted(program, "sammy", "elsewhere")
