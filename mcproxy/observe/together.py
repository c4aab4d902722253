"""The metrics of several processes as those of one.

Counters and histograms are summed, and those of processes that have ended stay in the sum: a counter must not fall
because a worker was restarted. Gauges are summed too, but for the few of which a sum says nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Families = list[list[Any]]
"""Of JSON: [name, documentation, type, [[sample's name, labels, value], ...]]. One with many samples may be there in
several pieces, which follow each other."""

SLICE: Final = 200
"""Samples that are reported at once: half a millisecond's work, after which others get their turn."""

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


@dataclass(slots=True)
class _Family:
    documentation: str
    kind: str
    samples: _Samples = field(default_factory=dict)


_Report = dict[str, _Family]
"""By name. It is never changed: whoever sums reports, one family at a time, goes on with what he began with."""


def families_of(source: CollectorRegistry | Collector) -> Families:
    """What a process reports of itself."""
    return [family for families in slices_of(source) for family in families]


def slices_of(source: CollectorRegistry | Collector) -> Iterator[Families]:
    """The same in parts of SLICE samples at most, each made when it is asked for."""
    families: Families = []
    room = SLICE
    for family in source.collect():
        rows: list[list[Any]] = []
        families.append([family.name, family.documentation, family.type, rows])
        for sample in family.samples:
            if not room:
                yield families
                rows, room = [], SLICE
                families = [[family.name, family.documentation, family.type, rows]]
            rows.append([sample.name, sample.labels, sample.value])
            room -= 1
    yield families


class Together(Collector):
    """The last figures of each process, by a number that names it, and the sum of those that have ended."""

    def __init__(self) -> None:
        self._latest: dict[int, _Report] = {}
        self._ended: _Report = {}

    def update(self, process: int, families: Families) -> None:
        """The figures of a process as they are now; of a family that isn't there what is known stays.

        Raises TypeError, ValueError or AttributeError for what is none.
        """
        self._latest[process] = self._latest.get(process, {}) | _report(families)

    def ended(self, process: int) -> None:
        """Nothing more will come of this process."""
        latest = self._latest.pop(process, {})
        lasting = {name: family for name, family in latest.items() if family.kind in _SUMMED_FOR_EVER}
        reports = [self._ended, lasting]
        self._ended = {name: _summed(name, reports) for name in self._ended | lasting}

    def collect(self) -> Iterator[Metric]:
        """Each is summed when it is asked for; all are of the moment of the first."""
        reports = [*self._latest.values(), self._ended]
        for name in dict.fromkeys(name for report in reports for name in report):
            # Whether all together are ready is for whoever knows of the missing ones to say.
            if name != READY:
                yield _metric(name, _summed(name, reports))

    def collect_only(self, samples: Collection[str]) -> Iterator[Metric]:
        """Those metrics that have a sample of one of these names; the others' aren't summed."""
        reports = [
            {name: family for name, family in report.items() if any(sample in samples for sample, _ in family.samples)}
            for report in (*self._latest.values(), self._ended)
        ]
        return (_metric(name, _summed(name, reports)) for name in {name: None for report in reports for name in report})

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


def _report(families: Families) -> _Report:
    report: _Report = {}
    for name, documentation, kind, samples in families:
        known = report.setdefault(name, _Family(documentation, kind)).samples
        for sample, labels, value in samples:
            if not isinstance(value, int | float):
                raise TypeError
            known[sample, tuple(labels.items())] = value
    return report


def _summed(name: str, reports: list[_Report]) -> _Family:
    """Raises ValueError if none has it."""
    first, *others = (report[name] for report in reports if name in report)
    summed = _Family(first.documentation, first.kind, dict(first.samples))
    known, combine = summed.samples, _NOT_SUMMED.get(name)
    for other in others:
        for key, value in other.samples.items():
            if key not in known:
                known[key] = value
            else:
                known[key] = combine(known[key], value) if combine else known[key] + value
    return summed


def _metric(name: str, family: _Family) -> Metric:
    metric = Metric(name, family.documentation, family.kind)
    for (sample, labels), value in family.samples.items():
        metric.add_sample(sample, dict(labels), value)
    return metric
