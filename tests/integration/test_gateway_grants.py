"""Legacy clients are held to grants: to the gateway's own, and to those of a guard that grants the gateway less."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS
from tests.support.conversation import DENIED, play
from tests.support.gateway import IDENTITIES, WAYS, FarEnd, gateway, sasl_login, secret_file, upstream_tls
from tests.support.legacy_clients import LEGACY_CLIENTS, LegacyClient, make_client
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

UPSTREAMS = ("sasl-scram", "token-tls")
"""Of the gateway whose own grants are narrow."""

NARROW = ("text", "binary")
"""How the gateway speaks to the guard that grants it the keys `app:*` alone, without flush_all and stats."""


@pytest.fixture(scope="module")
def far_end(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[FarEnd]:
    with FarEnd(short_path, certificates, *UPSTREAMS, "guard-scram") as started:
        yield started


@pytest.fixture(scope="module")
def strict(far_end: FarEnd, short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    """A gateway whose own grants are narrow, in each identity. Its upstreams grant it everything."""
    identities = [{**identity, "roles": ["app"]} for identity in IDENTITIES]
    upstreams = {name: far_end.upstreams[name] for name in UPSTREAMS}
    program = gateway(short_path(), certificates, upstreams, grants=identities, default_roles=["app"])
    try:
        yield program.start()
        assert program.events("upstream_link_lost") == [], str(program)
    finally:
        program.assert_good_end()


@pytest.fixture(scope="module")
def generous(far_end: FarEnd, short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    """A gateway that allows everything, and is sammy at the guard, who may less. Its links stay whatever is denied."""
    directory = short_path()
    login = sasl_login("SCRAM-SHA-256", secret_file(directory, PASSWORDS["sammy"]), "sammy")
    sammy = {"address": far_end.guard.address("scram"), "tls": upstream_tls(certificates), "login": login}
    program = gateway(directory, certificates, {name: {**sammy, "protocol": name} for name in NARROW})
    try:
        yield program.start()
        assert program.events("upstream_link_lost") == [], str(program)
        assert far_end.guard.events("upstream_link_lost") == [], str(far_end.guard)
    finally:
        program.assert_good_end()


@contextlib.contextmanager
def client_of(program: Proxy, listener: str, kind: str) -> Iterator[LegacyClient]:
    client = make_client(kind, program.address(listener))
    try:
        yield client
    finally:
        client.close()


def refused(client: LegacyClient, ask: Callable[[], object]) -> bool:
    """Whether this fails, as this library shows it: by raising, or by an answer that says no."""
    try:
        return not ask()
    except client.failures:
        return True


def is_held_to_its_keys(client: LegacyClient, far_end: FarEnd, upstream: str) -> None:
    """`app:*` is served before and after everything else is refused, of which nothing is done."""
    assert client.set("app:a", b"value")
    assert refused(client, lambda: client.set("other", b"x"))
    assert refused(client, lambda: client.get("other"))
    if "errors of get_many" not in client.lacks:
        assert refused(client, lambda: client.get_many(["app:a", "other"]))
    assert refused(client, lambda: client.touch("other", 10))
    assert refused(client, lambda: client.add("other", b"x"))
    assert far_end.held(upstream, "other") is None
    assert client.get("app:a") == b"value"
    with contextlib.suppress(*client.failures):  # python-memcached doesn't say
        client.flush_all()
    assert client.get("app:a") == b"value"
    assert client.get_many(["app:a", "app:none"]) == {"app:a": b"value"}
    assert client.delete("app:a")


@pytest.mark.parametrize("kind", LEGACY_CLIENTS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_at_the_gateway(strict: Proxy, far_end: FarEnd, upstream: str, way: str, kind: str) -> None:
    if way == "peer" and "unix" in LEGACY_CLIENTS[kind].lacks:
        way = "none"
    with client_of(strict, f"{upstream}-{way}", kind) as client:
        is_held_to_its_keys(client, far_end, upstream)


@pytest.mark.parametrize("way", WAYS)
def test_the_gateways_words(strict: Proxy, way: str) -> None:
    with strict.connect(f"sasl-scram-{way}") as connection:
        for line in (b"get other", b"set other 0 0 1\r\nx", b"incr other 1", b"flush_all", b"stats", b"gat 0 other"):
            play(connection, line + b"\r\n", DENIED)
        play(connection, b"set other 0 0 1 noreply\r\nx\r\nget app:a\r\n", b"END\r\n")


@pytest.mark.parametrize("kind", LEGACY_CLIENTS)
@pytest.mark.parametrize("protocol", NARROW)
def test_at_the_guard(generous: Proxy, far_end: FarEnd, protocol: str, kind: str) -> None:
    with client_of(generous, f"{protocol}-none", kind) as client:
        is_held_to_its_keys(client, far_end, "guard-scram")


@pytest.mark.parametrize("protocol", NARROW)
def test_the_guards_words_reach_the_client(generous: Proxy, protocol: str) -> None:
    with generous.connect(f"{protocol}-peer") as connection:
        for verb in (b"set", b"add", b"replace", b"append", b"prepend"):
            play(connection, verb + b" other 0 0 1\r\nx\r\n", DENIED)
        for line in (b"get other", b"gets other", b"gat 0 other", b"gats 0 other", b"touch other 0", b"delete other"):
            play(connection, line + b"\r\n", DENIED)
        for line in (b"incr other 1", b"decr other 1", b"cas other 0 0 1 1\r\nx", b"flush_all", b"stats"):
            play(connection, line + b"\r\n", DENIED)
        for line in (b"mg other v", b"ms other 1\r\nx", b"md other", b"ma other"):
            play(connection, line + b"\r\n", DENIED)
        play(connection, b"set other 0 0 1 noreply\r\nx\r\nget app:none\r\n", b"END\r\n")


@pytest.mark.parametrize("protocol", NARROW)
@pytest.mark.parametrize("place", [0, 150, 299])
def test_one_denied_key_of_very_many(generous: Proxy, protocol: str, place: int) -> None:
    """They go up in several lines. Whatever came before the denial may be delivered; it ends the one answer."""
    keys = [b"app:many-%d" % number for number in range(300)]
    keys[place] = b"other"
    with generous.connect(f"{protocol}-peer") as connection:
        found = b"VALUE app:many-1 0 1\r\nx\r\n"
        play(connection, b"set app:many-1 0 0 1\r\nx\r\n", b"STORED\r\n")
        connection.send(b"get " + b" ".join(keys) + b"\r\n")
        lines = [connection.line()]
        if lines[0].startswith(b"VALUE"):
            lines += [connection.line(), connection.line()]
        assert b"".join(lines) in (DENIED, found + DENIED), str(connection)
        play(connection, b"get app:many-1\r\n", found + b"END\r\n")


@pytest.mark.parametrize("protocol", NARROW)
def test_a_denial_is_one_clients_alone(generous: Proxy, protocol: str) -> None:
    """Many clients' requests go up together on the one link, and every second client asks what is denied."""
    clients = [generous.connect(f"{protocol}-{way}") for way in WAYS for _ in range(8)]
    for number, client in enumerate(clients):
        play(client, b"set app:%d 0 0 3\r\n%03d\r\n" % (number, number), b"STORED\r\n")
    for _ in range(10):
        for number, client in enumerate(clients):
            client.send(b"get other\r\nget app:%d\r\n" % number if number % 2 else b"get app:%d\r\n" % number)
        for number, client in enumerate(clients):
            if number % 2:
                assert client.line() == DENIED, str(client)
            expected = b"VALUE app:%d 0 3\r\n%03d\r\nEND\r\n" % (number, number)
            answer = client.receive(len(expected))
            assert answer == expected, str(client)
    for client in clients:
        client.in_step()
        client.close()


def test_a_link_in_service_is_one_that_has_logged_in(generous: Proxy, far_end: FarEnd) -> None:
    """What the guard knows the gateway as, whoever the client was."""

    def sammy() -> bool:
        return far_end.guard.log_contains("logged_in", principal="user:sammy", by="SCRAM-SHA-256")

    eventually("the guard has let the gateway in", sammy)
