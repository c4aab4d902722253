"""A guard's pod of deploy/kubernetes while its files change, and when it is to end."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mcproxy.server.signals import SAME_SIGNAL
from tests.support.cluster import GUARD, MCPROXY, POD_ADDRESS, fetch, make_secrets, memcached_of, objects, probe
from tests.support.namespaces import ip
from tests.support.pods import Container, Pod
from tests.support.waiting import eventually

LONG = "1h"
"""Of a drain that the test ends."""


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """A network namespace with the address of the pod."""
    if os.geteuid() != 0:
        pytest.skip("only root can make network namespaces")
    name = f"mcproxy-{os.getpid()}-pod"
    ip("netns", "add", name)
    try:
        ip("-netns", name, "link", "set", "lo", "up")
        ip("-netns", name, "address", "add", f"{POD_ADDRESS}/24", "dev", "lo")
        yield name
    finally:
        ip("netns", "delete", name)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("secrets")
    make_secrets(directory)
    return directory


@pytest.fixture
def pod(network: str, secrets: Path, short_path: Callable[[], Path]) -> Pod:
    return Pod(GUARD, network, short_path(), objects(secrets))


@pytest.fixture
def memcached(pod: Pod) -> Iterator[Container]:
    with memcached_of(pod) as container:
        yield container


@pytest.fixture
def guard(pod: Pod, memcached: Container) -> Iterator[Container]:
    with pod.container("mcproxy", [*MCPROXY, "run"]) as container:
        container.logs("ready")
        yield container


def with_delay(files: dict[str, dict[str, bytes]], delay: str) -> dict[str, dict[str, bytes]]:
    """The same with another `limits.drain_delay`."""
    settings = yaml.safe_load(files["cache-mcproxy"]["mcproxy.yaml"])
    settings["limits"]["drain_delay"] = delay
    return files | {"cache-mcproxy": {"mcproxy.yaml": yaml.safe_dump(settings).encode()}}


def test_a_swap_of_the_data_link_is_a_reload_and_then_mcproxy_ends_before_memcached(
    network: str, pod: Pod, memcached: Container, guard: Container, secrets: Path
) -> None:
    files = objects(secrets)
    pod.volumes["configuration"].put(files | {"cache-users": {**files["cache-users"], "users": b"nonsense\n"}})
    assert "/etc/mcproxy/users" in guard.logs("reload_failed")["problem"]
    pod.volumes["configuration"].put(with_delay(files, LONG))
    guard.logs("reloaded")

    guard.terminate()
    told = time.monotonic()
    ready, alive = probe(GUARD, "mcproxy", "readinessProbe"), probe(GUARD, "mcproxy", "livenessProbe")
    eventually("it drains", lambda: fetch(network, *ready) == "503 draining")
    # Until everybody has heard, clients are served, and the kubelet doesn't take it for dead.
    assert fetch(network, *alive) == "200 ok"
    eventually("another signal counts", lambda: time.monotonic() - told > 2 * SAME_SIGNAL)
    guard.terminate()
    assert guard.ended(within=10) == 0
    assert memcached.process.poll() is None
    memcached.terminate()
    memcached.ended(within=5)


def test_files_that_everybody_could_read_are_refused(pod: Pod) -> None:
    """What `defaultMode: 0444` would give."""
    [key] = pod.directory("configuration").glob("..2*/tls/tls.key")
    key.chmod(0o444)
    with pytest.raises(AssertionError, match="can be read by everybody"):
        pod.run("mcproxy", *MCPROXY, "check")


def test_without_the_key_beside_the_users_it_does_not_start(pod: Pod) -> None:
    [key] = pod.directory("configuration").glob("..2*/users.key")
    key.unlink()
    with pytest.raises(AssertionError, match=r"there is no file /etc/mcproxy/users\.key and it can't be made"):
        pod.run("mcproxy", *MCPROXY, "run")
