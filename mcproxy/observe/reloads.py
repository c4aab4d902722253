"""How reloads went, as metrics."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Reload(NamedTuple):
    """`time` is Unix time in seconds; `problem` the first of those that it failed for, None if it succeeded."""

    time: float
    problem: str | None


class Reloads(Collector):
    """Counts them. The start is the first success, though it is not counted. `last` is None until there was one."""

    def __init__(self) -> None:
        self.last: Reload | None = None
        self._results = {"success": 0, "failure": 0}
        self._last_successful = True
        self._last_success = time.time()

    @property
    def last_successful(self) -> bool:
        """Whether the files, when they were read last, held what is served."""
        return self._last_successful

    def succeeded(self) -> None:
        self._results["success"] += 1
        self._last_successful = True
        self._last_success = time.time()
        self.last = Reload(self._last_success, None)

    def failed(self, problem: str) -> None:
        self._results["failure"] += 1
        self._last_successful = False
        self.last = Reload(time.time(), problem)

    def collect(self) -> Iterator[Metric]:
        counts = CounterMetricFamily("mcproxy_reloads", "Reloads of the configuration, by result.", labels=["result"])
        for result, count in self._results.items():
            counts.add_metric([result], count)
        yield counts
        yield GaugeMetricFamily(
            "mcproxy_last_reload_successful",
            "0 if the files that were read last are wrong, and those before them are served.",
            value=float(self._last_successful),
        )
        yield GaugeMetricFamily(
            "mcproxy_last_reload_success_timestamp_seconds",
            "When what is served was last read, in Unix time.",
            value=self._last_success,
        )


class GenerationCollector(Collector):
    """Which reading of the files is served: 1 since the start, one more with each reload that changed something.

    Of several workers the one that is furthest behind counts.
    """

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "mcproxy_generation", "Reading of the files that is served; 1 since the start.", value=self._number()
        )
