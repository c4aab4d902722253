"""The metrics of several processes as those of one.

Counters and histograms are summed, and those of processes that have ended stay in the sum: a counter must not fall
because a worker was restarted. Gauges are summed too, but for the few of which a sum says nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Families = list[list[Any]]
"""Of JSON: [name, documentation, type, [[sample's name, labels, value], ...]]."""

_NOT_SUMMED: dict[str, Callable[[float, float], float]] = {
    "mcproxy_build_info": max,
    "mcproxy_certificate_expiry_timestamp_seconds": min,
    "mcproxy_generation": min,
    "mcproxy_upstream_certificate_expiry_timestamp_seconds": min,
    "process_start_time_seconds": min,
    "mcproxy_user_secret_last_used_timestamp_seconds": max,
}
READY = "mcproxy_ready"
_SUMMED_FOR_EVER = ("counter", "histogram")

_Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def families_of(registry: CollectorRegistry) -> Families:
    """What a process reports of itself."""
    return [
        [
            family.name,
            family.documentation,
            family.type,
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in registry.collect()
    ]


class Together(Collector):
    """The last figures of each process, by a number that names it, and the sum of those that have ended."""

    def __init__(self) -> None:
        self._latest: dict[int, Families] = {}
        self._ended: Families = []

    def update(self, process: int, families: Families) -> None:
        """The figures of a process as they are now. Raises TypeError, ValueError or AttributeError for what is none."""
        _summed([families])
        self._latest[process] = families

    def ended(self, process: int) -> None:
        """Nothing more will come of this process."""
        latest = self._latest.pop(process, [])
        lasting = [family for family in latest if family[2] in _SUMMED_FOR_EVER]
        self._ended = [
            [metric.name, metric.documentation, metric.type, [[s.name, s.labels, s.value] for s in metric.samples]]
            for metric in _summed([self._ended, lasting])
        ]

    def collect(self) -> Iterator[Metric]:
        # Whether all together are ready is for whoever knows of the missing ones to say.
        return (metric for metric in _summed([*self._latest.values(), self._ended]) if metric.name != READY)

    def describe(self) -> Iterable[Metric]:
        """Nothing is known before the first report; and the names are the workers' own."""
        return []


class WorkerCount(NamedTuple):
    """`alive` workers serve. Of these the `silent` did not answer this scrape in time: their figures are older."""

    configured: int = 1
    alive: int = 1
    silent: int = 0
    restarts: int = 0


class WorkerCollector(Collector):
    """How the processes that serve clients fare."""

    def __init__(self, count: Callable[[], WorkerCount]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        count = self._count()
        workers = GaugeMetricFamily("mcproxy_workers", "Processes that serve clients, by state.", labels=["state"])
        for state in ("configured", "alive", "silent"):
            workers.add_metric([state], getattr(count, state))
        yield workers
        yield CounterMetricFamily("mcproxy_worker_restarts", "Workers that were started anew.", value=count.restarts)


def _summed(reports: Iterable[Families]) -> list[Metric]:
    heads: dict[str, tuple[str, str]] = {}
    sums: dict[str, _Samples] = {}
    for report in reports:
        for name, documentation, kind, samples in report:
            heads.setdefault(name, (documentation, kind))
            known = sums.setdefault(name, {})
            combine = _NOT_SUMMED.get(name)
            for sample, labels, value in samples:
                key = (sample, tuple(labels.items()))
                if key not in known:
                    known[key] = value
                else:
                    known[key] = combine(known[key], value) if combine else known[key] + value
    return [_metric(name, *heads[name], samples) for name, samples in sums.items()]


def _metric(name: str, documentation: str, kind: str, samples: _Samples) -> Metric:
    metric = Metric(name, documentation, kind)
    for (sample, labels), value in samples.items():
        metric.add_sample(sample, dict(labels), value)
    return metric
