"""The worker's side of what the parent counts: places for connections, and turns at trying passwords.

A question carries a number, which afterwards is the name of what it was given; `release` with that number gives it
back, whether the answer has come or not. A question is answered at once, if only with WAIT; when nothing comes within
PATIENCE, the parent is stuck, and what was asked for is refused.
"""

import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from mcproxy.auth.throttle import Standing
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.server.admission import LOOK_AGAIN
from mcproxy.server.shared import NoRoom, Undecided
from mcproxy.workers.channel import Channel

PATIENCE: Final = 2.0
WAIT: Final = "wait"


class Questions:
    """Asks over a channel. `answered` is to be called with each answer that comes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._waiting: dict[int, trio.MemorySendChannel[Any]] = {}

    async def ask(self, what: str, *arguments: object, waits: NoRoom | None = None) -> tuple[int, Any]:
        """The question's number and its answer. Who is cancelled has given back what he was given. Raises Undecided.

        `waits` is called when the answer is to come later, and then again and again: it may say why not to wait.
        """
        number = next(self._numbers)
        send, receive = trio.open_memory_channel[Any](2)
        self._waiting[number] = send
        self._channel.send(number, what, *arguments)
        try:
            with trio.fail_after(PATIENCE):
                answer = await receive.receive()
            while answer == WAIT:
                if waits is not None and (refusal := waits()) is not None:
                    self.tell("release", number)
                    return number, refusal
                with trio.move_on_after(math.inf if waits is None else LOOK_AGAIN):
                    answer = await receive.receive()
        except trio.TooSlowError:
            self.tell("release", number)
            raise Undecided from None
        except BaseException:
            self.tell("release", number)
            raise
        finally:
            del self._waiting[number]
        return number, answer

    def tell(self, what: str, number: int) -> None:
        """Say something about what was given, which needs no answer."""
        self._channel.send(0, what, number)

    def answered(self, number: int, answer: object) -> None:
        """An answer has come. Nobody may be waiting for it any more; then it was given back already."""
        if (channel := self._waiting.get(number)) is not None:
            channel.send_nowait(answer)


class RemotePlace:
    """A place that the parent gave."""

    __slots__ = ("_held", "_number", "_questions", "_waiting")

    def __init__(self, questions: Questions, number: int) -> None:
        self._questions = questions
        self._number = number
        self._held = True
        self._waiting = True

    def logged_in(self) -> None:
        """It counts as a session from now on."""
        if self._waiting and self._held:
            self._waiting = False
            self._questions.tell("logged_in", self._number)

    async def logs_in_again(self) -> bool:
        """It counts as not logged in again; False if there are too many of these, or nobody to ask."""
        if not self._waiting and self._held:
            self._waiting = True
            try:
                return bool((await self._questions.ask("logs_in_again", self._number))[1])
            except Undecided:
                return False
        return self._held

    async def comes_from(self, address: str) -> ConnectionRefusal | None:
        """As Place.comes_from of server/shared.py."""
        refusal = (await self._questions.ask("comes_from", self._number, address))[1]
        return None if refusal is None else ConnectionRefusal(refusal)

    def release(self) -> None:
        """The connection is gone."""
        if self._held:
            self._held = False
            self._questions.tell("release", self._number)


class RemoteEntrance:
    """Asks the parent for places."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    async def is_ahead(self) -> bool:
        """Whether another worker has fewer connections. A parent that doesn't answer will say so to `enter`."""
        try:
            return bool((await self._questions.ask("is_ahead"))[1])
        except Undecided:
            return False

    async def enter(self, listener: str, address: str | None, no_room: NoRoom) -> RemotePlace | ConnectionRefusal:
        """As Entrance.enter of server/shared.py."""
        number, refusal = await self._questions.ask("enter", listener, address, waits=no_room)
        return RemotePlace(self._questions, number) if refusal is None else ConnectionRefusal(refusal)


class RemoteAttempt:
    """A turn that the parent gave."""

    __slots__ = ("_number", "_questions", "standing", "wait")

    def __init__(self, questions: Questions, number: int, wait: float | None, standing: Standing) -> None:
        self.wait = wait
        self.standing = standing
        self._questions = questions
        self._number = number

    async def failed(self) -> None:
        """The password was wrong. The parent's answer is waited for: the next guess may come by another worker."""
        await self._questions.ask("failed", self._number)

    def succeeded(self) -> None:
        """The password was right."""
        self._questions.tell("succeeded", self._number)


class RemoteAttempts:
    """Asks the parent for turns."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    @asynccontextmanager
    async def attempt(
        self, source: str, username: str, patience: float, seconds: float
    ) -> AsyncIterator[RemoteAttempt]:
        """As Attempts.attempt of server/shared.py."""
        number, (wait, standing) = await self._questions.ask("attempt", source, username, patience, seconds)
        try:
            yield RemoteAttempt(self._questions, number, wait, Standing(standing))
        finally:
            self._questions.tell("release", number)
