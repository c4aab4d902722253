"""Links over TLS: upstream proves who it is, or no byte of a client goes there; what is trusted follows the files."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import server_tls
from tests.support.conversation import play
from tests.support.gateway import upstream_tls
from tests.support.memcached import Memcached, with_token
from tests.support.packets import packet
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads
from tests.support.serving import serves
from tests.support.waiting import eventually

UNTRUSTED = b"SERVER_ERROR upstream's certificate is not trusted\r\n"
UNAVAILABLE = b"SERVER_ERROR upstream is unavailable\r\n"


@pytest.fixture(scope="module")
def strangers(short_path: Callable[[], Path]) -> Certificates:
    """Another authority."""
    return Certificates(short_path(), "strange authority")


@pytest.fixture(scope="module")
def secured(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Memcached]:
    """memcached -Z, without a login."""
    files = f"ssl_chain_cert={certificates.server_certificate},ssl_key={certificates.server_key}"
    tls = certificates.client_context()
    with Memcached(short_path(), "-Z", "-o", files, tcp=True, tls=tls) as upstream:
        yield upstream


@pytest.fixture
def over_tls(start_proxy: StartProxy, secured: Memcached, certificates: Certificates) -> Reloads:
    program = start_proxy(secured.address, upstream={"tls": upstream_tls(certificates), "timeout": "1s"})
    serves(program)
    return Reloads(program)


def told(program: Proxy) -> bytes:
    with program.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        return connection.line()


def refused(program: Proxy, answer: bytes, why: str) -> None:
    """Both protocols, readiness and the metric say the same."""
    eventually("it is refused", lambda: told(program) == answer)
    with program.logged_in_binary("sammy") as connection:
        reply = connection.ask(packet(packets.GETK, b"app:a"))
        assert (reply.status, b"SERVER_ERROR " + reply.value + b"\r\n") == (packets.UNAVAILABLE, answer)
    status, page = program.http("/readyz")
    assert status == 503
    assert f"no link to upstream (text): {why}" in page
    assert program.metric("mcproxy_upstream_failures_total", reason="tls", upstream="upstream") > 0


def test_a_memcached_with_tls(over_tls: Reloads) -> None:
    program = over_tls.program
    assert program.http("/readyz") == (200, "ready\n")
    links = partial(program.metric, "mcproxy_upstream_links", upstream="upstream", protocol="text")
    eventually("both links are open", lambda: links() == 2)
    expiry = "mcproxy_upstream_certificate_expiry_timestamp_seconds"
    assert program.metric(expiry, upstream="upstream", file="ca") > 1e9
    value = bytes(range(256)) * 4000
    with program.logged_in("root") as connection:
        large = b"set app:large 0 0 %d\r\n%s\r\n" % (len(value), value)
        play(connection, large, b"STORED\r\n")
        play(connection, b"get app:large\r\n", b"VALUE app:large 0 %d\r\n%s\r\nEND\r\n" % (len(value), value))
        connection.send(b"stats\r\n")
        assert connection.line().startswith(b"STAT pid "), "a link of its own has TLS too"


def test_another_authority_is_trusted_no_more(over_tls: Reloads, strangers: Certificates) -> None:
    """Case 58, towards upstream: links that stood on it end; and begin anew when it is back."""
    tls = over_tls.settings["upstream"]["tls"]
    before = tls["ca"]
    tls["ca"] = str(strangers.authority)
    over_tls.succeeds()
    refused(over_tls.program, UNTRUSTED, "its certificate is not trusted")
    records = over_tls.program.events("upstream_unavailable", upstream="upstream", protocol="text")
    assert len(records) == 1
    assert "unable to get local issuer certificate" in records[0]["reason"] or "self" in records[0]["reason"]
    tls["ca"] = before
    over_tls.succeeds()
    serves(over_tls.program)


def test_a_certificate_for_somebody_else(over_tls: Reloads) -> None:
    tls = over_tls.settings["upstream"]["tls"]
    tls["server_name"] = "elsewhere.example"
    over_tls.succeeds()
    refused(over_tls.program, UNTRUSTED, "its certificate is not trusted")
    tls["server_name"] = "127.0.0.1"
    over_tls.succeeds()
    serves(over_tls.program)


def test_a_renewed_authority_loses_no_request(over_tls: Reloads, certificates: Certificates) -> None:
    """New links take the place of the old ones while a client asks without pause."""
    program = over_tls.program
    file = program.directory / "ca.crt"
    over_tls.settings["upstream"]["tls"]["ca"] = str(file)
    stop = threading.Event()
    wrong: list[bytes] = []
    rounds = 0
    right = b"STORED\r\nVALUE app:n 0 1\r\nx\r\nEND\r\n" * 20

    def ask() -> None:
        nonlocal rounds
        with program.logged_in("root") as connection:
            while not stop.is_set():
                connection.send(b"set app:n 0 0 1\r\nx\r\nget app:n\r\n" * 20)
                got = connection.receive(len(right))
                if got != right:
                    wrong.append(got)
                    return
                rounds += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in range(1, 4):
            file.write_bytes(certificates.authority.read_bytes() + b"\n" * number)
            over_tls.succeeds()
            retired = partial(program.events, "upstream_link_retired")
            eventually("the links are followed by others", lambda: len(retired()) >= 4 * number)  # noqa: B023
    finally:
        stop.set()
        asking.join(20)
    assert not wrong, wrong[0]
    assert rounds > 3
    assert not program.events("upstream_link_lost")
    assert program.metric("mcproxy_upstream_links") == 4


def test_no_tls_where_it_is_wanted(start_proxy: StartProxy, memcached: Memcached, certificates: Certificates) -> None:
    """A plain memcached is never spoken to in the clear."""
    program = start_proxy(memcached.address, upstream={"tls": upstream_tls(certificates), "timeout": "300ms"})
    eventually("it is tried", lambda: program.metric("mcproxy_upstream_failures_total", reason="tls") > 0)
    assert told(program) == UNAVAILABLE
    assert program.http("/readyz")[0] == 503
    assert not program.events("upstream_link_opened")


def test_a_handshake_that_hangs(start_proxy: StartProxy, certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        tls = upstream_tls(certificates)
        program = start_proxy(address, upstream={"tls": tls, "timeout": "200ms"})
        refused(program, UNAVAILABLE, "no answer in time to the TLS handshake")


def guard(certificates: Certificates, **how: Any) -> dict[str, Any]:
    """Listeners of a guard that knows its clients by their certificates."""
    ca = {"client_ca": str(certificates.authority), "client_certificate": "required"}
    by_certificate = {"authentication": ["certificate"], "tls": server_tls(certificates, **ca), **how}
    plain = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["token"]}
    return {"guard": {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], **by_certificate}, "plain": plain}


def test_a_guard_that_knows_us_by_certificate(
    start_proxy: StartProxy, memcached: Memcached, certificates: Certificates, strangers: Certificates
) -> None:
    """Without ours there are no links; it is picked up by a reload."""
    uri = "spiffe://test/web"
    grants = [{"certificate": uri, "as": "gateway", "roles": ["app"]}]
    guarding = start_proxy(memcached.address, listeners=guard(certificates), grants=grants)
    with ExitStack() as ends:
        ends.callback(guarding.close_connections)
        tls = upstream_tls(certificates)
        program = start_proxy(guarding.address("guard"), upstream={"tls": tls, "timeout": "1s"})
        eventually("it is tried", lambda: program.metric("mcproxy_upstream_failures_total", reason="tls") > 0)
        assert told(program) == UNAVAILABLE
        reloads = Reloads(program)
        reloads.settings["upstream"]["tls"] = upstream_tls(certificates, shown=True)
        reloads.succeeds()
        serves(program)
        eventually("all links are open", lambda: guarding.metric("mcproxy_sessions", listener="guard") == 4)
        expiry = "mcproxy_upstream_certificate_expiry_timestamp_seconds"
        assert program.metric(expiry, file="certificate") > 1e9
        with program.logged_in("root") as connection:
            play(connection, b"get other\r\n", b"CLIENT_ERROR access denied\r\n")
            play(connection, b"get app:a\r\n", b"VALUE app:a 0 10\r\nvalue of a\r\nEND\r\n")


def test_workers_follow_too(start_proxy: StartProxy, secured: Memcached, certificates: Certificates) -> None:
    own = start_proxy(secured.address, upstream={"tls": upstream_tls(certificates), "timeout": "1s"}, workers=2)
    reloads = Reloads(own)
    eventually("all are open", lambda: own.metric("mcproxy_upstream_links") == 8)
    ends = x509.load_pem_x509_certificate(certificates.authority.read_bytes()).not_valid_after_utc.timestamp()
    assert own.metric("mcproxy_upstream_certificate_expiry_timestamp_seconds", file="ca") == ends
    reloads.settings["upstream"]["tls"]["server_name"] = "elsewhere.example"
    reloads.succeeds()
    eventually("none is open", lambda: own.metric("mcproxy_upstream_links") == 0)
    assert "its certificate is not trusted" in own.http("/readyz")[1]
    reloads.settings["upstream"]["tls"]["server_name"] = "localhost"
    reloads.succeeds()
    eventually("all are open", lambda: own.metric("mcproxy_upstream_links") == 8)
    serves(own)


def test_a_token_goes_over_tls(
    start_proxy: StartProxy, short_path: Callable[[], Path], certificates: Certificates
) -> None:
    with with_token(short_path(), {"gateway": "secret-token"}, certificates=certificates) as upstream:
        file = short_path() / "password"
        file.touch(mode=0o600)
        file.write_text("secret-token\n")
        login = {"method": "token", "username": "gateway", "password_file": str(file)}
        tls = upstream_tls(certificates)
        listeners = {
            name: {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["token"], "protocols": ["text"]}
            for name in ("plain",)
        } | {"tls": None, "socket": None}
        how = {"protocol": "text", "tls": tls, "login": login}
        program = start_proxy(upstream.address, upstream=how, listeners=listeners)
        eventually("it is ready", lambda: program.http("/readyz")[0] == 200)
        with program.logged_in("sammy") as connection:
            play(connection, b"set app:a 0 0 1\r\nx\r\nget app:a\r\n", b"STORED\r\nVALUE app:a 0 1\r\nx\r\nEND\r\n")
