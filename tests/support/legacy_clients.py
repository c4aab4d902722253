"""Client libraries that know no login: unchanged, and set up as their users set them up.

They stand behind one set of methods, so that one test can hold for all of them. What a library has no call for is in
`lacks`, as is what it gets wrong by itself, with memcached too.
"""

import asyncio
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import libmc  # type: ignore[import-untyped]
import memcache  # type: ignore[import-untyped]
from aiomcache import ClientException, FlagClient
from pymemcache import serde  # type: ignore[import-untyped]
from pymemcache.client.base import Client as PymemcacheClient  # type: ignore[import-untyped]
from pymemcache.exceptions import MemcacheError  # type: ignore[import-untyped]

PATIENCE = 10
"""Seconds that a client waits for its server."""


class LegacyClient:
    """What a user does with a client. A miss is None; values are of the type that was stored, which flags carry.

    The methods here are those that most libraries agree on. `text_flags` and `number_flags` are those by which the
    library remembers str and int. `failures` are what it raises where it doesn't just answer that it failed.
    """

    lacks: ClassVar[frozenset[str]] = frozenset()
    text_flags: ClassVar[int]
    number_flags: ClassVar[int]
    failures: ClassVar[tuple[type[Exception], ...]] = ()
    client: Any

    def set(self, key: str, value: object, expiry: int = 0) -> bool:
        return bool(self.client.set(key, value, expiry))

    def get(self, key: str) -> Any:
        return self.client.get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        return dict(self.client.get_multi(list(keys)))

    def gets(self, key: str) -> tuple[Any, Any]:
        """The value, and what `cas` wants to be told."""
        value, unique = self.client.gets(key) or (None, None)
        return value, unique

    def cas(self, key: str, value: object, unique: Any) -> bool:
        return bool(self.client.cas(key, value, unique))

    def add(self, key: str, value: object) -> bool:
        return bool(self.client.add(key, value))

    def replace(self, key: str, value: object) -> bool:
        return bool(self.client.replace(key, value))

    def append(self, key: str, value: bytes) -> bool:
        return bool(self.client.append(key, value))

    def prepend(self, key: str, value: bytes) -> bool:
        return bool(self.client.prepend(key, value))

    def incr(self, key: str, delta: int) -> int | None:
        return self.client.incr(key, delta)  # type: ignore[no-any-return]

    def decr(self, key: str, delta: int) -> int | None:
        return self.client.decr(key, delta)  # type: ignore[no-any-return]

    def touch(self, key: str, expiry: int) -> bool:
        return bool(self.client.touch(key, expiry))

    def get_and_touch(self, key: str, expiry: int) -> bytes | None:
        raise NotImplementedError

    def delete(self, key: str) -> bool:
        return bool(self.client.delete(key))

    def flush_all(self) -> None:
        self.client.flush_all()

    def set_silently(self, key: str, value: bytes) -> None:
        """By noreply."""
        assert self.client.set(key, value, noreply=True)

    def delete_silently(self, key: str) -> None:
        """By noreply."""
        assert self.client.delete(key, noreply=True)

    def stats(self) -> dict[str, str]:
        raise NotImplementedError

    def version(self) -> str:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Pymemcache(LegacyClient):
    """Its `raw_command` is how it sends what it has no method for, such as gat."""

    failures = (MemcacheError,)
    text_flags, number_flags = serde.FLAG_TEXT, serde.FLAG_INTEGER

    def __init__(self, address: str) -> None:
        where: Any = address
        if not address.startswith("unix:"):
            host, _, port = address.rpartition(":")
            where = (host, int(port))
        self.client = PymemcacheClient(
            where, connect_timeout=PATIENCE, timeout=PATIENCE, default_noreply=False, serde=serde.pickle_serde
        )

    def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        return dict(self.client.get_many(list(keys)))

    def get_and_touch(self, key: str, expiry: int) -> bytes | None:
        answer = self.client.raw_command(f"gat {expiry} {key}", end_tokens="END\r\n")
        line, found, block = answer.partition(b"\r\n")
        if not found:
            return None
        assert line.split()[:2] == [b"VALUE", key.encode()], answer
        return bytes(block.removesuffix(b"\r\n"))

    def stats(self) -> dict[str, str]:
        return {name.decode(): str(value) for name, value in self.client.stats().items()}

    def version(self) -> str:
        return str(self.client.version().decode())

    def close(self) -> None:
        self.client.close()


class _Blocking:
    """aiomcache's client with calls that wait, in a loop of its own, over one connection."""

    def __init__(self, host: str, port: int) -> None:
        self._runner = asyncio.Runner()
        self._client: FlagClient[Any] = FlagClient(
            host, port, pool_size=1, get_flag_handler=_unpickle, set_flag_handler=_pickle
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*words: Any) -> Any:
            asked = method(*(word.encode() if index == 0 else word for index, word in enumerate(words)))
            return self._runner.run(asyncio.wait_for(asked, PATIENCE))

        return call

    def get_multi(self, keys: Sequence[str]) -> dict[str, Any]:
        asked = self._client.multi_get(*(key.encode() for key in keys))
        values = self._runner.run(asyncio.wait_for(asked, PATIENCE))
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def close(self) -> None:
        async def close() -> None:
            await self._client.close()
            await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn

        self._runner.run(close())
        self._runner.close()


async def _pickle(value: Any) -> tuple[bytes, int]:
    return pickle.dumps(value), Aiomcache.text_flags


async def _unpickle(value: bytes, flags: int) -> Any:
    assert flags == Aiomcache.text_flags, flags
    return pickle.loads(value)


class Aiomcache(LegacyClient):
    """It knows TCP alone. It leaves types other than bytes to its user's functions, here those above."""

    lacks = frozenset({"unix", "get_and_touch", "noreply", "negative expiry"})
    text_flags = number_flags = 0xFFFFFFFF
    failures = (ClientException,)

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.client = _Blocking(host, int(port))

    def incr(self, key: str, delta: int) -> int | None:
        return self._counted("incr", key, delta)

    def decr(self, key: str, delta: int) -> int | None:
        return self._counted("decr", key, delta)

    def _counted(self, verb: str, key: str, delta: int) -> int | None:
        try:
            return int(getattr(self.client, verb)(key, delta))
        except ClientException as refused:
            if "NOT_FOUND" in str(refused):
                return None
            raise

    def stats(self) -> dict[str, str]:
        return {name.decode(): (value or b"").decode() for name, value in self.client.stats().items()}

    def version(self) -> str:
        return str(self.client.version().decode())

    def close(self) -> None:
        self.client.close()


class PythonMemcached(LegacyClient):
    """It keeps the numbers of gets to itself. Its get_multi reads on behind an error, until its time is up."""

    lacks = frozenset({"get_and_touch", "version", "errors of get_many"})
    text_flags, number_flags = memcache.Client._FLAG_TEXT, memcache.Client._FLAG_INTEGER

    def __init__(self, address: str) -> None:
        self.client = memcache.Client([address], socket_timeout=PATIENCE, cache_cas=True, dead_retry=0)

    def gets(self, key: str) -> tuple[Any, Any]:
        return self.client.gets(key), self.client.cas_ids.get(key.encode())

    def cas(self, key: str, value: object, unique: Any) -> bool:
        self.client.cas_ids[key.encode()] = unique
        return bool(self.client.cas(key, value))

    def stats(self) -> dict[str, str]:
        ((_, found),) = self.client.get_stats()
        return dict(found)

    def close(self) -> None:
        self.client.disconnect_all()


class Libmc(LegacyClient):
    """It says of a whole client that it sends noreply: there is a second one for that. It calls every delete done."""

    lacks = frozenset({"get_and_touch", "misses of delete"})
    failures = (RuntimeError,)  # by flush_all alone, and whatever the reason: that one should have enabled it
    text_flags, number_flags = (libmc.encode_value(value, 0)[1] for value in ("", 0))

    def __init__(self, address: str) -> None:
        self.address = address.removeprefix("unix:")
        self.client = self._make(noreply=False)
        self._silent = self._make(noreply=True)

    def _make(self, *, noreply: bool) -> Any:
        client = libmc.Client([self.address], noreply=noreply)
        client.config(libmc.MC_POLL_TIMEOUT, PATIENCE * 1000)
        client.config(libmc.MC_CONNECT_TIMEOUT, PATIENCE * 1000)
        client.toggle_flush_all_feature(True)
        return client

    def cas(self, key: str, value: object, unique: Any) -> bool:
        return bool(self.client.cas(key, value, 0, unique))

    def flush_all(self) -> None:
        assert self.client.flush_all() == [self.address]

    def set_silently(self, key: str, value: bytes) -> None:
        assert self._silent.set(key, value)

    def delete_silently(self, key: str) -> None:
        assert self._silent.delete(key)

    def stats(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.client.stats()[self.address].items()}

    def version(self) -> str:
        return str(self.client.version()[self.address])

    def close(self) -> None:
        self.client.quit()
        self._silent.quit()


LEGACY_CLIENTS: dict[str, type[Pymemcache | Aiomcache | PythonMemcached | Libmc]] = {
    "pymemcache": Pymemcache,
    "aiomcache": Aiomcache,
    "python-memcached": PythonMemcached,
    "libmc": Libmc,
}


def make_client(kind: str, address: str) -> LegacyClient:
    """A client of LEGACY_CLIENTS for an address as the log has it: "127.0.0.1:40001", "unix:/path"."""
    return LEGACY_CLIENTS[kind](address)
