"""What the clients of one principal asked for. Plain ints: they are touched for every request."""

from collections import Counter


class Tally:
    """Counts since the start, which never fall, but for `sessions`, which is how many there are now.

    `requests` and `denied` are by command class. `hits` and `misses` are keys that retrievals were answered for.
    """

    __slots__ = ("denied", "hits", "misses", "requests", "sessions")

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        self.hits = 0
        self.misses = 0
        self.sessions = 0
