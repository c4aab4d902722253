"""Who waits for something of which there is little: in order of standing, and within a standing name by name.

Round-robin over names, or one name that asks for much would have it all. A name that is tried from where it has logged
in before goes in front of everybody else, and right passwords are never slowed; so one that has just had much that way
goes with the newcomers for a while.
"""

import hmac
import math
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

import trio

from mcproxy.auth.throttle import Standing

MUCH: Final = 32
"""Turns of a name in front of everybody else."""
HALF_LIFE: Final = 10.0
"""Seconds in which half of what a name has had is forgotten."""
CELLS: Final = 4096


class Busy(Exception):
    """Too many others are waiting."""


@dataclass(slots=True)
class _Waiting:
    woken: trio.Event = field(default_factory=trio.Event)
    """With a turn, or because it had to leave."""
    has_turn: bool = False


class Queue:
    """`at_once` have a turn, and `longest` more may wait for one."""

    def __init__(self, at_once: int, longest: int) -> None:
        self._idle = at_once
        self._longest = longest
        # Of each name those who wait, and the names in the order in which they are next.
        self._lines: dict[Standing, OrderedDict[str, deque[_Waiting]]] = {each: OrderedDict() for each in Standing}
        self._recent = _Recent()

    @property
    def idle(self) -> int:
        """Turns that nobody has."""
        return self._idle

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(waiting) for line in self._lines.values() for waiting in line.values())

    async def turn(self, standing: Standing, name: str) -> None:
        """Returns with a turn, which is to be given back. Raises Busy, also for whoever has to make room."""
        if standing is Standing.KNOWN:
            now = trio.current_time()
            if self._recent.much(name, now):
                standing = Standing.NEW
            self._recent.add(name, now)
        if self._idle:
            self._idle -= 1
            return
        if len(self) >= self._longest:
            self._make_room(standing, name)
        mine = _Waiting()
        self._lines[standing].setdefault(name, deque()).append(mine)
        try:
            await mine.woken.wait()
        except trio.Cancelled:
            if mine.has_turn:
                self.give_back()
            elif not mine.woken.is_set():
                self._remove(standing, name, mine)
            raise
        if not mine.has_turn:
            raise Busy

    def give_back(self) -> None:
        """To whoever is next."""
        line = next((line for line in self._lines.values() if line), None)
        if line is None:
            self._idle += 1
            return
        name, waiting = next(iter(line.items()))
        following = waiting.popleft()
        if waiting:
            line.move_to_end(name)
        else:
            del line[name]
        following.has_turn = True
        following.woken.set()

    def _make_room(self, standing: Standing, name: str) -> None:
        """For whoever is of better standing than the last, or asks for less than another. Raises Busy."""
        last = max((each for each, line in self._lines.items() if line), default=None)
        if last is None or last < standing:
            raise Busy
        line = self._lines[last]
        greedy = max(line, key=lambda each: len(line[each]))
        if last == standing and len(line[greedy]) <= len(line.get(name, ())) + 1:
            raise Busy
        leaving = line[greedy][-1]
        self._remove(last, greedy, leaving)
        leaving.woken.set()

    def _remove(self, standing: Standing, name: str, waiting: _Waiting) -> None:
        line = self._lines[standing]
        line[name].remove(waiting)
        if not line[name]:
            del line[name]


class _Recent:
    """What names have had lately, in a fixed number of cells under a key of this process: no name is kept."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._cells: dict[int, tuple[float, float]] = {}

    def much(self, name: str, now: float) -> bool:
        return self._faded(self._cell(name), now) >= MUCH

    def add(self, name: str, now: float) -> None:
        cell = self._cell(name)
        self._cells[cell] = (self._faded(cell, now) + 1, now)

    def _faded(self, cell: int, now: float) -> float:
        had, at = self._cells.get(cell, (0.0, now))
        return had * math.pow(0.5, (now - at) / HALF_LIFE)

    def _cell(self, name: str) -> int:
        return int.from_bytes(hmac.digest(self._key, name.encode(errors="surrogatepass"), "sha256")[:8]) % CELLS
