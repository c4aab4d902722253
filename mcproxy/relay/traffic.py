"""What the relay counts. Plain ints: they are touched for every request, and read when metrics are scraped."""

from collections import Counter
from typing import Final

from mcproxy.relay.link_ends import LOST, TIMED_OUT
from mcproxy.relay.obstacle import NOT_LET_IN, NOT_TRUSTED, UNAVAILABLE
from mcproxy.wire.tally import Tally

FAILURES: Final = (UNAVAILABLE, NOT_TRUSTED, NOT_LET_IN, LOST, TIMED_OUT)
"""What clients whose requests get no answer of memcached's are told, behind SERVER_ERROR."""

MOST_PRINCIPALS: Final = 200
"""Who comes when so many have tallies of their own is counted with all others like him: a metric's series are for ever,
and there may be as many users as the file has lines."""

OTHER: Final = ("other", "other")
"""Kind and name of these: there is no such kind of principal."""


class Traffic:
    """Counts since the start. Requests, hits and misses are counted for each principal, and summed when asked for.

    `refused` is by a refusal's fixed reason, or by what clients are told of a failure. `busy_seconds` is how long the
    relay's turns have taken, without the waits in them.
    """

    def __init__(self) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.refused: Counter[str] = Counter()
        self.busy_seconds = 0.0
        self.downstream_received = 0
        self.downstream_sent = 0
        self.upstream_received = 0
        self.upstream_sent = 0

    def tally_of(self, kind: str, name: str) -> Tally:
        """What counts for a principal. It stays when the last session of that principal has ended."""
        principal = (kind, name)
        if principal not in self.tallies and len(self.tallies) >= MOST_PRINCIPALS:
            principal = OTHER
        return self.tallies.setdefault(principal, Tally())

    def failed(self, answer: bytes, requests: int) -> None:
        """So many requests get `answer`, one of FAILURES, since memcached has none for them."""
        if requests:
            self.refused[answer.decode()] += requests

    @property
    def requests(self) -> Counter[str]:
        """Those that were passed on, by command class."""
        counts: Counter[str] = Counter()
        for tally in self.tallies.values():
            counts.update(tally.requests)
        return counts

    @property
    def denied(self) -> Counter[str]:
        """Requests that no grant allows, by command class."""
        counts: Counter[str] = Counter()
        for tally in self.tallies.values():
            counts.update(tally.denied)
        return counts

    @property
    def hits(self) -> int:
        """Keys that retrievals asked for and got."""
        return sum([tally.hits for tally in self.tallies.values()])

    @property
    def misses(self) -> int:
        """Keys that retrievals asked for and didn't get."""
        return sum([tally.misses for tally in self.tallies.values()])
