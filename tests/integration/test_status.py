"""/status.json of the real program: one process and several tell the same, and whatever strangers say stays data."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.admin_port import ask_admin, status_of
from tests.support.certificates import Certificates
from tests.support.configuration import LOOPBACK, server_tls
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads
from tests.support.tap import Tap
from tests.support.waiting import eventually
from tests.support.workers import restarted, sockets_of, worker_processes

HOSTILE = '\u202ex\x1b[2J"><img src=a>'

DOCUMENTED = Path(__file__).parents[2] / "docs" / "status.md"


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def program(request: pytest.FixtureRequest, start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    by_certificate = {
        "bind": ["127.0.0.1:0"],
        "allow": LOOPBACK,
        "authentication": ["certificate"],
        "tls": server_tls(certificates, client_ca=str(certificates.authority)),
    }
    return start_proxy(tap.address, workers=request.param, listeners={"certified": by_certificate})


@pytest.fixture
def sessions() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def by_name(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((row for row in rows if row["name"] == name), {})


def principal(program: Proxy, name: str) -> dict[str, int]:
    nothing = {"sessions": 0, "requests": 0, "hits": 0, "misses": 0, "denied": 0}
    return nothing | by_name(status_of(program)["principals"], name)


def refusals(program: Proxy, **fields: Any) -> list[dict[str, Any]]:
    rows = status_of(program)["refusals"]
    return [row for row in rows if all(row[name] == value for name, value in fields.items())]


def shape(value: Any) -> Any:
    """The keys of what is there, the rows of a list as one; figures and words are left out."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return shape(value[0]) if isinstance(value, list) and value else None


def test_the_shape_is_the_documented_one(program: Proxy, sessions: ExitStack) -> None:
    sessions.enter_context(program.logged_in("sammy"))
    with program.connect() as connection:
        connection.send(b"version\r\n")
        assert connection.line()
    expected = shape(json.loads(DOCUMENTED.read_text().partition("```json\n")[2].partition("```")[0]))
    found = shape(status_of(program))
    # None before the first reload, and without a certificate.
    expected["last_reload"] = expected["listeners"]["certificates"] = None
    assert found == expected


def test_who_listens_and_where_requests_go(program: Proxy) -> None:
    status = status_of(program)
    workers = status["workers"]["configured"]
    listener = by_name(status["listeners"], "certified")
    assert listener["addresses"] == [program.address("certified")]
    assert listener["encryption"] == "TLS 1.2 or newer, client certificate required"
    assert listener["authentication"] == ["certificate"]
    assert listener["allow"] == LOOPBACK
    assert {row["key"] for row in listener["certificates"]} == {"certificate", "client_ca"}
    assert all(row["expires"] > status["now"] > status["started"] for row in listener["certificates"])
    (upstream,) = status["upstreams"]
    assert listener["upstream"] == upstream["name"] == "upstream"
    assert (upstream["engine"], upstream["login"], upstream["tls"], upstream["failures"]) == (
        "memcached",
        None,
        False,
        0,
    )
    pools = [{"protocol": name, "wanted": 2 * workers, "outdated": 0, "obstacle": None} for name in ("binary", "text")]
    eventually("all links are there", lambda: links(program) == [2 * workers] * 2)
    for pool in status_of(program)["upstreams"][0]["pools"]:
        assert {key: value for key, value in pool.items() if key != "links"} in pools
    assert (status["ready"], status["draining"]) == (None, False)


def links(program: Proxy) -> list[int]:
    return [pool["links"] for pool in status_of(program)["upstreams"][0]["pools"]]


def test_sessions_and_requests_of_all_workers_add_up(program: Proxy, sessions: ExitStack) -> None:
    before, count = principal(program, "sammy"), 12
    processes = list(worker_processes(program).values())
    idle = {process: sockets_of(process) for process in processes}
    for number in range(count):
        connection = sessions.enter_context(program.logged_in("sammy"))
        connection.send(b"set app:%d 0 0 1\r\na\r\nget app:%d\r\nget app:none\r\nget other\r\n" % (number, number))
        connection.receive(
            len(b"STORED\r\nVALUE app:%d 0 1\r\na\r\nEND\r\nEND\r\nCLIENT_ERROR access denied\r\n" % number)
        )
    assert all(sockets_of(process) > idle[process] for process in processes), "one worker has them all"
    after = principal(program, "sammy")
    grown = {key: after[key] - before[key] for key in ("sessions", "requests", "hits", "misses", "denied")}
    assert grown == {"sessions": count, "requests": 3 * count, "hits": count, "misses": count, "denied": count}
    status = status_of(program)
    assert by_name(status["listeners"], "plain")["sessions"] == count
    assert status["saturation"]["connections"] == count
    assert 0 < status["saturation"]["descriptors"] < status["saturation"]["descriptors_limit"]
    (denied,) = refusals(program, event="request_refused", principal="user:sammy", reason="denied (class read)")
    assert (denied["listener"], denied["source"], denied["count"]) == ("plain", "127.0.0.1", count)


def test_a_failed_login_is_there_with_its_reason(program: Proxy) -> None:
    for user, password in (("sammy", "wrong"), ("no-such-user", "my real password")):
        with program.connect() as connection:
            connection.send(token(user, password))
            assert connection.line() == b"CLIENT_ERROR authentication failure\r\n"
    (known,) = refusals(program, event="login_failed", principal="user:sammy")
    assert known["reason"] == "wrong user name or password (by token)"
    (unknown,) = refusals(program, event="login_failed", principal="unknown")
    assert unknown["listener"] == "plain"
    body = ask_admin(program, "/status.json").body
    for secret in (b"wrong horse", b"no-such-user", b"my real password"):
        assert secret not in body


def test_hostile_names_are_data(program: Proxy, certificates: Certificates) -> None:
    stranger = certificates.client(f"{HOSTILE[-14:]}{'a' * 30}")
    context = stranger.show_to(certificates.client_context())
    with program.connect_raw("certified") as raw, context.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(b"version\r\n")
        assert connection.recv(100).startswith(b"CLIENT_ERROR ")
    (refusal,) = refusals(program, event="login_failed", listener="certified")
    assert refusal["reason"].startswith("no grant names this certificate (by certificate, names ")
    assert "<img src=a" in refusal["reason"]
    assert ask_admin(program, "/status.json").body.isascii()
    assert refusal["reason"].isprintable()


def test_a_failed_reload_is_told_and_a_good_one_after_it(program: Proxy) -> None:
    reloads = Reloads(program)
    generation, files = (status_of(program)[key] for key in ("generation", "files"))
    reloads.settings["grants"] = [{"user": HOSTILE * 2000, "roles": ["app"]}]
    reloads.write()
    reloads.fails()
    status = status_of(program)
    assert (status["generation"], status["last_reload"]["result"]) == (generation, "failure")
    assert status["files"] == files
    problem = status["last_reload"]["problem"]
    assert "mcproxy.yaml:" in problem
    assert len(problem) <= 200
    assert problem.isprintable()
    assert refusals(program, event="reload_failed")[0]["reason"] == problem
    reloads.settings = dict(program.settings) | {"default_roles": ["reader"]}
    reloads.succeeds()
    status = status_of(program)
    assert (status["generation"], status["last_reload"]["result"]) == (generation + 1, "success")
    assert [row["key"] for row in status["files"] if row not in files] == ["configuration"]
    assert status["last_reload"]["problem"] is None
    assert status["last_reload"]["time"] > status["started"]


def test_a_secret_on_disk_that_is_not_what_is_served_is_told(program: Proxy) -> None:
    reloads, files = Reloads(program), status_of(program)["files"]
    assert {row["unchanged"] for row in files if "unchanged" in row} == {True}
    before = reloads.users.read_bytes()
    reloads.users.write_bytes(before + b"no verifier")
    reloads.fails()
    different = [row for row in status_of(program)["files"] if row not in files]
    assert different == [{"key": "users_file", "unchanged": False}]
    reloads.users.write_bytes(before)
    assert reloads.sighup()["changed"] == "nothing"
    assert status_of(program)["files"] == files


def test_rates_are_there_without_anybody_having_asked_before(program: Proxy, sessions: ExitStack) -> None:
    connection = sessions.enter_context(program.logged_in("sammy"))

    def is_shown() -> bool:
        connection.send(b"get app:none\r\n")
        assert connection.line() == b"END\r\n"
        rates = status_of(program)["rates"]
        lengths = {len(points) for points in rates["series"].values()}
        assert len(lengths) == 1
        return all(
            rates["series"][name] and rates["series"][name][-1] > 0 for name in ("requests", "misses", "sent_bytes")
        )

    eventually("a rate", is_shown, every=0.1)
    assert 0 <= status_of(program)["saturation"]["busy"] <= 1


@pytest.mark.parametrize("program", [2], ids=["two workers"], indirect=True, scope="module")
def test_a_killed_worker_is_told_and_totals_do_not_fall(program: Proxy) -> None:
    eventually("reports are in", lambda: status_of(program)["workers"]["silent"] == 0)
    connections = by_name(status_of(program)["listeners"], "plain")["connections"]
    before = worker_processes(program)[1]
    os.kill(before, signal.SIGKILL)
    restarted(program, 1, before)
    (refusal,) = refusals(program, event="worker_ended")
    assert refusal["reason"] == "killed by signal SIGKILL (worker 1)"
    status = status_of(program)
    assert status["workers"] == {"configured": 2, "alive": 2, "silent": 0, "restarts": 1}
    assert by_name(status["listeners"], "plain")["connections"] >= connections


def test_an_upstream_that_cannot_be_reached_is_told(start_proxy: StartProxy, tap: Tap) -> None:
    limits = {"connections": 100}
    program = start_proxy("127.0.0.1:1", limits=limits)
    status = status_of(program)
    assert "no connection" in status["ready"]
    assert {pool["obstacle"] for pool in status["upstreams"][0]["pools"]} == {"no connection"}
    assert status["upstreams"][0]["failures"] > 0
    assert status["saturation"]["connections_limit"] == 100
    assert status["verdict"]["level"] == "critical"
    (row,) = [row for row in status["refusals"] if "text" in row["reason"]]
    assert (row["event"], row["listener"]) == ("upstream_unavailable", None)
