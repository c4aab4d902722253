"""How long upstream takes, measured on samples: plain ints, read when metrics are scraped."""

from bisect import bisect_left
from typing import Final

BOUNDS: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01),
    *(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Upper ends of the buckets, in seconds. What is longer still is counted behind them."""

SAMPLE_INTERVAL: Final = 0.001
"""Seconds between two samples of one link: its requests are many more, and a look at the clock costs time."""


class Durations:
    """Of the links of one pool. `counts` has a number for each bucket, not summed up, and `total` is in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one request."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
