"""A saslauthd that does what the real one can't be made to do."""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

Behaviour = Callable[[trio.SocketStream], Awaitable[None]]
OK = b"\0\2OK"


class FakeSaslauthd:
    """`behaviour` is what it does with a connection. `questions` counts those that came whole."""

    def __init__(self, path: Path, *, backlog: int = 100) -> None:
        self.path = path
        self.questions = 0
        self.at_once = 0
        self.most_at_once = 0
        self.behaviour: Behaviour = self.accepts
        self.release = trio.Event()
        self._socket = trio.socket.socket(socket.AF_UNIX)
        self._backlog = backlog
        self._scope = trio.CancelScope()

    async def listen(self) -> None:
        await self._socket.bind(str(self.path))
        self._socket.listen(self._backlog)

    async def serve(self) -> None:
        """Until it is closed."""
        with self._socket:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                while True:
                    connection, _ = await self._socket.accept()
                    nursery.start_soon(self._serve_one, trio.SocketStream(connection))

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            async with stream:
                await self.behaviour(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            self.at_once -= 1

    async def question(self, stream: trio.SocketStream) -> None:
        for _ in range(4):
            length = int.from_bytes(await _exactly(stream, 2))
            await _exactly(stream, length)
        self.questions += 1

    async def accepts(self, stream: trio.SocketStream) -> None:
        await self.question(stream)
        await stream.send_all(OK)

    async def accepts_later(self, stream: trio.SocketStream) -> None:
        await self.question(stream)
        await self.release.wait()
        await stream.send_all(OK)

    def says(self, *pieces: bytes) -> Behaviour:
        async def behave(stream: trio.SocketStream) -> None:
            await self.question(stream)
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(0.001)

        return behave

    async def is_silent(self, stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    def close(self) -> None:
        self._scope.cancel()


async def _exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            raise trio.BrokenResourceError
        data += more
    return data
