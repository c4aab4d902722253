"""Three client libraries behind one set of methods, so that one test can hold for all of them.

Each is set up as its users set it up: pymemcache logs in by hand with a token over TLS, python-binary-memcached with
SASL PLAIN over TLS, pylibmc (libmemcached) with SASL over a plain connection, which is all that it knows.
"""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import bmemcached  # type: ignore[import-untyped]
import pylibmc  # type: ignore[import-untyped]
from pymemcache.client.base import Client as PymemcacheClient  # type: ignore[import-untyped]

from tests.support import packets

CLIENTS = {"pymemcache": "tls", "python-binary-memcached": "tls", "pylibmc": "plain"}
"""Each client and the listener that it is for."""


class MemcacheClient(ABC):
    """What a user does with a client. Values are bytes; a miss is None; the rest says whether it worked."""

    @abstractmethod
    def set(self, key: str, value: bytes, expiry: int = 0) -> bool: ...
    @abstractmethod
    def get(self, key: str) -> bytes | None: ...
    @abstractmethod
    def set_many(self, values: Mapping[str, bytes]) -> None: ...
    @abstractmethod
    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]: ...
    @abstractmethod
    def add(self, key: str, value: bytes) -> bool: ...
    @abstractmethod
    def get_with_cas(self, key: str) -> tuple[bytes | None, Any]: ...
    @abstractmethod
    def cas(self, key: str, value: bytes, unique: Any) -> bool: ...
    @abstractmethod
    def append(self, key: str, value: bytes) -> bool: ...
    @abstractmethod
    def incr(self, key: str, delta: int) -> int: ...
    @abstractmethod
    def delete(self, key: str) -> bool: ...
    @abstractmethod
    def touch(self, key: str, expiry: int) -> bool: ...
    @abstractmethod
    def close(self) -> None: ...


class Pymemcache(MemcacheClient):
    def __init__(self, host: str, port: int, user: str, password: str, tls: ssl.SSLContext | None) -> None:
        self.client = PymemcacheClient(
            (host, port), connect_timeout=10, timeout=10, tls_context=tls, default_noreply=False
        )
        try:
            assert self.client.set("_", f"{user} {password}", noreply=False) is True
        except BaseException:
            self.client.close()
            raise

    def set(self, key: str, value: bytes, expiry: int = 0) -> bool:
        return bool(self.client.set(key, value, expire=expiry))

    def get(self, key: str) -> bytes | None:
        return self.client.get(key)  # type: ignore[no-any-return]

    def set_many(self, values: Mapping[str, bytes]) -> None:
        assert self.client.set_many(dict(values), noreply=True) == []
        self.client.get("app:none")  # the noreply stores are through before anybody else looks

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        return dict(self.client.get_many(list(keys)))

    def add(self, key: str, value: bytes) -> bool:
        return bool(self.client.add(key, value))

    def get_with_cas(self, key: str) -> tuple[bytes | None, Any]:
        value, unique = self.client.gets(key)
        return value, unique

    def cas(self, key: str, value: bytes, unique: Any) -> bool:
        return bool(self.client.cas(key, value, unique))

    def append(self, key: str, value: bytes) -> bool:
        return bool(self.client.append(key, value))

    def incr(self, key: str, delta: int) -> int:
        result = self.client.incr(key, delta)
        assert result is not None
        return int(result)

    def delete(self, key: str) -> bool:
        return bool(self.client.delete(key))

    def touch(self, key: str, expiry: int) -> bool:
        return bool(self.client.touch(key, expiry))

    def close(self) -> None:
        self.client.close()


class BinaryMemcached(MemcacheClient):
    """The library has neither append nor touch: those packets go over its own connection."""

    def __init__(self, host: str, port: int, user: str, password: str, tls: ssl.SSLContext | None) -> None:
        self.client = bmemcached.Client((f"{host}:{port}",), user, password, socket_timeout=10, tls_context=tls)

    def set(self, key: str, value: bytes, expiry: int = 0) -> bool:
        return bool(self.client.set(key, value, time=expiry))

    def get(self, key: str) -> bytes | None:
        return self.client.get(key)  # type: ignore[no-any-return]

    def set_many(self, values: Mapping[str, bytes]) -> None:
        assert not self.client.set_multi(dict(values))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        return dict(self.client.get_multi(list(keys)))

    def add(self, key: str, value: bytes) -> bool:
        return bool(self.client.add(key, value))

    def get_with_cas(self, key: str) -> tuple[bytes | None, Any]:
        value, unique = self.client.gets(key)
        return value, unique

    def cas(self, key: str, value: bytes, unique: Any) -> bool:
        return bool(self.client.cas(key, value, unique))

    def append(self, key: str, value: bytes) -> bool:
        return self._ask(packets.packet(packets.APPEND, key.encode(), value))

    def incr(self, key: str, delta: int) -> int:
        return int(self.client.incr(key, delta))

    def delete(self, key: str) -> bool:
        return self.get(key) is not None and bool(self.client.delete(key))  # it calls a miss a success

    def touch(self, key: str, expiry: int) -> bool:
        return self._ask(packets.touching(packets.TOUCH, key.encode(), expiry))

    def _ask(self, packet: bytes) -> bool:
        server = next(iter(self.client.servers))
        server._send(packet)
        return bool(server._get_response()[5] == packets.OK)

    def close(self) -> None:
        self.client.disconnect_all()


class Pylibmc(MemcacheClient):
    def __init__(self, host: str, port: int, user: str, password: str, tls: ssl.SSLContext | None) -> None:
        assert tls is None, "libmemcached has no TLS"
        behaviors = {"cas": True, "tcp_nodelay": True, "connect_timeout": 10_000, "receive_timeout": 10_000_000}
        self.client = pylibmc.Client(
            [f"{host}:{port}"], binary=True, username=user, password=password, behaviors=behaviors
        )

    def set(self, key: str, value: bytes, expiry: int = 0) -> bool:
        return bool(self.client.set(key, value, time=expiry))

    def get(self, key: str) -> bytes | None:
        return self.client.get(key)  # type: ignore[no-any-return]

    def set_many(self, values: Mapping[str, bytes]) -> None:
        assert self.client.set_multi(dict(values)) == []

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        return dict(self.client.get_multi(list(keys)))

    def add(self, key: str, value: bytes) -> bool:
        return bool(self.client.add(key, value))

    def get_with_cas(self, key: str) -> tuple[bytes | None, Any]:
        value, unique = self.client.gets(key)
        return value, unique

    def cas(self, key: str, value: bytes, unique: Any) -> bool:
        return bool(self.client.cas(key, value, unique))

    def append(self, key: str, value: bytes) -> bool:
        return bool(self.client.append(key, value))

    def incr(self, key: str, delta: int) -> int:
        return int(self.client.incr(key, delta))

    def delete(self, key: str) -> bool:
        return bool(self.client.delete(key))

    def touch(self, key: str, expiry: int) -> bool:
        # libmemcached 1.0.16 waits for more than memcached's reply to a TOUCH that hits, until its own time-out
        # (5 s; measured with memcached itself), and then calls it done.
        self.client.behaviors["_poll_timeout"] = 300
        try:
            return bool(self.client.touch(key, expiry))
        finally:
            self.client.behaviors["_poll_timeout"] = 10_000

    def close(self) -> None:
        self.client.disconnect_all()


KINDS: dict[str, type[Pymemcache] | type[BinaryMemcached] | type[Pylibmc]] = {
    "pymemcache": Pymemcache,
    "python-binary-memcached": BinaryMemcached,
    "pylibmc": Pylibmc,
}


def make_client(
    kind: str, host: str, port: int, user: str, password: str, tls: ssl.SSLContext | None
) -> MemcacheClient:
    """A client of this kind that has logged in, or does so at its first request."""
    return KINDS[kind](host, port, user, password, tls)
