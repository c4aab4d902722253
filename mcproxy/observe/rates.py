"""Rates of the last minutes, for the small plots of the status page: kept here, so that a page shows them at once."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

INTERVAL: Final = 2.0
"""Seconds between two samples."""
POINTS: Final = 150
"""Five minutes."""
_GAP: Final = 10.0
"""Seconds without a sample after which what was before is forgotten: the machine slept, say."""


class Rates:
    """Turns totals, by the names of `series`, into what they grew by in a second."""

    def __init__(self, series: tuple[str, ...]) -> None:
        self._series: dict[str, deque[float]] = {name: deque(maxlen=POINTS) for name in series}
        self._totals: Mapping[str, float] = {}
        self._taken: float | None = None
        self._end = 0.0

    def sample(self, totals: Mapping[str, float], now: float, time: float) -> None:
        """To be called each INTERVAL. `now` is of a clock that never goes back, `time` Unix time, both in seconds.

        A total that fell counts as one that stood still.
        """
        elapsed = None if self._taken is None else now - self._taken
        if elapsed is not None and elapsed <= 0:
            return
        if elapsed is not None and elapsed > _GAP:
            for points in self._series.values():
                points.clear()
        elif elapsed is not None:
            for name, points in self._series.items():
                grown = totals.get(name, 0.0) - self._totals.get(name, 0.0)
                points.append(round(max(0.0, grown / elapsed), 3))
        self._totals, self._taken, self._end = totals, now, time

    def last(self, name: str) -> float | None:
        """The newest point of a series, None before there is one."""
        points = self._series[name]
        return points[-1] if points else None

    def document(self, *names: str) -> dict[str, Any]:
        """Of JSON: `interval`, `end` (Unix time of the newest point) and the `series` named, the oldest point first."""
        return {"interval": INTERVAL, "end": self._end, "series": {name: list(self._series[name]) for name in names}}
