"""Who is logging in on a listener, by source, and who of them says nothing: whom to end when there is no place left.

Strangers who connect and stay silent must not keep out those who would log in. So a newcomer for whom there is no place
gets that of the oldest silent connection of the source that has most of these. Nobody is ended for being one of many:
a rush of clients that do talk is left to wait its turn. All steps take the same time however many there are.
"""

import contextlib
import math
import socket
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import trio

SILENCE: Final = 1.0
"""Seconds for which it has been the client's turn until it counts as silent. A login takes some round trips."""

CROWDED_OUT: Final = "it was silent while others needed its place"


class Newcomer:
    """One connection that is logging in. `scope` is what ends it, and `crowded_out` tells that it was ended here."""

    __slots__ = ("_crowd", "_scope", "_source", "crowded_out", "sock")

    def __init__(self, crowd: "Crowd", source: str, sock: socket.socket, scope: trio.CancelScope) -> None:
        self.crowded_out = False
        self.sock = sock
        self._crowd = crowd
        self._scope = scope
        self._source = crowd.add(self, source)

    @property
    def source(self) -> "_Source":
        return self._source

    def clients_turn(self) -> None:
        """What comes next has to come from the client, who has SILENCE for it. Sending bytes gains no more time."""
        if not self.crowded_out:
            self._crowd.expect(self)

    def proxys_turn(self) -> None:
        """The client has done its part: a password is checked, say."""
        self._crowd.expect_no_more(self)

    def end(self) -> None:
        """Give its place to somebody else."""
        self.crowded_out = True
        self.proxys_turn()
        self._scope.cancel()


class _Source:
    """`held` are all its connections that log in, `silent` those that say nothing, the oldest first."""

    __slots__ = ("held", "key", "silent")

    def __init__(self, key: str) -> None:
        self.key = key
        self.held = 0
        self.silent: OrderedDict[Newcomer, None] = OrderedDict()


class Crowd:
    """Those who are logging in on one listener."""

    def __init__(self) -> None:
        self.held = 0
        self.silent = 0
        self._sources: dict[str, _Source] = {}
        # Whose turn it is, and since when, the longest first. It is looked at when somebody finds no place.
        self._expected: OrderedDict[Newcomer, float] = OrderedDict()
        # Sources by how many silent connections they have, and the highest of these numbers.
        self._sources_with: dict[int, OrderedDict[_Source, None]] = {}
        self._most = 0
        # When somebody last found no place.
        self._full_at = -math.inf

    @contextlib.contextmanager
    def joined_by(self, source: str, sock: socket.socket, scope: trio.CancelScope) -> Iterator[Newcomer]:
        """Somebody has a place and is to log in, until the context ends. `source` as auth/buckets.source_of has it."""
        newcomer = Newcomer(self, source, sock, scope)
        newcomer.clients_turn()
        try:
            yield newcomer
        finally:
            newcomer.proxys_turn()
            self.remove(newcomer)

    def make_room_for(self, source: str | None) -> bool:
        """There is no place: end somebody, if that is fair to all; False if this source is itself why there is none.

        Fair is: at least half of those who log in are silent, so this is no rush of honest clients; and the source that
        has most of the silent ones has more than twice as many as this source has in all. None: not known yet.
        """
        self._full_at = trio.current_time()
        self._notice_silence()
        if self._is_rush():
            return True
        own = None if source is None else self._sources.get(source)
        if self._most > 2 * (own.held if own is not None else 0):
            crowd = next(iter(self._sources_with[self._most]))
            next(iter(crowd.silent)).end()
            return True
        return own is None or not _is_silent(own)

    def end_silent(self) -> None:
        """The proxy stops: whoever is silent has nothing coming to him."""
        self._notice_silence()
        for source in list(self._sources.values()):
            for newcomer in list(source.silent):
                newcomer.end()

    def was_made_by(self, source: str) -> bool:
        """Whether there was no room within the last second, and this source is why: half of its own are silent.

        Said at once, so that turning away a crowd takes no time from those who wait behind it.
        """
        if trio.current_time() - self._full_at >= SILENCE:
            return False
        self._notice_silence()
        own = self._sources.get(source)
        return not self._is_rush() and own is not None and _is_silent(own)

    def _is_rush(self) -> bool:
        return 2 * self.silent < self.held or not self.silent

    def _notice_silence(self) -> None:
        now = trio.current_time()
        while self._expected:
            newcomer, since = next(iter(self._expected.items()))
            if now - since < SILENCE:
                break
            del self._expected[newcomer]
            if _has_sent(newcomer.sock):
                # It is the proxy that is late.
                self._expected[newcomer] = now
            else:
                source = newcomer.source
                source.silent[newcomer] = None
                self.silent += 1
                self._has_silent(source, len(source.silent) - 1)

    # What a Newcomer calls.

    def add(self, newcomer: Newcomer, key: str) -> _Source:
        """Count one more of a source."""
        if (source := self._sources.get(key)) is None:
            source = self._sources[key] = _Source(key)
        source.held += 1
        self.held += 1
        return source

    def remove(self, newcomer: Newcomer) -> None:
        """Count one less."""
        source = newcomer.source
        source.held -= 1
        self.held -= 1
        if not source.held:
            del self._sources[source.key]

    def expect(self, newcomer: Newcomer) -> None:
        """It is the client's turn from now on."""
        self.expect_no_more(newcomer)
        self._expected[newcomer] = trio.current_time()

    def expect_no_more(self, newcomer: Newcomer) -> None:
        """It isn't the client's turn."""
        source = newcomer.source
        if newcomer in source.silent:
            del source.silent[newcomer]
            self.silent -= 1
            self._has_silent(source, len(source.silent) + 1)
        else:
            self._expected.pop(newcomer, None)

    def _has_silent(self, source: _Source, before: int) -> None:
        """Keep the index: the number has changed by one."""
        if before:
            del self._sources_with[before][source]
            if not self._sources_with[before]:
                del self._sources_with[before]
        if now := len(source.silent):
            self._sources_with.setdefault(now, OrderedDict())[source] = None
        if now > self._most or self._most not in self._sources_with:
            self._most = now


class Crowds(dict[str, Crowd]):
    """By listener: each has places of its own, and nobody is ended for a newcomer of another."""

    def __missing__(self, listener: str) -> Crowd:
        crowd = self[listener] = Crowd()
        return crowd


def _is_silent(source: _Source) -> bool:
    return 2 * len(source.silent) >= source.held


def _has_sent(sock: socket.socket) -> bool:
    """Whether bytes wait to be read."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
