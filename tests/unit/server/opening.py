"""An upstream on a unix socket that goes by a script, and what opening a link to it comes to."""

import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.config.schema import Upstream, UpstreamTls
from mcproxy.relay.obstacle import (
    NotOpened,
)
from mcproxy.relay.secured import Connection, socket_of
from mcproxy.server.link_opening import open_connection
from mcproxy.server.state import UpstreamState
from mcproxy.server.upstream_states import client_context

TIMEOUT = 1.0
VERSION = b"VERSION 1.6.18\r\nMN\r\n"
TOO_MANY = b"ERROR Too many open connections\r\n"
Answer = Callable[[trio.SocketStream], Awaitable[None]]


def reply(opcode: int, value: bytes = b"", status: int = 0, opaque: int | None = None) -> bytes:
    """With the opaque that is expected of the first login and of the greeting."""
    if opaque is None:
        opaque = 0x6D630001 if opcode == 0x21 else opcode
    return struct.pack(">BBHBBHIIQ", 0x81, opcode, 0, 0, 0, status, len(value), opaque, 0) + value


GREETED = reply(0x0B, b"1.6.18") + reply(0x0A)


class Says:
    """One answer after another, each when something has come. `said` is set then. To be used once."""

    def __init__(self, *answers: bytes, stays: bool = True) -> None:
        self.answers = answers
        self.stays = stays
        self.said = trio.Event()

    async def __call__(self, stream: trio.SocketStream) -> None:
        for data in self.answers:
            await stream.receive_some(4096)
            if data:
                await stream.send_all(data)
        self.said.set()
        if self.stays:
            await trio.sleep_forever()


@asynccontextmanager
async def upstream(directory: Path, answer: Answer, **more: object) -> AsyncIterator[UpstreamState]:
    """Listens on a unix socket; connections are answered by `answer`."""
    path = directory / "upstream.sock"

    async def serve(connection: trio.SocketStream) -> None:
        async with connection:
            with contextlib.suppress(trio.BrokenResourceError):  # the program has left
                await answer(connection)

    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        await listener.bind(str(path))
        listener.listen(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listener)])
            yield state(path, **more)
            nursery.cancel_scope.cancel()


def state(path: Path, tls: UpstreamTls | None = None, login: Credentials | None = None) -> UpstreamState:
    settings = Upstream.model_validate({"address": f"unix:{path}", "timeout": f"{TIMEOUT:g}s", "tls": tls})
    return UpstreamState("upstream", settings, None if tls is None else client_context(tls), login=login)


async def fails(there: UpstreamState, protocol: str = "text") -> NotOpened:
    with pytest.raises(NotOpened) as raised:
        await open_connection(there, protocol)
    return raised.value


async def fails_in_time(clock: MockClock, there: UpstreamState, protocol: str, silent: Says) -> NotOpened:
    """As fails, once the time is up that upstream has after all that it says."""
    caught: list[NotOpened] = []

    async def attempt() -> None:
        caught.append(await fails(there, protocol))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempt)
        await silent.said.wait()
        await wait_all_tasks_blocked()
        assert not caught
        while not caught:
            # More than once: upstream's time doesn't run while a thread is at what it said.
            clock.jump(TIMEOUT)
            await wait_all_tasks_blocked()
    return caught[0]


def close(connection: Connection) -> None:
    socket_of(connection).close()
