"""Slows guesses down, and nobody else.

A guesser is known by nothing but where he comes from and whose name he tries, and both are shared with honest people:
the address with those behind the same gateway, the name with its owner. So failures are counted in buckets that are
as narrow as what was seen before allows:

    pair      the name has logged in from this source before, within a day: failures of the two count here and nowhere
              else. Neither a neighbour who tries other names, nor a thousand addresses that try this name, slow a
              client that has been here before.
    source    everybody else's failures, by address. An IPv6 address counts with its /64, and the /48 around that in a
              bucket of its own with more for nothing, or a customer with 65,536 networks had as many buckets.
    name      everybody else's failures once more, by the name that was tried, from wherever.

A bucket gives some failures for nothing, and they fade. Beyond them attempts are given slots: one second apart, then
two, four, up to ten. An attempt waits for the latest of its buckets' slots; one whose slot lies behind its deadline is
refused at once, unchecked, and takes none. A password that was right gives its slots back, so right clients that share
a bucket with wrong ones get through one after the other.

The bucket of a name is what thousand addresses fill to lock its owner out. So it never holds up a *new* source, one
that hasn't failed for an hour: who comes from elsewhere with the right password gets in at once, whatever is going on.
A guesser has one such chance for each address and hour, it is spent when it is taken rather than when it has failed,
and everything else that all his addresses try at that name shares one row of slots: about 360 an hour. Who comes with
several connections at once takes the chance with the first; the others wait for what comes of it (attempts.py).

Names that nobody has are counted as those that somebody has, or the throttle told them apart. Names that a directory
may take for one are counted together, whatever is behind them (spelling.py). Pairs are of one spelling: with an account
that is called nearly as somebody else's, one could otherwise guess as if that one had been here.

Everything is bounded. Of sources the least recently used are forgotten, to push one out takes failures from as many
others; of pairs, the oldest of whoever has most (pairs.py). Names are counted in a fixed number of cells, chosen by a
digest under a key of this process: no flood of made-up names pushes a name out, nobody can choose with whom he shares a
cell, and no name is kept.

There is no clock in here; whoever asks says what time it is, in seconds of a clock that never goes back.
"""

import hmac
import secrets
from collections import OrderedDict
from enum import IntEnum
from typing import Final

from mcproxy.auth.buckets import Bucket, Pace, Source, source_of
from mcproxy.auth.pairs import KnownPairs
from mcproxy.auth.spelling import spelling

FREE_FAILURES: Final = 5
SOURCE_PACE: Final = Pace(FREE_FAILURES, half_life=60.0)
NETWORK_PACE: Final = Pace(40, half_life=60.0)
NAME_PACE: Final = Pace(20, half_life=600.0)
"""Slower to fade: with a minute, the failures of a steady guesser would fade as fast as slots 4 s apart add to them."""
TABLE_SIZE: Final = 10_000
NAME_CELLS: Final = 16_384
KNOWN_SECONDS: Final = 86_400.0
NEW_AGAIN_SECONDS: Final = 3600.0


class Standing(IntEnum):
    """Who goes first where attempts have to queue: the smaller."""

    KNOWN = 0
    """This name has logged in from this source."""
    NEW = 1
    """The source hasn't failed for an hour."""
    FAILED = 2


class Throttle:
    """`table_size` sources and as many pairs are kept; a pair for `known_seconds` after its last success. A source is
    new again `new_again_seconds` after its last failure.
    """

    def __init__(
        self,
        *,
        source: Pace = SOURCE_PACE,
        network: Pace = NETWORK_PACE,
        name: Pace = NAME_PACE,
        table_size: int = TABLE_SIZE,
        known_seconds: float = KNOWN_SECONDS,
        new_again_seconds: float = NEW_AGAIN_SECONDS,
    ) -> None:
        self._source_pace = source
        self._network_pace = network
        self._name_pace = name
        self._table_size = table_size
        self._new_again_seconds = new_again_seconds
        self._digest_key = secrets.token_bytes(32)
        self._sources: OrderedDict[str, Bucket] = OrderedDict()
        self._pairs = KnownPairs(source, table_size, known_seconds)
        self._names: dict[int, Bucket] = {}

    def attempt(self, source: str, username: str, now: float, patience: float) -> "Slot":
        """One attempt's slot, taken if it begins within `patience` seconds."""
        return Slot(self, source_of(source), username, now, patience)

    def turns_key(self, source: str, username: str, now: float) -> str | bytes:
        """Whose attempts should queue for the same turns: those of a known pair have their own."""
        place = source_of(source)
        pair = self.pair_of(place, username)
        return place.key if self.known(pair, now) is None else pair

    def chance_key(self, source: str, username: str, now: float) -> str | None:
        """Whose chance an attempt would take, or have to wait for. None: it needs none."""
        place = source_of(source)
        if self.known(self.pair_of(place, username), now) is not None or not self.name(username).spacing(now):
            return None
        return place.network or place.key

    # For Slot.

    def pair_of(self, source: Source, username: str) -> bytes:
        """What is kept of a name and a source."""
        return self._digest(source.key.encode(errors="surrogatepass"), username)

    def known(self, pair: bytes, now: float) -> Bucket | None:
        """The pair's bucket, if it is known."""
        return self._pairs.bucket(pair, now)

    def learn(self, source: Source, username: str, now: float) -> None:
        """The name had a success from there."""
        network = self._digest(b"network " + (source.network or source.key).encode(errors="surrogatepass"), "")
        self._pairs.learn(self.pair_of(source, username), self._digest(b"", username), network, now)

    def places(self, source: Source) -> list[Bucket]:
        """The buckets of a source and its network, as far as there are any."""
        return [bucket for key in (source.key, source.network) if (bucket := self._sources.get(key)) is not None]

    def places_kept(self, source: Source) -> list[Bucket]:
        """The same, made where they were missing."""
        buckets = [self._keep(source.key, self._source_pace)]
        if source.network:
            buckets.append(self._keep(source.network, self._network_pace))
        return buckets

    def name(self, username: str) -> Bucket:
        """The bucket of the name's cell."""
        cell = int.from_bytes(self._digest(b"", spelling(username))[:8]) % NAME_CELLS
        if (bucket := self._names.get(cell)) is None:
            bucket = self._names[cell] = Bucket(self._name_pace)
        return bucket

    def old_until(self, now: float) -> float:
        """When somebody who fails now is new again."""
        return now + self._new_again_seconds

    def __len__(self) -> int:
        """How many sources and networks are kept."""
        return len(self._sources)

    def _keep(self, key: str, pace: Pace) -> Bucket:
        if (bucket := self._sources.get(key)) is None:
            bucket = self._sources[key] = Bucket(pace)
            if len(self._sources) > self._table_size:
                self._sources.popitem(last=False)
        self._sources.move_to_end(key)
        return bucket

    def _digest(self, before: bytes, username: str) -> bytes:
        message = len(before).to_bytes(4) + before + username.encode(errors="surrogatepass")
        return hmac.digest(self._digest_key, message, "sha256")


class Slot:
    """One attempt. `wait` is in seconds; None: its slot lies behind its deadline, and it must not be checked.

    It ends with `failed`, `succeeded` or, when nothing was checked, `left`. What comes after that changes nothing.
    """

    __slots__ = ("_chances", "_ended", "_name", "_source", "_taken", "_throttle", "_username", "standing", "wait")

    def __init__(self, throttle: Throttle, source: Source, username: str, now: float, patience: float) -> None:
        self._throttle = throttle
        self._source = source
        self._username = username
        self._name: Bucket | None = None
        self._ended = False
        self._taken: list[tuple[Bucket, float]] = []
        self._chances: list[tuple[Bucket, float, float]] = []
        self.standing = Standing.KNOWN
        self.wait: float | None
        if (known := throttle.known(throttle.pair_of(source, username), now)) is not None:
            self._take([known], now, patience)
            return
        places = throttle.places(source)
        is_new = all(now >= place.new_again_at for place in places)
        self.standing = Standing.NEW if is_new else Standing.FAILED
        self._name = throttle.name(username)
        if not is_new:
            self._take([*places, self._name], now, patience)
            return
        self._take(places, now, patience)
        if self.wait is not None and self._name.spacing(now):
            self._use_chance(now)

    def _take(self, buckets: list[Bucket], now: float, patience: float) -> None:
        """The latest of the buckets' next slots, or none of them."""
        self.wait = max((bucket.wait(now) for bucket in buckets), default=0.0)
        if self.wait > patience:
            self.wait = None
            return
        self._taken = [(bucket, bucket.take(now + self.wait, now)) for bucket in buckets]

    def _use_chance(self, now: float) -> None:
        """A new source gets past the name's slots once. At once: two attempts may be under way together."""
        until = self._throttle.old_until(now)
        for place in self._throttle.places_kept(self._source):
            self._chances.append((place, place.new_again_at, until))
            place.new_again_at = until

    @property
    def is_chance(self) -> bool:
        """Whether it got past the name's slots because its source is new."""
        return bool(self._chances)

    def failed(self, now: float) -> None:
        """A password that was checked and was wrong."""
        if self._ended:
            return
        self._ended = True
        if self._name is None:
            for bucket, _ in self._taken:
                bucket.fail(now)
            return
        self._name.fail(now)
        for place in self._throttle.places_kept(self._source):
            place.fail(now)
            place.new_again_at = self._throttle.old_until(now)

    def succeeded(self, now: float) -> None:
        """A password that was right: what it took is given back. Earlier failures stay, they were no less wrong."""
        if self._ended:
            return
        self.left()
        for bucket, spacing in self._taken:
            bucket.give_back(spacing, now)
        self._throttle.learn(self._source, self._username, now)

    def left(self) -> None:
        """Nobody checked it. Its slot is lost, or waiting would be free, but no chance was used."""
        if self._ended:
            return
        self._ended = True
        for place, before, until in self._chances:
            if place.new_again_at == until:
                place.new_again_at = before
