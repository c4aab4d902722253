"""Asks saslauthd whether a password is right, without ever waiting long or for many.

One connection a question; saslauthd has five processes unless it was told otherwise, and other services ask it too, so
few questions are under way at once. Who comes later waits, for as long as answers come. Back ends take their time over
wrong passwords, and a few guessers would keep everybody out: so who has logged in from there before doesn't wait behind
strangers, and of what strangers have, sources that failed lately may not take all. Equal questions that are under way
together share one, and nothing is remembered: an account that was closed must not live on here.
"""

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

import trio

from mcproxy.auth.preparation import name_problem
from mcproxy.auth.saslauthd import LONGEST_ANSWER, Answer, UnknownAnswer, answer, question
from mcproxy.auth.throttle import Standing
from mcproxy.config.schema import Saslauthd as Settings
from mcproxy.observe.log import get_logger
from mcproxy.server.queue import Busy, Queue
from mcproxy.server.second_source import Unavailable

log = get_logger()
AT_ONCE: Final = 2
"""Questions of those who have logged in before, and as many of others; of these one less from sources that failed."""
QUEUE: Final = 256
_TRY_AGAIN: Final = 0.02

_NO_ANSWER: Final = "no answer in time"
_NO_TURN: Final = "no turn in time"
_BUSY: Final = "too many questions are waiting"


@dataclass(slots=True)
class _Question:
    """One under way, for those who ask the same. Neither `accepted` nor `failure`: who asked went away."""

    done: trio.Event = field(default_factory=trio.Event)
    accepted: bool | None = None
    failure: Unavailable | None = None


class Saslauthd:
    """`at_once` questions of each of the two sorts are under way, and `queue` more may wait for their turn."""

    def __init__(self, settings: Settings, *, at_once: int = AT_ONCE, queue: int = QUEUE) -> None:
        self._settings = settings
        known, others = (Queue(at_once, queue) for _ in range(2))
        failed = Queue(max(1, at_once - 1), queue)
        # The turns that a question needs, one after the other.
        self._turns = {Standing.KNOWN: [known], Standing.NEW: [others], Standing.FAILED: [failed, others]}
        self._waiting: set[trio.CancelScope] = set()
        self._under_way: dict[tuple[Standing, str, str], _Question] = {}
        self._failing = False

    @property
    def identity(self) -> bytes:
        """Of whoever is asked, and as what."""
        return identity_of(self._settings)

    @property
    def seconds(self) -> float:
        """How long a question may take."""
        return self._settings.timeout

    async def check(self, username: str, password: str, standing: Standing) -> bool:
        """Whether saslauthd accepts this now. Raises Unavailable, within the time-out if no answers come at all.

        Nothing is asked when the deadline around this comes before the answer may.
        """
        if name_problem(username) is not None:
            return False
        message = question(username, password, self._settings.service, self._settings.realm)
        if message is None:
            return False
        key = (standing, username, password)
        while (shared := self._under_way.get(key)) is not None:
            await shared.done.wait()
            if shared.failure is not None:
                raise Unavailable(str(shared.failure), asked=shared.failure.asked)
            if shared.accepted is not None:
                return shared.accepted
        mine = self._under_way[key] = _Question()
        try:
            mine.accepted = await self._in_turn(standing, username, message)
        except Unavailable as failure:
            mine.failure = failure
            raise
        finally:
            del self._under_way[key]
            mine.done.set()
        return mine.accepted

    async def _in_turn(self, standing: Standing, username: str, message: bytes) -> bool:
        """Waits for its turns for as long as others get answers, then asks."""
        with ExitStack() as taken:
            for queue in self._turns[standing]:
                await self._wait(queue, standing, username)
                taken.callback(queue.give_back)
            accepted = await self._ask(message)
        for waiting in self._waiting:
            waiting.deadline = trio.current_time() + self._settings.timeout
        return accepted

    async def _wait(self, queue: Queue, standing: Standing, username: str) -> None:
        with trio.move_on_after(self._settings.timeout) as scope:
            self._waiting.add(scope)
            try:
                await queue.turn(standing, username)
            except Busy:
                raise Unavailable(_BUSY, asked=False) from None
            finally:
                self._waiting.discard(scope)
        if scope.cancelled_caught:
            raise Unavailable(_NO_TURN, asked=False)

    async def _ask(self, message: bytes) -> bool:
        """A question is given all of its time, or isn't asked: nobody may cut it short and have his guess uncounted."""
        if trio.current_effective_deadline() < trio.current_time() + self._settings.timeout:
            raise Unavailable(_NO_TURN, asked=False)
        asked = False
        failure = _NO_ANSWER
        with trio.move_on_after(self._settings.timeout):
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
                    await self._connect(connection)
                    # From the first byte on: nobody can tell what of it was read.
                    asked = True
                    await _send(connection, message)
                    found = await _receive(connection)
                if found is not Answer.BROKEN:
                    self._note(None)
                    return found is Answer.ACCEPTED
                failure = "it can't ask whoever it asks"
            except UnknownAnswer:
                failure = "an answer that saslauthd doesn't give"
            except OSError as error:
                failure = error.strerror or type(error).__name__
        self._note(failure)
        raise Unavailable(failure, asked=asked)

    async def _connect(self, connection: socket.socket) -> None:
        """Raises OSError. A unix socket's queue that is full has no event (unix(7): EAGAIN), so it is tried again."""
        while True:
            try:
                connection.connect(os.fsencode(self._settings.socket))
            except BlockingIOError:
                await trio.sleep(_TRY_AGAIN)
            else:
                return

    def _note(self, failure: str | None) -> None:
        """A line when an outage begins, and one when it ends."""
        if failure is not None and not self._failing:
            log.warning("saslauthd_unavailable", socket=str(self._settings.socket), reason=failure)
        elif failure is None and self._failing:
            log.info("saslauthd_answers", socket=str(self._settings.socket))
        self._failing = failure is not None


async def _send(connection: socket.socket, message: bytes) -> None:
    while message:
        try:
            message = message[connection.send(message) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(connection)


async def _receive(connection: socket.socket) -> Answer:
    """Raises OSError and UnknownAnswer."""
    data = b""
    while (found := answer(data)) is None:
        try:
            received = connection.recv(LONGEST_ANSWER)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(connection)
            continue
        if not received:
            raise UnknownAnswer
        data += received
    return found


def identity_of(settings: Settings) -> bytes:
    """What stands for whoever is asked: it changes with whom is asked, or as what."""
    parts = (os.fsencode(settings.socket), settings.service.encode(), settings.realm.encode())
    return b"saslauthd:" + b"\0".join(parts)


def saslauthd_of(settings: Settings | None) -> Saslauthd | None:
    """For the configuration's section, if there is one."""
    return None if settings is None else Saslauthd(settings)
