"""Real client libraries and libmemcached's tools, used as their users use them."""

import contextlib
import multiprocessing
import os
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.managers import BaseManager

import pytest

from tests.integration.conftest import StartProxy
from tests.support.clients import CLIENTS, MemcacheClient, make_client
from tests.support.configuration import PASSWORDS
from tests.support.memccapable import assert_capable
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually


def client_of(proxy: Proxy, kind: str, user: str = "sammy", password: str | None = None) -> MemcacheClient:
    listener = CLIENTS[kind]
    tls = proxy.certificates.client_context() if listener == "tls" else None
    return make_client(kind, *proxy.host_and_port(listener), user, password or PASSWORDS[user], tls)


class ClientManager(BaseManager):
    """Runs pylibmc in a process of its own: while it waits for a reply it holds the interpreter lock of its process,
    and the tap's threads, which are to bring the reply, need that of this one."""

    make_client = staticmethod(make_client)


ClientManager.register("make_client", make_client)


@pytest.fixture(scope="module")
def other_process() -> Iterator[ClientManager]:
    with ClientManager(ctx=multiprocessing.get_context("spawn")) as manager:
        yield manager


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, proxy: Proxy, other_process: ClientManager) -> Iterator[MemcacheClient]:
    if request.param == "pylibmc":
        host, port = proxy.host_and_port("plain")
        made = other_process.make_client(request.param, host, port, "sammy", PASSWORDS["sammy"], None)
    else:
        made = client_of(proxy, request.param)
    yield made
    made.close()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names of keys that no other client of these tests uses: libraries differ in what they mean by flags."""
    kind = request.node.callspec.params["client"]
    return lambda name: f"app:{kind}:{name}"


def test_set_get_and_delete(client: MemcacheClient, key: Callable[[str], str]) -> None:
    name = key("simple")
    assert client.get(name) is None
    assert client.set(name, b"END\r\nvalue\0\xff")
    assert client.get(name) == b"END\r\nvalue\0\xff"
    assert client.delete(name)
    assert not client.delete(name)
    assert client.get(name) is None


def test_a_hundred_keys_at_once(client: MemcacheClient, key: Callable[[str], str]) -> None:
    values = {key(f"many-{number}"): b"%d" % number * number for number in range(100)}
    client.set_many(values)
    absent = [f"{name}-absent" for name in values]
    assert client.get_many([*values, *absent]) == values


def test_add_stores_once(client: MemcacheClient, key: Callable[[str], str]) -> None:
    name = key("add")
    client.delete(name)
    assert client.add(name, b"first")
    assert not client.add(name, b"second")
    assert client.get(name) == b"first"


def test_cas_stores_only_over_what_was_read(client: MemcacheClient, key: Callable[[str], str]) -> None:
    name = key("cas")
    assert client.set(name, b"one")
    value, unique = client.get_with_cas(name)
    assert value == b"one"
    assert client.cas(name, b"two", unique)
    assert not client.cas(name, b"three", unique)
    assert client.get(name) == b"two"


def test_append(client: MemcacheClient, key: Callable[[str], str]) -> None:
    name = key("append")
    assert client.set(name, b"one")
    assert client.append(name, b"-two")
    assert client.get(name) == b"one-two"


def test_incr(client: MemcacheClient, key: Callable[[str], str]) -> None:
    name = key("incr")
    assert client.set(name, b"41")
    assert client.incr(name, 1) == 42
    assert client.incr(name, 2_000_000_000) == 2_000_000_042


def test_touch_and_expiry(client: MemcacheClient, key: Callable[[str], str]) -> None:
    """Of two values that are to expire after a second, the one that was touched is still there afterwards."""
    expiring, touched = key("expiring"), key("touched")
    assert client.set(expiring, b"x", 1)
    assert client.set(touched, b"x", 1)
    assert client.touch(touched, 1000)
    assert not client.touch(key("absent"), 1000)
    eventually("the value expires", lambda: client.get(expiring) is None, every=0.1)
    assert client.get(touched) == b"x"


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_values_of_every_size(client: MemcacheClient, key: Callable[[str], str], size: int) -> None:
    value = random.Random(size).randbytes(size)
    assert client.set(key("sized"), value)
    assert client.get(key("sized")) == value


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_wrong_password_gets_nowhere(proxy: Proxy, tap: Tap, kind: str) -> None:
    stored: object = None
    with contextlib.suppress(Exception), ExitStack() as ends:  # each library has its own
        client = client_of(proxy, kind, password="wrong")
        ends.callback(client.close)
        stored = client.set("app:wrong", b"x") or client.get("app:wrong")
    assert not stored
    assert tap.recording.requests() == []


# libmemcached's tools


@pytest.fixture(scope="module")
def open_proxy(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """A loopback listener without a login, and all of memcached for everybody."""
    nobody = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["none"]}
    return start_proxy(tap.address, default_roles=["everything"], listeners={"open": nobody})


@pytest.mark.parametrize("protocol", ["-a", "-b"])
def test_memccapable_finds_nothing_missing(open_proxy: Proxy, tap: Tap, protocol: str) -> None:
    assert_capable(open_proxy.host_and_port("open"), protocol)
    tap.recording.check()


def memcstat(proxy: Proxy, *options: str) -> subprocess.CompletedProcess[str]:
    host, port = proxy.host_and_port("plain")
    return subprocess.run(
        ["memcstat", f"--servers={host}:{port}", *options],
        capture_output=True,
        text=True,
        timeout=30,
        env={name: value for name, value in os.environ.items() if name != "SASL_PATH"},
    )


def test_memcstat_without_a_login_prints_nothing_and_fails(proxy: Proxy, tap: Tap) -> None:
    result = memcstat(proxy)
    assert result.returncode != 0, result
    assert result.stdout.strip() == "", result
    # With --binary it calls a refusal a success, that of memcached -S too (measured); it must print nothing then.
    assert memcstat(proxy, "--binary").stdout.strip() == ""
    assert tap.recording.requests() == []


def test_memcstat_with_a_login_prints_the_servers_stats(proxy: Proxy) -> None:
    result = memcstat(proxy, "--binary", "--username=watcher", f"--password={PASSWORDS['watcher']}")
    assert result.returncode == 0, result
    assert re.search(r"^\s*pid: \d+$", result.stdout, re.MULTILINE), result
    assert re.search(r"^\s*version: 1\.\d+\.\d+$", result.stdout, re.MULTILINE), result


@pytest.mark.parametrize(("user", "password"), [("watcher", "wrong"), ("no-such-user", "wrong")])
def test_memcstat_with_a_wrong_password_fails(proxy: Proxy, tap: Tap, user: str, password: str) -> None:
    result = memcstat(proxy, "--binary", f"--username={user}", f"--password={password}")
    assert result.returncode != 0, result
    assert "pid" not in result.stdout, result
    assert tap.recording.requests() == []


def test_memcstat_for_a_user_without_the_class_stats(proxy: Proxy, tap: Tap) -> None:
    result = memcstat(proxy, "--binary", "--username=sammy", f"--password={PASSWORDS['sammy']}")
    assert "pid" not in result.stdout, result
    assert [frame.verb for frame in tap.recording.requests() if frame.verb == "STAT"] == []
