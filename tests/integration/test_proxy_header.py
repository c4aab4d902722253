"""Behind a balancer: the client's address is what the PROXY header of a listed one says, and of nobody else."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, server_tls
from tests.support.conversation import Connection, play
from tests.support.haproxy import BALANCER, Frontend, Haproxy
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap
from tests.support.waiting import eventually

VERSIONS = {"v1": "send-proxy", "v2": "send-proxy-v2 proxy-v2-options crc32c,unique-id"}
ALLOWED = ["127.0.0.5", "127.0.0.6", "::1", "10.1.0.0/16", "2001:db8::/32"]
LINE = b"PROXY TCP4 %b 127.0.0.1 40000 11211\r\n"
JUNK = "no PROXY header, which a listed balancer must send first"


@pytest.fixture(scope="module")
def listening(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    behind = {"bind": ["127.0.0.1:0"], "allow": ALLOWED, "proxy_protocol": [BALANCER]}
    login = {"authentication": ["sasl", "token"]}
    listeners: dict[str, Any] = {
        "behind": behind | login,
        "secure": behind | login | {"tls": server_tls(certificates)},
        "legacy": behind | {"authentication": ["address"], "protocols": ["text"]},
        **{f"checked-{version}": behind | login | {"allow": [*ALLOWED, BALANCER]} for version in VERSIONS},
    }
    grants = [
        {"user": "sammy", "roles": ["app"]},
        {"address": "127.0.0.6", "as": "six", "roles": ["app"]},
        {"address": "2001:db8::6", "as": "six", "roles": ["app"]},
        {"address": BALANCER, "as": "balancer", "roles": ["everything"]},
    ]
    return start_proxy(
        tap.address, listeners=listeners, grants=grants, limits={"connections_per_address": 3, "login_timeout": "1s"}
    )


@pytest.fixture(scope="module")
def haproxy(listening: Proxy, short_path: Callable[[], Path]) -> Iterator[Haproxy]:
    frontends = {
        f"{name}-{version}": Frontend(listening.address(name), options)
        for name in ("behind", "secure", "legacy")
        for version, options in VERSIONS.items()
    }
    for version, options in VERSIONS.items():
        frontends[f"six-{version}"] = Frontend(listening.address("behind"), options, listen="::1")
        login = token("sammy").replace(b"\r\n", b"\\r\\n").replace(b" ", b"\\ ").decode()
        checks = ("option tcp-check", f"tcp-check send {login}", "tcp-check expect string STORED")
        frontends[f"checked-{version}"] = Frontend(
            listening.address(f"checked-{version}"), f"{options} check check-send-proxy", more=checks
        )
    frontends["silent"] = Frontend(listening.address("behind"), "")
    with Haproxy(short_path(), frontends) as balancer:
        yield balancer


def from_balancer(program: Proxy, listener: str, header: bytes) -> Connection:
    """What a listed balancer sends, made by hand."""
    connection = Connection(program.connect_raw(listener, source=BALANCER))
    connection.send(header)
    return connection


def finish_sending(connection: Connection) -> None:
    """Unless the other side has reset the connection already, as it may have."""
    with suppress(OSError):
        connection.finish_sending()


def logged_in(program: Proxy, **fields: str) -> None:
    """The log says so, soon: it is written while the client reads its answer."""
    eventually(f"the login of {fields} is logged", lambda: program.log_contains("logged_in", **fields))


def refusals(program: Proxy, reason: str, **fields: str) -> Callable[[], list[dict[str, Any]]]:
    return lambda: program.events("connection_refused", reason=reason, **fields)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_program_sees_the_client_behind_haproxy(listening: Proxy, haproxy: Haproxy, version: str) -> None:
    with Connection(haproxy.connect(f"behind-{version}", "127.0.0.5")) as client:
        play(client, token("sammy") + b"get app:a\r\n", b"STORED\r\nEND\r\n")
    logged_in(listening, listener="behind", source="127.0.0.5", via=BALANCER)
    with Connection(haproxy.connect(f"behind-{version}", "127.0.0.7")) as stranger:
        stranger.send(token("sammy"))
        assert stranger.rest() == b""
    eventually(
        "the stranger's refusal is logged",
        refusals(listening, "not on the allowlist", listener="behind", source="127.0.0.7", via=BALANCER),
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_header_comes_before_tls(listening: Proxy, haproxy: Haproxy, version: str) -> None:
    context = listening.certificates.client_context()
    raw = haproxy.connect(f"secure-{version}", "127.0.0.5")
    with Connection(context.wrap_socket(raw, server_hostname="localhost")) as client:
        answer = client.ask(packets.plain("sammy", PASSWORDS["sammy"]))
        assert answer.status == 0
        client.in_step_binary()
    logged_in(listening, listener="secure", source="127.0.0.5", via=BALANCER, by="PLAIN")
    with haproxy.connect(f"secure-{version}", "127.0.0.7") as stranger, pytest.raises(OSError):
        context.wrap_socket(stranger, server_hostname="localhost").close()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_client_of_ipv6(listening: Proxy, haproxy: Haproxy, version: str) -> None:
    with Connection(haproxy.connect(f"six-{version}")) as client:
        play(client, token("sammy"), b"STORED\r\n")
    logged_in(listening, source="::1", via=BALANCER)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_grants_go_by_the_clients_address(listening: Proxy, haproxy: Haproxy, version: str) -> None:
    with Connection(haproxy.connect(f"legacy-{version}", "127.0.0.6")) as client:
        play(client, b"get app:a\r\nget b\r\n", b"END\r\nCLIENT_ERROR access denied\r\n")
    logged_in(listening, listener="legacy", source="127.0.0.6", principal="address:six")
    with Connection(haproxy.connect(f"legacy-{version}", "127.0.0.5")) as ungranted:
        ungranted.send(b"get app:a\r\n")
        assert not ungranted.rest().startswith(b"END")
    assert not listening.events("logged_in", principal="address:balancer"), (
        "the balancer's own grant is not its clients'"
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_health_checks_are_the_balancers_own(listening: Proxy, haproxy: Haproxy, version: str) -> None:
    """LOCAL, and UNKNOWN of version 1. They log in with the token, so they show that what follows the header counts."""
    listener = f"checked-{version}"
    before = len(listening.events("logged_in", listener=listener, source=BALANCER))
    eventually(
        "health checks log in",
        lambda: len(listening.events("logged_in", listener=listener, source=BALANCER)) > before + 2,
    )
    with Connection(haproxy.connect(f"checked-{version}", "127.0.0.5")) as client:
        play(client, token("sammy"), b"STORED\r\n")


def test_a_listed_sender_without_a_header_is_refused(listening: Proxy, haproxy: Haproxy) -> None:
    before = listening.metric("mcproxy_connections_refused_total", listener="behind", reason="proxy_header")
    with Connection(haproxy.connect("silent", "127.0.0.5")) as client:
        client.send(token("sammy"))
        assert client.rest() == b""
    eventually("the refusal is logged", refusals(listening, JUNK, source="unknown", via=BALANCER))
    assert listening.metric("mcproxy_connections_refused_total", listener="behind", reason="proxy_header") > before
    for data in (b"\x16\x03\x01", packets.plain("sammy", PASSWORDS["sammy"])):
        with from_balancer(listening, "secure", data) as connection:
            assert connection.rest() == b""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (LINE % b"10.1.0.01", "an address in the PROXY line is malformed, or of another family than it says"),
        (b"PROXY TCP4 ", "the PROXY header breaks off"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", "the PROXY header is longer than 2048 bytes"),
    ],
)
def test_a_wrong_header_is_refused(listening: Proxy, data: bytes, reason: str) -> None:
    with from_balancer(listening, "behind", data) as connection:
        finish_sending(connection)
        assert connection.rest() == b""
    eventually("the refusal is logged", refusals(listening, reason, via=BALANCER))


def test_a_header_that_does_not_come_and_a_login_behind_it_have_the_logins_time(listening: Proxy) -> None:
    with ExitStack() as ends:
        for data in (b"", b"PROXY ", LINE % b"10.1.0.1"):
            ends.enter_context(from_balancer(listening, "behind", data))
        waiting = "no PROXY header in time"
        eventually("both are logged", lambda: len(refusals(listening, waiting, via=BALANCER)()) == 2)
        eventually("so is the third", refusals(listening, "no login in time", source="10.1.0.1", via=BALANCER))


@pytest.mark.parametrize("header", [LINE % b"127.0.0.6", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])
def test_a_header_of_anybody_else_is_not_believed(listening: Proxy, tap: Tap, header: bytes) -> None:
    tap.recording.forget()
    with Connection(listening.connect_raw("behind", source="127.0.0.5")) as connection:
        connection.send(header + b"get app:a\r\n")
        finish_sending(connection)
        assert b"END" not in connection.rest()
    with Connection(listening.connect_raw("secure", source="127.0.0.5")) as connection:
        connection.send(header)
        finish_sending(connection)
        assert connection.rest()[:1] in (b"", b"\x15"), "nothing, or a TLS alert"
    assert tap.recording.requests() == []
    for source in ("127.0.0.3", "127.0.0.7"):
        with Connection(listening.connect_raw("behind", source=source)) as connection:
            connection.send(header + token("sammy"))
            assert connection.rest() == b"", "who is not on the allowlist is not, whatever it sends"


def test_others_are_served_beside_balancers(listening: Proxy) -> None:
    with Connection(listening.connect_raw("behind", source="127.0.0.5")) as direct:
        play(direct, token("sammy"), b"STORED\r\n")
    eventually(
        "a login without a balancer is logged",
        lambda: [event for event in listening.events("logged_in", source="127.0.0.5") if "via" not in event],
    )


@pytest.mark.parametrize(
    ("conveyed", "source"),
    [
        (b"PROXY TCP6 ::ffff:10.1.0.9 ::1 1 2\r\n", "10.1.0.9"),
        (b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n", "2001:db8::9"),
        (LINE % b"10.1.255.255", "10.1.255.255"),
    ],
)
def test_an_allowed_address_that_is_conveyed(listening: Proxy, conveyed: bytes, source: str) -> None:
    """Case 45, conveyed: IPv4-mapped IPv6 is IPv4."""
    with from_balancer(listening, "behind", conveyed + token("sammy")) as connection:
        assert connection.line() == b"STORED\r\n"
    logged_in(listening, source=source, via=BALANCER)


@pytest.mark.parametrize(
    "conveyed",
    [
        LINE % b"10.2.0.0",
        b"PROXY TCP6 ::ffff:10.2.0.9 ::1 1 2\r\n",
        b"PROXY TCP6 ::10.1.0.9 ::1 1 2\r\n",
        b"PROXY UNKNOWN\r\n",
    ],
)
def test_an_address_that_is_conveyed_and_not_allowed(listening: Proxy, conveyed: bytes) -> None:
    """Nor is the balancer itself, which `allow` doesn't list here."""
    with from_balancer(listening, "behind", conveyed + token("sammy")) as connection:
        assert connection.rest() == b""


def test_conveyed_addresses_count_against_their_caps_though_the_balancer_is_on_loopback(listening: Proxy) -> None:
    def three() -> list[Connection]:
        """Three sessions of one address, once the places of those before have come back."""
        connections = [from_balancer(listening, "behind", LINE % b"127.0.0.5" + token("sammy")) for _ in range(3)]
        if {connection.line() for connection in connections} == {b"STORED\r\n"}:
            return connections
        for connection in connections:
            connection.close()
        return []

    for _ in range(3):
        sessions = eventually("there are three places again", three)
        with from_balancer(listening, "behind", LINE % b"127.0.0.5" + token("sammy")) as fourth:
            assert fourth.rest() == b""
        with from_balancer(listening, "behind", LINE % b"127.0.0.6" + token("sammy")) as another:
            assert another.line() == b"STORED\r\n"
        for session in sessions:
            session.close()
    reason = "too many connections from this address"
    found = refusals(listening, reason, source="127.0.0.5", via=BALANCER)
    eventually("all three are logged", lambda: len(found()) >= 3)


def test_every_way_of_leaving_gives_the_place_back(start_proxy: StartProxy, tap: Tap) -> None:
    listeners = {
        "behind": {
            "bind": ["127.0.0.1:0"],
            "allow": ["10.1.0.0/16"],
            "proxy_protocol": [BALANCER],
            "authentication": ["sasl", "token"],
        }
    }
    limits = {"connections": 4, "login_connections": 2, "login_timeout": "1s"}
    for workers in (1, 2):
        program = start_proxy(tap.address, listeners=listeners, limits=limits, workers=workers)
        for data in (b"", b"PRO", b"junk", LINE % b"10.2.0.1", LINE % b"10.1.0.1", LINE % b"10.1.0.1" + token("sammy")):
            for _ in range(6):
                raw = program.connect_raw("behind", source=BALANCER)
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                raw.close()

        eventually("there are four places", partial(four_sessions, program))


def four_sessions(program: Proxy) -> bool:
    """Whether as many as may be are served at once."""
    with ExitStack() as ends:
        for number in range(4):
            address = LINE % f"10.1.0.{number}".encode()
            connection = ends.enter_context(from_balancer(program, "behind", address + token("sammy")))
            if connection.line() != b"STORED\r\n":
                return False
    return True
