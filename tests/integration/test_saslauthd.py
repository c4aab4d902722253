"""saslauthd as the second source of truth: asked about whom the users file doesn't have, and never waited for long."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scramp import ScramClient  # type: ignore[import-untyped]

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.configuration import BEHIND, PASSWORDS
from tests.support.conversation import Connection, play
from tests.support.proxy import Proxy, token
from tests.support.saslauthd import Directory, Saslauthd
from tests.support.tap import Tap
from tests.support.waiting import eventually

ACCOUNTS = {"olga": 'her "secret" \\o/', "anna": "ungranted", "sammy": "another than in the users file"}
TIMEOUT = 0.3
REFUSED = b"CLIENT_ERROR authentication failure\r\n"
SILENT = "saslauthd does not answer"


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with Directory(dict(ACCOUNTS)) as imap:
        yield imap


@pytest.fixture(scope="module")
def running_saslauthd(short_path: Callable[[], Path], directory: Directory) -> Iterator[Saslauthd]:
    with Saslauthd(short_path(), directory) as daemon:
        yield daemon


@pytest.fixture
def saslauthd(running_saslauthd: Saslauthd, directory: Directory, behind_it: Proxy) -> Iterator[Saslauthd]:
    """The daemon for one test; afterwards it runs and answers, and the program takes its word again."""
    yield running_saslauthd
    running_saslauthd.revive()
    directory.accounts = dict(ACCOUNTS)
    directory.late = 0.0
    behind_it.close_connections()
    eventually("it is believed again", lambda: login(behind_it, "olga", "10.0.0.250") == b"STORED\r\n")


def logged(program: Proxy, event: str, **fields: str) -> None:
    """The log says so, soon: it is read by another thread."""
    eventually(f"{event} of {fields} is logged", lambda: program.log_contains(event, **fields))


def settings(daemon: Saslauthd, **more: Any) -> dict[str, Any]:
    listener = {
        "bind": ["127.0.0.1:0"],
        **BEHIND,
        "authentication": ["sasl", "token"],
        "mechanisms": ["PLAIN"],
        **more,
    }
    return {
        "listeners": {"plain": listener, "tls": None, "socket": None},
        "saslauthd": {"socket": str(daemon.socket), "timeout": f"{TIMEOUT}s"},
    }


@pytest.fixture(scope="module")
def behind_it(start_proxy: StartProxy, tap: Tap, running_saslauthd: Saslauthd) -> Proxy:
    mechanisms = ["SCRAM-SHA-256", "PLAIN"]
    return start_proxy(
        tap.address,
        grants=[{"user": "olga", "roles": ["app"]}, {"user": "sammy", "roles": ["app"]}],
        default_roles=["statistics"],
        **settings(running_saslauthd, mechanisms=mechanisms),
    )


def login(program: Proxy, user: str, source: str, password: str | None = None) -> bytes:
    """The answer to a login with the token."""
    with Connection(program.connect_raw("plain", source=source)) as connection:
        connection.send(token(user, ACCOUNTS[user] if password is None else password))
        return connection.line()


def session(program: Proxy, user: str, source: str) -> Connection:
    connection = program.connect(source=source)
    connection.send(token(user, ACCOUNTS[user]))
    assert connection.line() == b"STORED\r\n", f"{connection}\n{program}"
    return connection


def test_whoever_saslauthd_accepts_logs_in(behind_it: Proxy, saslauthd: Saslauthd) -> None:
    play(session(behind_it, "olga", "10.0.0.10"), b"get app:a\r\n", b"END\r\n")
    with behind_it.connect(source="10.0.0.10") as connection:
        assert connection.ask(packets.plain("olga", ACCOUNTS["olga"])).status == 0
        connection.in_step_binary()
    for by in ("token", "PLAIN"):
        logged(behind_it, "logged_in", principal="user:olga", by=by)


@pytest.mark.parametrize(
    "password",
    ["wrong", "", 'her "secret" \\o/ ', 'her "secret" \\o/\0', 'her "secret" \\o/\0junk', "x" * 257, "a\r\nb"],
)
def test_a_wrong_password_is_refused(
    behind_it: Proxy, saslauthd: Saslauthd, directory: Directory, password: str
) -> None:
    """saslauthd would cut a password off at a NUL, and find the right one."""
    before = behind_it.metric("mcproxy_logins_total", result="unavailable")
    assert login(behind_it, "olga", f"10.0.1.{len(password) % 250}", password) != b"STORED\r\n"
    assert behind_it.metric("mcproxy_logins_total", result="unavailable") == before


def test_names_of_the_users_file_are_decided_by_it_alone(
    behind_it: Proxy, saslauthd: Saslauthd, directory: Directory
) -> None:
    directory.asked.clear()
    assert login(behind_it, "sammy", "10.0.0.11") == REFUSED
    assert login(behind_it, "sammy", "10.0.0.11", PASSWORDS["sammy"]) == b"STORED\r\n"
    assert "sammy" not in directory.asked


@pytest.mark.parametrize("name", ["olga ", "ol:ga", "#olga", "ol\u00a0ga", "x" * 129, "ol\x07ga"])
def test_names_that_no_user_can_have_are_not_asked_about(
    behind_it: Proxy, saslauthd: Saslauthd, directory: Directory, name: str
) -> None:
    directory.accounts = {name: "secret"}
    directory.asked.clear()
    with behind_it.connect(source="10.0.0.12") as connection:
        assert connection.ask(packets.plain(name, "secret")).status == 0x20
    assert directory.asked == []


def test_its_users_have_what_grants_give_them_and_no_default_roles(behind_it: Proxy, saslauthd: Saslauthd) -> None:
    denied = b"CLIENT_ERROR access denied\r\n"
    play(session(behind_it, "olga", "10.0.0.13"), b"get app:a\r\nstats\r\n", b"END\r\n" + denied)
    play(session(behind_it, "anna", "10.0.0.13"), b"get app:a\r\nstats\r\n", denied + denied)
    with behind_it.logged_in("watcher") as of_the_file:
        of_the_file.send(b"stats\r\n")
        assert of_the_file.line().startswith(b"STAT ")


def test_a_closed_account_logs_in_no_more_and_its_session_goes_on(
    behind_it: Proxy, saslauthd: Saslauthd, directory: Directory
) -> None:
    olga = session(behind_it, "olga", "10.0.0.14")
    del directory.accounts["olga"]
    assert login(behind_it, "olga", "10.0.0.14") == REFUSED
    play(olga, b"get app:a\r\n", b"END\r\n")


def scram(program: Proxy) -> None:
    client = ScramClient(["SCRAM-SHA-256"], "sammy", PASSWORDS["sammy"])
    with program.connect() as connection:
        first = connection.ask(packets.packet(packets.AUTH, b"SCRAM-SHA-256", value=client.get_client_first().encode()))
        client.set_server_first(first.value.decode())
        step = packets.packet(packets.STEP, b"SCRAM-SHA-256", value=client.get_client_final().encode())
        client.set_server_final(connection.ask(step).value.decode())
        assert connection.ask(packets.packet(packets.STEP, b"SCRAM-SHA-256")).status == 0


@pytest.mark.parametrize("how", ["kill", "hang"])
def test_without_saslauthd_its_users_are_refused_in_time_and_all_else_goes_on(
    behind_it: Proxy, saslauthd: Saslauthd, how: str
) -> None:
    olga = session(behind_it, "olga", "10.0.0.15")
    outages = len(behind_it.events("saslauthd_unavailable"))
    before = behind_it.metric("mcproxy_logins_total", mechanism="token", result="unavailable")
    getattr(saslauthd, how)()
    began = time.monotonic()
    for _ in range(2):
        assert login(behind_it, "olga", "10.0.0.15") == REFUSED
    assert time.monotonic() - began < 2 * TIMEOUT + 1
    play(olga, b"get app:a\r\n", b"END\r\n")
    behind_it.logged_in("sammy").in_step()
    scram(behind_it)
    assert behind_it.metric("mcproxy_logins_total", mechanism="token", result="unavailable") == before + 2
    logged(behind_it, "login_failed", reason=SILENT, source="10.0.0.15", principal="unknown")
    answers = len(behind_it.events("saslauthd_answers"))
    saslauthd.revive()
    eventually("olga logs in again", lambda: login(behind_it, "olga", "10.0.0.15") == b"STORED\r\n")
    eventually("that is logged", lambda: len(behind_it.events("saslauthd_answers")) == answers + 1)
    assert len(behind_it.events("saslauthd_unavailable")) == outages + 1, "one line for one outage"


def test_a_hanging_saslauthd_holds_up_nobody_but_its_users(behind_it: Proxy, saslauthd: Saslauthd) -> None:
    """More of them than may ask at once, all refused by the time that one of them has."""
    saslauthd.hang()
    waiting = [behind_it.connect(source=f"10.0.2.{number}") for number in range(1, 41)]
    began = time.monotonic()
    for number, connection in enumerate(waiting):
        connection.send(token("anna", f"guess {number}"))
    behind_it.logged_in("sammy").in_step()
    assert time.monotonic() - began < TIMEOUT + 1
    assert {connection.line() for connection in waiting} == {REFUSED}
    assert time.monotonic() - began < 2 * TIMEOUT + 2


def test_guesses_are_not_free_when_the_answers_are_late(
    behind_it: Proxy, saslauthd: Saslauthd, directory: Directory
) -> None:
    """A back end that answers wrong passwords late must not hide them from the throttle."""
    directory.late = 2 * TIMEOUT
    for number in range(5):
        login(behind_it, "anna", "10.0.0.17", f"guess {number}")
    began = time.monotonic()
    login(behind_it, "anna", "10.0.0.17", "guess 6")
    assert time.monotonic() - began > 0.8, "from the fifth failure on, slots are a second apart"


def test_an_outage_slows_nobody_down(behind_it: Proxy, saslauthd: Saslauthd) -> None:
    """What couldn't be asked was no guess."""
    saslauthd.kill()
    began = time.monotonic()
    for _ in range(12):
        assert login(behind_it, "olga", "10.0.0.18") == REFUSED
    saslauthd.revive()
    assert login(behind_it, "olga", "10.0.0.18") == b"STORED\r\n"
    assert time.monotonic() - began < 5
    assert not behind_it.events("login_failed", source="10.0.0.18", reason="too many failed logins")


def test_no_users_file_is_needed_and_workers_ask_too(
    start_proxy: StartProxy, tap: Tap, running_saslauthd: Saslauthd
) -> None:
    grants = [{"user": "olga", "roles": ["app"]}]
    program = start_proxy(tap.address, users_file=None, grants=grants, workers=2, **settings(running_saslauthd))
    for _ in range(4):
        play(session(program, "olga", "127.0.0.1"), b"get app:a\r\n", b"END\r\n")
    assert login(program, "olga", "127.0.0.1", "wrong") == REFUSED
