"""The parent's side of one worker's questions. What the worker holds is given back when it ends, however it ends."""

import math
from collections.abc import Callable
from typing import Any, Final

import trio

from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.server.admission import Admission, CountedPlace
from mcproxy.server.attempts import LocalAttempt, LocalAttempts
from mcproxy.server.shared import NAME_LENGTH
from mcproxy.workers.channel import Channel
from mcproxy.workers.questions import WAIT

_OVERTIME: Final = 1.0
"""Seconds beyond a login's time until a turn that wasn't given back is taken back."""


class Answers:
    """Answers questions that come over a channel. `is_ahead` tells whether another worker has fewer connections.

    `admission` and `attempts` are those of all workers. Tasks run in `nursery` until their worker has ended.
    """

    def __init__(
        self,
        channel: Channel,
        nursery: trio.Nursery,
        admission: Admission,
        attempts: LocalAttempts,
        is_ahead: Callable[[], bool],
    ) -> None:
        self._channel = channel
        self._nursery = nursery
        self._admission = admission
        self._attempts = attempts
        self._is_ahead = is_ahead
        self._places: dict[int, CountedPlace] = {}
        self._trying: dict[int, LocalAttempt] = {}
        self._waiting: dict[int, trio.CancelScope] = {}
        self._kinds: dict[str, Callable[..., Any]] = {
            "is_ahead": self._tell_whether_ahead,
            "enter": self._enter,
            "logged_in": self._logged_in,
            "logs_in_again": self._logs_in_again,
            "comes_from": self._comes_from,
            "attempt": self._attempt,
            "failed": self._failed,
            "succeeded": self._succeeded,
            "release": self._release,
        }

    @property
    def connections(self) -> int:
        """How many the worker has."""
        return len(self._places)

    def take(self, number: int, what: str, *arguments: Any) -> bool:
        """Act on a frame; False if it is none of a worker's. So is what makes it raise TypeError."""
        if (act := self._kinds.get(what)) is None or not isinstance(number, int):
            return False
        act(number, *arguments)
        return True

    def release_all(self) -> None:
        """The worker has ended."""
        for place in self._places.values():
            place.release()
        self._places.clear()
        for scope in self._waiting.values():
            scope.cancel()

    def _tell_whether_ahead(self, number: int) -> None:
        self._channel.send(number, self._is_ahead())

    def _enter(self, number: int, listener: str, address: str | None) -> None:
        if not isinstance(listener, str) or not isinstance(address, str | None):
            raise TypeError
        if (place := self._admission.enter_now((self, listener), address)) is None:
            self._nursery.start_soon(self._enter_later, number, listener, address, self._wait(number))
        else:
            self._entered(number, place)

    def _wait(self, number: int) -> trio.CancelScope:
        """What ends the waiting. It is known at once: a release may be read before the task has begun."""
        self._waiting[number] = scope = trio.CancelScope()
        self._channel.send(number, WAIT)
        return scope

    async def _enter_later(self, number: int, listener: str, address: str | None, scope: trio.CancelScope) -> None:
        with scope:
            place = await self._admission.enter((self, listener), address)
            if not scope.cancel_called:
                self._entered(number, place)
            elif isinstance(place, CountedPlace):
                place.release()
        self._waiting.pop(number, None)

    def _entered(self, number: int, place: CountedPlace | ConnectionRefusal) -> None:
        if isinstance(place, CountedPlace):
            self._places[number] = place
            self._channel.send(number, None)
        else:
            self._channel.send(number, place)

    def _logged_in(self, _: int, handle: int) -> None:
        if (place := self._places.get(handle)) is not None:
            place.logged_in()

    def _logs_in_again(self, number: int, handle: int) -> None:
        place = self._places.get(handle)
        self._channel.send(number, place is not None and place.waits_again())

    def _comes_from(self, number: int, handle: int, address: str) -> None:
        if not isinstance(address, str):
            raise TypeError
        place = self._places.get(handle)
        self._channel.send(number, ConnectionRefusal.UNDECIDED if place is None else place.comes_from_now(address))

    def _attempt(self, number: int, source: str, username: str, patience: float, seconds: float) -> None:
        if not isinstance(source, str) or not isinstance(username, str) or len(username) > NAME_LENGTH:
            raise TypeError
        for time in (patience, seconds):
            if not isinstance(time, int | float) or not math.isfinite(time):
                raise TypeError
        self._nursery.start_soon(self._attempt_later, number, source, username, patience, seconds, self._wait(number))

    async def _attempt_later(
        self, number: int, source: str, username: str, patience: float, seconds: float, scope: trio.CancelScope
    ) -> None:
        """Holds the turn until it is given back, or its login's time is over: the worker may hang."""
        deadline = trio.current_time() + seconds + _OVERTIME
        with scope:
            async with self._attempts.attempt(source, username, patience, seconds) as attempt:
                self._trying[number] = attempt
                self._channel.send(number, (attempt.wait, attempt.standing))
                await trio.sleep_until(deadline)
                # Nobody knows what came of it. A guess must not be free.
                attempt.failed_now()
        self._trying.pop(number, None)
        self._waiting.pop(number, None)

    def _failed(self, number: int, handle: int) -> None:
        if (attempt := self._trying.get(handle)) is not None:
            attempt.failed_now()
        self._channel.send(number, None)

    def _succeeded(self, _: int, handle: int) -> None:
        if (attempt := self._trying.get(handle)) is not None:
            attempt.succeeded()

    def _release(self, _: int, handle: int) -> None:
        if (place := self._places.pop(handle, None)) is not None:
            place.release()
        elif (scope := self._waiting.get(handle)) is not None:
            scope.cancel()
