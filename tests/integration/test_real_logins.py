"""Real clients log in to the real program, each by the strongest means that it has, and then store and read a value."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import scramp  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from puresasl.client import SASLClient  # type: ignore[import-untyped]
from pymemcache.client.base import Client as PymemcacheClient  # type: ignore[import-untyped]

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import make_verifier
from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import CLIENT_URI, Certificates
from tests.support.clients import make_client
from tests.support.configuration import GRANTS, ITERATIONS, LOOPBACK, PASSWORDS, server_tls
from tests.support.conversation import Connection
from tests.support.memcached import Memcached
from tests.support.packets import AUTH, STEP, packet, sasl
from tests.support.proxy import Proxy

SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512")
OFFERED = ("PLAIN", *SCRAM)
PLUS = "SCRAM-SHA-256-PLUS"


@pytest.fixture(scope="module")
def program(
    start_proxy: StartProxy, memcached: Memcached, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Proxy:
    """A listener for each way of logging in, and users with a line for each mechanism.

    Straight in front of memcached: while pylibmc waits it holds the interpreter's lock, which a tap would need.
    """
    users = tmp_path_factory.mktemp("users") / "users"
    users.touch(mode=0o600)
    users.write_text(
        "".join(
            format_line(name, make_verifier(PASSWORDS[name], ITERATIONS, mechanism=mechanism)) + "\n"
            for name in ("sammy", "watcher")
            for mechanism in SCRAM
        )
    )
    plain: dict[str, Any] = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "authentication": ["sasl"]}
    tls = {**plain, "tls": server_tls(certificates)}
    with_certificate = {**plain, "tls": server_tls(certificates, client_ca=str(certificates.authority))}
    listeners: dict[str, Any] = {name: {**plain, "mechanisms": [name]} for name in OFFERED}
    listeners |= {
        "default": {**tls, "authentication": ["sasl", "token"]},
        "bound": {**tls, "mechanisms": [PLUS, "SCRAM-SHA-256", "PLAIN"]},
        "external": {**with_certificate, "mechanisms": ["EXTERNAL"]},
        "certificate": {**with_certificate, "authentication": ["certificate"]},
        "plain": None,
        "tls": None,
        "socket": None,
    }
    grants = [*GRANTS, {"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}]
    return start_proxy(memcached.address, users_file=str(users), grants=grants, listeners=listeners)


@pytest.fixture
def proxy(program: Proxy) -> Iterator[Proxy]:
    yield program
    program.close_connections()


def stores_and_reads(connection: Connection, key: bytes) -> None:
    stored = connection.ask(packets.store(packets.SET, key, b"value"))
    assert stored.status == packets.OK, str(connection)
    assert connection.ask(packet(packets.GET, key)).value == b"value", str(connection)


def logins(proxy: Proxy, listener: str, mechanism: str) -> float:
    return proxy.metric("mcproxy_logins_total", listener=listener, mechanism=mechanism, result="success")


@pytest.mark.parametrize("mechanism", OFFERED)
def test_memcstat_through_cyrus(proxy: Proxy, mechanism: str) -> None:
    host, port = proxy.host_and_port(mechanism)
    before = logins(proxy, mechanism, mechanism)
    options = ["--binary", "--username=watcher", f"--password={PASSWORDS['watcher']}"]
    environment = {name: value for name, value in os.environ.items() if name != "SASL_PATH"}
    command = ["memcstat", f"--servers={host}:{port}", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert result.returncode == 0, result
    assert "pid: " in result.stdout, result
    assert logins(proxy, mechanism, mechanism) == before + 1
    command[-1] = "--password=wrong"
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert result.returncode != 0, result
    assert "pid: " not in result.stdout, result


PYLIBMC = """
import pylibmc, sys
client = pylibmc.Client([sys.argv[1]], binary=True, username="sammy", password=sys.argv[2])
assert client.set("app:pylibmc", b"value")
assert client.get("app:pylibmc") == b"value"
"""


def pylibmc(proxy: Proxy, listener: str, password: str) -> subprocess.CompletedProcess[str]:
    """Built on Debian's libmemcached. That of pylibmc's wheel (1.0.16) stops at the first challenge, at that of
    memcached -S too (measured)."""
    host, port = proxy.host_and_port(listener)
    command = [sys.executable, "-I", "-c", PYLIBMC, f"{host}:{port}", password]
    environment = {name: value for name, value in os.environ.items() if name != "SASL_PATH"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


@pytest.mark.parametrize("mechanism", OFFERED)
def test_pylibmc_through_cyrus(proxy: Proxy, mechanism: str) -> None:
    before = logins(proxy, mechanism, mechanism)
    result = pylibmc(proxy, mechanism, PASSWORDS["sammy"])
    assert result.returncode == 0, result
    assert logins(proxy, mechanism, mechanism) == before + 1
    result = pylibmc(proxy, mechanism, "wrong")
    assert "AUTHENTICATION" in result.stderr, result


def test_python_binary_memcached(proxy: Proxy, certificates: Certificates) -> None:
    """It insists on PLAIN's being listed, which it is by default."""
    host, port = proxy.host_and_port("default")
    tls = certificates.client_context()
    client = make_client("python-binary-memcached", host, port, "sammy", PASSWORDS["sammy"], tls)
    with closing(client):
        assert client.set("app:bmemcached", b"value")
        assert client.get("app:bmemcached") == b"value"
    assert logins(proxy, "default", "PLAIN") == 1


def test_pure_sasl_plain(proxy: Proxy) -> None:
    client = SASLClient("localhost", "memcached", "PLAIN", username="sammy", password=PASSWORDS["sammy"])
    with proxy.connect("PLAIN") as connection:
        assert connection.ask(sasl(b"PLAIN", client.process())).value == b"Authenticated"
        stores_and_reads(connection, b"app:pure-sasl")


def test_pure_sasl_external_over_a_client_certificate(proxy: Proxy) -> None:
    client = SASLClient("localhost", "memcached", "EXTERNAL")
    with proxy.connect("external", certificate=True) as connection:
        assert connection.ask(packet(packets.LIST_MECHS)).value == b"EXTERNAL"
        # An empty response can't be told from none: it is asked for once more.
        answer = connection.ask(sasl(b"EXTERNAL", client.process()))
        assert answer.shape == (packets.AUTH_CONTINUE, b"")
        assert connection.ask(sasl(b"EXTERNAL", client.process(answer.value), STEP)).value == b"Authenticated"
        assert connection.ask(packet(packets.LIST_MECHS)).value == b"EXTERNAL"
        stores_and_reads(connection, b"app:external")
    assert proxy.log_contains("logged_in", principal="certificate:web", by="EXTERNAL")


def end_point(connection: Connection) -> bytes:
    """tls-server-end-point of what the server has shown to this client (RFC 5929 section 4.1)."""
    assert isinstance(connection.socket, ssl.SSLSocket)
    der = connection.socket.getpeercert(binary_form=True)
    assert der is not None
    algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    assert algorithm is not None
    digest = hashes.Hash(hashes.SHA256() if isinstance(algorithm, hashes.SHA1) else algorithm)
    digest.update(der)
    return digest.finalize()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_scramps_client_bound_to_the_channel(proxy: Proxy, certificates: Certificates, version: ssl.TLSVersion) -> None:
    context = certificates.client_context()
    context.minimum_version = context.maximum_version = version
    raw = proxy.connect_raw("bound")
    with Connection(context.wrap_socket(raw, server_hostname="localhost")) as connection:
        offered = connection.ask(packet(packets.LIST_MECHS)).value.decode().split()
        binding = ("tls-server-end-point", end_point(connection))
        client = scramp.ScramClient(offered[:2], "sammy", PASSWORDS["sammy"], channel_binding=binding)
        assert client.mechanism_name == PLUS
        assert scram_login(connection, client) == packets.OK
        stores_and_reads(connection, b"app:bound")
    # Somebody in between has another certificate.
    binding = ("tls-server-end-point", bytes(32))
    client = scramp.ScramClient([PLUS], "sammy", PASSWORDS["sammy"], channel_binding=binding)
    with proxy.connect("bound") as connection:
        assert scram_login(connection, client) == packets.AUTH_ERROR


def scram_login(connection: Connection, client: scramp.ScramClient) -> int:
    """The status of the last reply."""
    name = client.mechanism_name.encode()
    answer = connection.ask(packet(AUTH, name, client.get_client_first().encode()))
    assert answer.status == packets.AUTH_CONTINUE, str(connection)
    client.set_server_first(answer.value.decode())
    answer = connection.ask(packet(STEP, name, client.get_client_final().encode()))
    if answer.status != packets.AUTH_CONTINUE:
        return answer.status
    client.set_server_final(answer.value.decode())
    return connection.ask(packet(STEP, name)).status


def test_pymemcache_with_a_certificate_and_no_login(proxy: Proxy, certificates: Certificates) -> None:
    tls = certificates.client_context(with_certificate=True)
    address = proxy.host_and_port("certificate")
    client = PymemcacheClient(address, connect_timeout=10, timeout=10, tls_context=tls, default_noreply=False)
    with closing(client):
        assert client.set("app:certificate", b"value")
        assert client.get("app:certificate") == b"value"


def test_pymemcache_with_a_token_over_tls(proxy: Proxy, certificates: Certificates) -> None:
    host, port = proxy.host_and_port("default")
    client = make_client("pymemcache", host, port, "sammy", PASSWORDS["sammy"], certificates.client_context())
    with closing(client):
        assert client.set("app:token", b"value")
        assert client.get("app:token") == b"value"
