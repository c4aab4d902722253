"""What a reload takes away is gone for connections that are there already, whatever they have under way."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartProxy
from tests.support.configuration import GRANTS, PASSWORDS
from tests.support.conversation import play
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads, replace
from tests.support.tap import Tap
from tests.support.waiting import eventually

PLAIN = {
    "bind": ["127.0.0.1:0"],
    "allow": ["127.0.0.0/8"],
    "authentication": ["sasl", "token"],
    "mechanisms": ["PLAIN", "SCRAM-SHA-256"],
}


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def program(request: pytest.FixtureRequest, start_proxy: StartProxy, tap: Tap) -> Proxy:
    known = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.0/8"], "authentication": ["address"]}
    grants = [*GRANTS, {"address": "127.0.0.0/8", "as": "neighbour", "roles": ["app"]}]
    listeners = {"plain": PLAIN, "known": known}
    return start_proxy(tap.address, workers=request.param, watch_files=False, listeners=listeners, grants=grants)


@pytest.fixture
def reloads(program: Proxy) -> Iterator[Reloads]:
    users = (program.directory / "users").read_bytes()
    yield Reloads(program)
    program.close_connections()
    replace(program.directory / "users", users)
    Reloads(program).succeeds()


def remove_sammy(reloads: Reloads) -> None:
    lines = reloads.users.read_text().splitlines(keepends=True)
    replace(reloads.users, "".join(line for line in lines if not line.startswith("sammy:")))
    assert reloads.sighup()["event"] == "reloaded"


def test_a_removed_user_who_reads_slowly_asks_for_nothing_more(reloads: Reloads) -> None:
    program = reloads.program
    value = b"v" * 900_000
    with program.logged_in("root") as root:
        play(root, b"set app:large 0 0 %d\r\n%s\r\n" % (len(value), value), b"STORED\r\n")
    slow = program.logged_in("sammy")
    asked = 1000
    slow.send(b"get app:large\r\n" * asked + b"set app:late 0 0 5\r\nowned\r\n")
    reply = b"VALUE app:large 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
    first = slow.line()
    remove_sammy(reloads)
    rest = first + slow.rest()
    assert len(rest) < asked // 4 * len(reply)
    assert b"STORED" not in rest
    with program.logged_in("root") as root:
        play(root, b"get app:late\r\n", b"END\r\n")


def test_a_mechanism_that_is_taken_out_is_gone_for_old_connections(reloads: Reloads) -> None:
    """Neither listed nor taken, and a right password isn't confirmed."""
    program = reloads.program
    session = program.logged_in("sammy")
    play(session, b"sasl mech\r\n", b"SASL_MECH PLAIN SCRAM-SHA-256\r\n")
    right, wrong = program.connect(), program.connect()
    credentials = b"\0sammy\0" + PASSWORDS["sammy"].encode()
    for connection in (right, wrong):
        connection.send(b"sasl auth PLAIN %d\r\n" % len(credentials))
        connection.send(credentials[:3])
    # Both are in the middle of it once an answer to somebody who came later is there.
    program.logged_in_binary("sammy").close()
    logins = program.metric("mcproxy_logins_total")
    reloads.settings["listeners"]["plain"]["mechanisms"] = ["SCRAM-SHA-256"]
    reloads.succeeds()
    right.send(credentials[3:] + b"\r\n")
    wrong.send(credentials[3:-1] + b"?\r\n")
    assert right.rest() == wrong.rest() == b""
    assert program.metric("mcproxy_logins_total") == logins
    play(session, b"sasl mech\r\n", b"SASL_MECH SCRAM-SHA-256\r\n")
    session.send(b"sasl auth PLAIN %d\r\n%s\r\n" % (len(credentials), credentials))
    assert session.line() == b"AUTH_ERROR\r\n"


def test_who_is_known_and_has_said_nothing_yet_is_held_to_a_new_idle_timeout(reloads: Reloads) -> None:
    program = reloads.program
    logins = len(program.events("logged_in", by="address"))
    with program.connect("known") as silent:
        eventually("it is known", lambda: len(program.events("logged_in", by="address")) > logins)
        reloads.settings["limits"] = {"idle_timeout": "100ms"}
        reloads.succeeds()
        assert silent.rest() == b""
