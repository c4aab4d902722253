"""The pairs of a name and a source that have logged in, and whose are forgotten first when there are too many.

A pair costs a right password and nothing else, and one customer's IPv6 network has more sources than any table has
room for. If the least recently used were forgotten, whoever has one account could have everybody forgotten. So the one
who has most of them, by name or by network, loses the oldest of his: a name that logs in from everywhere makes room
for itself, and so does a network with many names.
"""

from collections import OrderedDict

from mcproxy.auth.buckets import Bucket, Pace


class Shares:
    """Things and who owns them, in the order of their last use. A thing may have several owners."""

    def __init__(self) -> None:
        self._things: dict[bytes, dict[bytes, None]] = {}
        self._by_count: dict[int, dict[bytes, None]] = {}
        self._most = 0

    def use(self, owner: bytes, thing: bytes) -> None:
        """The owner has it, and used it just now."""
        things = self._things.setdefault(owner, {})
        before = len(things)
        things.pop(thing, None)
        things[thing] = None
        self._count(owner, before, len(things))

    def remove(self, owner: bytes, thing: bytes) -> None:
        """The owner has it no more."""
        things = self._things[owner]
        before = len(things)
        del things[thing]
        self._count(owner, before, len(things))
        if not things:
            del self._things[owner]

    def oldest_of_most(self) -> bytes:
        """What the one who has most has not used for longest. There must be something."""
        while self._most not in self._by_count:
            self._most -= 1
        owner = next(iter(self._by_count[self._most]))
        return next(iter(self._things[owner]))

    def _count(self, owner: bytes, before: int, after: int) -> None:
        """Numbers change by one at a time, so that who has most is found without looking through all."""
        if before:
            same = self._by_count[before]
            del same[owner]
            if not same:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, {})[owner] = None
            self._most = max(self._most, after)


class KnownPairs:
    """`size` of them at most, each for `seconds` after its last success. Failures of each have a bucket of `pace`."""

    def __init__(self, pace: Pace, size: int, seconds: float) -> None:
        self._pace = pace
        self._size = size
        self._seconds = seconds
        self._pairs: OrderedDict[bytes, tuple[Bucket, float, tuple[bytes, bytes]]] = OrderedDict()
        self._shares = Shares()

    def bucket(self, pair: bytes, now: float) -> Bucket | None:
        """The pair's bucket; None if it isn't known."""
        found = self._pairs.get(pair)
        return found[0] if found is not None and now < found[1] else None

    def learn(self, pair: bytes, name: bytes, network: bytes, now: float) -> None:
        """The pair had a success. `name` and `network` are whose it is."""
        while self._pairs and next(iter(self._pairs.values()))[1] <= now:
            self._forget(next(iter(self._pairs)))
        bucket = self.bucket(pair, now) or Bucket(self._pace)
        self._pairs[pair] = (bucket, now + self._seconds, (name, network))
        self._pairs.move_to_end(pair)
        for owner in (name, network):
            self._shares.use(owner, pair)
        if len(self._pairs) > self._size:
            self._forget(self._shares.oldest_of_most())

    def __len__(self) -> int:
        return len(self._pairs)

    def _forget(self, pair: bytes) -> None:
        _, _, owners = self._pairs.pop(pair)
        for owner in owners:
            self._shares.remove(owner, pair)
