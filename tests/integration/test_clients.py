"""Real client libraries and libmemcached's tools, used as their users use them."""

import os
import random
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartProxy
from tests.support.clients import CLIENTS, MemcacheClient, make_client
from tests.support.configuration import PASSWORDS
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually


def client_of(proxy: Proxy, kind: str, user: str = "sammy", password: str | None = None) -> MemcacheClient:
    listener = CLIENTS[kind]
    tls = proxy.certificates.client_context() if listener == "tls" else None
    return make_client(kind, *proxy.host_and_port(listener), user, password or PASSWORDS[user], tls)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, proxy: Proxy) -> Iterator[MemcacheClient]:
    made = client_of(proxy, request.param)
    yield made
    made.close()


def key(client: MemcacheClient, name: str) -> str:
    return f"app:{type(client).__name__}:{name}"


def test_set_get_and_delete(client: MemcacheClient) -> None:
    name = key(client, "simple")
    assert client.get(name) is None
    assert client.set(name, b"END\r\nvalue\0\xff")
    assert client.get(name) == b"END\r\nvalue\0\xff"
    assert client.delete(name)
    assert not client.delete(name)
    assert client.get(name) is None


def test_a_hundred_keys_at_once(client: MemcacheClient) -> None:
    values = {key(client, f"many-{number}"): b"%d" % number * number for number in range(100)}
    client.set_many(values)
    absent = [f"{name}-absent" for name in values]
    assert client.get_many([*values, *absent]) == values


def test_add_stores_once(client: MemcacheClient) -> None:
    name = key(client, "add")
    client.delete(name)
    assert client.add(name, b"first")
    assert not client.add(name, b"second")
    assert client.get(name) == b"first"


def test_cas_stores_only_over_what_was_read(client: MemcacheClient) -> None:
    name = key(client, "cas")
    assert client.set(name, b"one")
    value, unique = client.get_with_cas(name)
    assert value == b"one"
    assert client.cas(name, b"two", unique)
    assert not client.cas(name, b"three", unique)
    assert client.get(name) == b"two"


def test_append(client: MemcacheClient) -> None:
    name = key(client, "append")
    assert client.set(name, b"one")
    assert client.append(name, b"-two")
    assert client.get(name) == b"one-two"


def test_incr(client: MemcacheClient) -> None:
    name = key(client, "incr")
    assert client.set(name, b"41")
    assert client.incr(name, 1) == 42
    assert client.incr(name, 2_000_000_000) == 2_000_000_042


def test_touch_and_expiry(client: MemcacheClient) -> None:
    """Of two values that are to expire after a second, the one that was touched is still there afterwards."""
    expiring, touched = key(client, "expiring"), key(client, "touched")
    assert client.set(expiring, b"x", 1)
    assert client.set(touched, b"x", 1)
    assert client.touch(touched, 1000)
    assert not client.touch(key(client, "absent"), 1000)
    eventually("the value expires", lambda: client.get(expiring) is None, every=0.1)
    assert client.get(touched) == b"x"


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_values_of_every_size(client: MemcacheClient, size: int) -> None:
    value = random.Random(size).randbytes(size)
    assert client.set(key(client, "sized"), value)
    assert client.get(key(client, "sized")) == value


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_wrong_password_gets_nowhere(proxy: Proxy, tap: Tap, kind: str) -> None:
    refused: object = None
    try:
        client = client_of(proxy, kind, password="wrong")
        refused = client.set("app:wrong", b"x") or client.get("app:wrong")
        client.close()
    except Exception as raised:  # each library has its own
        refused = raised
    assert refused is None or isinstance(refused, Exception)
    assert tap.recording.requests() == []


# libmemcached's tools


@pytest.fixture(scope="module")
def open_proxy(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """A loopback listener without a login, and all of memcached for everybody."""
    nobody = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["none"]}
    return start_proxy(tap.address, default_roles=["everything"], listeners={"open": nobody})


@pytest.mark.parametrize("protocol", ["-a", "-b"])
def test_memccapable_finds_nothing_missing(open_proxy: Proxy, tap: Tap, protocol: str) -> None:
    """All of the tests that a memcached of its own passes: 27 of the text protocol and 27 of the binary one."""
    host, port = open_proxy.host_and_port("open")
    result = subprocess.run(
        ["memccapable", "-h", host, "-p", str(port), "-t", "5", "-v", protocol],
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = result.stdout + result.stderr
    assert len(re.findall(r"\[pass\]", printed)) == 27, printed
    assert "FAIL" not in printed.upper().replace("[PASS]", ""), printed
    assert "All tests passed" in printed, printed
    assert result.returncode == 0, printed
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
    for options in ((), ("--binary",)):
        result = memcstat(proxy, *options)
        assert result.returncode != 0, result
        assert result.stdout.strip() == "", result
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
