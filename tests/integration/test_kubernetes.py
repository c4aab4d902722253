"""deploy/kubernetes without a cluster: a guard's pod and an application's, each in a network namespace of its own.

They are processes with the users, volumes, commands and configuration of the manifests, and with secrets that were made
by the commands of docs/kubernetes.md.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import (
    GATEWAY,
    GUARD,
    MCPROXY,
    POD_ADDRESS,
    fetch,
    make_secrets,
    memcached_of,
    objects,
    probe,
    talk,
)
from tests.support.kubernetes import containers
from tests.support.namespaces import Namespaces, inside, ip
from tests.support.pods import Container, Pod

APPLICATION_ADDRESS, STRANGER = "10.244.0.10", "10.245.0.10"
HOSTS = f"{POD_ADDRESS} cache-0.cache.cache.svc.cluster.local\n10.244.0.21 cache-1.cache.cache.svc.cluster.local\n"


@pytest.fixture(scope="module")
def network() -> Iterator[Namespaces]:
    """`near` is the application's pod and `far` the guard's, with addresses of the pod network; a stranger has none."""
    with Namespaces() as namespaces:
        for name, address in (
            (namespaces.near, APPLICATION_ADDRESS),
            (namespaces.near, STRANGER),
            (namespaces.far, POD_ADDRESS),
        ):
            ip("-netns", name, "address", "add", f"{address}/24", "dev", "cable")
        ip("-netns", namespaces.far, "route", "add", "10.245.0.0/24", "dev", "cable")
        yield namespaces


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets")
    make_secrets(directory)
    return directory


@pytest.fixture(scope="module")
def guard_pod(network: Namespaces, secrets: Path, short_path: Callable[[], Path]) -> Pod:
    return Pod(GUARD, network.far, short_path(), objects(secrets))


@pytest.fixture(scope="module")
def gateway_pod(network: Namespaces, secrets: Path, short_path: Callable[[], Path]) -> Pod:
    return Pod(GATEWAY, network.near, short_path(), objects(secrets), HOSTS)


@pytest.fixture(scope="module")
def guard(guard_pod: Pod) -> Iterator[Container]:
    with memcached_of(guard_pod), guard_pod.container("mcproxy", [*MCPROXY, "run"]) as container:
        container.logs("ready")
        yield container


@pytest.fixture(scope="module")
def gateway(gateway_pod: Pod, guard: Container) -> Iterator[Container]:
    with gateway_pod.container("mcproxy", [*MCPROXY, "run"]) as container:
        container.logs("upstream_link_opened")
        yield container


def test_check_accepts_the_configurations_as_they_are_mounted(guard_pod: Pod, gateway_pod: Pod) -> None:
    guards, gateways = (pod.run("mcproxy", *MCPROXY, "check") for pod in (guard_pod, gateway_pod))
    assert "10.244.0.0/16" in guards
    assert "cache-1.cache.cache.svc.cluster.local:11211" in gateways
    assert "note:" not in guards + gateways


def test_probes_are_answered(network: Namespaces, guard: Container) -> None:
    assert fetch(network.near, *probe(GUARD, "mcproxy", "startupProbe")) == "200 ok"
    assert fetch(network.near, *probe(GUARD, "mcproxy", "livenessProbe")) == "200 ok"
    assert fetch(network.near, *probe(GUARD, "mcproxy", "readinessProbe")) == "200 ready"
    port, _ = probe(GUARD, "mcproxy", "readinessProbe")
    assert fetch(network.near, port, "/metrics").startswith("404")


def test_who_looks_from_within_needs_no_token(guard_pod: Pod, guard: Container) -> None:
    """What docs/kubernetes.md runs by `kubectl exec`."""
    assert guard_pod.run("mcproxy", *MCPROXY, "health", "--ready") == "ready\n"
    assert guard_pod.run("mcproxy", *MCPROXY, "top", "--once").startswith("GOOD  All is well.")


def test_prometheus_gets_metrics_with_the_token_alone(network: Namespaces, guard: Container, secrets: Path) -> None:
    token, authority = (secrets / "token").read_text(), secrets / "ca.crt"
    [port] = [port["containerPort"] for port in containers(GUARD)["mcproxy"]["ports"] if port["name"] == "metrics"]
    assert "mcproxy_ready 1.0" in fetch(network.near, port, "/metrics", tls=authority, token=token)
    assert fetch(network.near, port, "/metrics", tls=authority).startswith("401")


def test_the_guards_containers_can_do_no_more_than_they_need(guard_pod: Pod, guard: Container) -> None:
    socket = (guard_pod.directory("memcached") / "memcached.sock").stat()
    assert (socket.st_mode & 0o777, socket.st_uid, socket.st_gid) == (0o660, 11211, 10001)
    # Not in memcached's volume either, where it only connects.
    for place in ("/run/memcached/other", "/etc/mcproxy/other", "/var/lib/other", "/tmp/other"):
        assert not guard_pod.succeeds("mcproxy", "touch", place)
    assert not guard_pod.succeeds("memcached", "ls", "/etc/mcproxy")


def test_the_application_reaches_the_cache_and_no_more(gateway_pod: Pod, gateway: Container, guard: Container) -> None:
    said = ["set shop:a 0 0 1\\r\\nx\\r\\n", "get shop:a\\r\\n", "get other\\r\\n"]
    expected = ["STORED", "VALUE shop:a 0 1", "x", "END", "CLIENT_ERROR access denied"]
    assert talk(gateway_pod, "shop", "/run/mcproxy/cache-0.sock", *said) == expected
    assert guard.logs("logged_in")["principal"] == "user:shop"
    assert not gateway_pod.succeeds("shop", "rm", "/run/mcproxy/cache-0.sock")
    assert not gateway_pod.succeeds("shop", "ls", "/etc/mcproxy")


def test_a_cache_that_is_away_takes_neither_gateway_nor_application_along(
    network: Namespaces, gateway_pod: Pod, gateway: Container
) -> None:
    told = talk(gateway_pod, "shop", "/run/mcproxy/cache-1.sock", "get shop:a\\r\\n")
    assert told == ["SERVER_ERROR upstream is unavailable"]
    port, path = probe(GATEWAY, "mcproxy", "livenessProbe")
    assert fetch(network.near, port, path, address=APPLICATION_ADDRESS) == "200 ok"
    assert fetch(network.near, port, "/readyz", address=APPLICATION_ADDRESS).startswith("503")
    assert "readinessProbe" not in containers(GATEWAY)["mcproxy"]


_CONNECT = """
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], 11211), 5, (sys.argv[2], 0)).recv(1))
except ConnectionResetError:
    print(b"")
"""


def test_whoever_is_outside_of_the_pod_network_is_refused(network: Namespaces, guard: Container) -> None:
    before = len(guard.events("connection_refused"))
    command = [*inside(network.near), sys.executable, "-c", _CONNECT, POD_ADDRESS, STRANGER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "b''\n", done.stderr
    assert guard.logs("connection_refused", before + 1)["source"].startswith(STRANGER)
