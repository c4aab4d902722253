"""Clients of the binary protocol that log in nowhere: to what speaks it as well, and to what speaks text alone."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import bmemcached  # type: ignore[import-untyped]
import pylibmc  # type: ignore[import-untyped]
import pytest

from tests.support.certificates import Certificates
from tests.support.clients import BinaryMemcached, MemcacheClient, Pylibmc
from tests.support.gateway import FarEnd, gateway
from tests.support.proxy import Proxy

UPSTREAMS = ("sasl-tls", "token-tls", "guard-scram", "guard-certificate")

_numbers = itertools.count()


class BinaryMemcachedWithoutLogin(BinaryMemcached):
    def __init__(self, host: str, port: int) -> None:
        self.client = bmemcached.Client((f"{host}:{port}",), socket_timeout=10)


class PylibmcWithoutLogin(Pylibmc):
    def __init__(self, host: str, port: int) -> None:
        behaviors = {"cas": True, "tcp_nodelay": True, "connect_timeout": 10_000, "receive_timeout": 10_000_000}
        self.client = pylibmc.Client([f"{host}:{port}"], binary=True, behaviors=behaviors)


KINDS: dict[str, type[BinaryMemcachedWithoutLogin | PylibmcWithoutLogin]] = {
    "python-binary-memcached": BinaryMemcachedWithoutLogin,
    "pylibmc": PylibmcWithoutLogin,
}


@pytest.fixture(scope="module")
def program(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Proxy]:
    """The gateway. At the end the links that it had in service at the beginning are still there."""
    with FarEnd(short_path, certificates, "sasl-tls", "token-tls", "guard-scram", "guard-certificate") as far_end:
        upstreams = dict(far_end.upstreams)
        for name in ("token-tls", "guard-certificate"):
            upstreams[name] = {**upstreams[name], "protocol": "text"}
        started = gateway(short_path(), certificates, upstreams, ("text", "binary"))
        try:
            yield started.start()
            assert started.events("upstream_link_lost") == [], str(started)
            assert far_end.guard.events("upstream_link_lost") == [], str(far_end.guard)
        finally:
            started.assert_good_end()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=UPSTREAMS)
def client(request: pytest.FixtureRequest, kind: str, program: Proxy) -> Iterator[MemcacheClient]:
    made = KINDS[kind](*program.host_and_port(f"{request.param}-none"))
    yield made
    made.close()
    with program.connect(f"{request.param}-peer") as connection:
        connection.in_step_binary()


@pytest.fixture
def key() -> str:
    return f"k{next(_numbers)}"


def test_storing(client: MemcacheClient, key: str) -> None:
    assert client.get(key) is None
    assert client.set(key, b"END\r\nvalue\0\xff")
    assert client.get(key) == b"END\r\nvalue\0\xff"
    assert not client.add(key, b"too late")
    assert client.append(key, b"-end")
    assert client.get(key) == b"END\r\nvalue\0\xff-end"
    assert client.delete(key)
    assert not client.delete(key)
    assert client.add(key, b"first")


def test_cas(client: MemcacheClient, key: str) -> None:
    assert client.set(key, b"one")
    value, unique = client.get_with_cas(key)
    assert value == b"one"
    assert client.cas(key, b"two", unique)
    assert not client.cas(key, b"three", unique)
    assert client.get(key) == b"two"


def test_counting(client: MemcacheClient, key: str) -> None:
    assert client.set(key, b"41")
    assert client.incr(key, 1) == 42
    assert client.incr(key, 2_000_000_000) == 2_000_000_042


def test_many_at_once(client: MemcacheClient, key: str) -> None:
    values = {f"{key}-{number}": b"%d" % number * number for number in range(100)}
    client.set_many(values)
    assert client.get_many([*values, *(f"{name}-absent" for name in values)]) == values


def test_large_values(client: MemcacheClient, key: str) -> None:
    value = bytes(range(256)) * 4000
    assert client.set(key, value)
    assert client.get(key) == value


def test_touch(client: MemcacheClient, key: str) -> None:
    assert not client.touch(key, 1000)
    assert client.set(key, b"x", 1000)
    assert client.touch(key, 86400 * 31)  # a Unix time, of 1970
    assert client.get(key) is None
