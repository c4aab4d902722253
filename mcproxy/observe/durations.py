"""How long upstream takes for a request, as a histogram of samples."""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mcproxy.relay.durations import BOUNDS, Durations

Rows = Callable[[], Iterable[tuple[str, str, Durations]]]
_BUCKETS = (*map(str, BOUNDS), "+Inf")


class DurationsCollector(Collector):
    """`rows` gives upstream, protocol, and what its links have measured."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        return _family(self._rows())

    def describe(self) -> Iterator[Metric]:
        return _family(())


def _family(rows: Iterable[tuple[str, str, Durations]]) -> Iterator[Metric]:
    family = HistogramMetricFamily(
        "mcproxy_request_duration_seconds",
        "Time from handing a request to a link until its reply is complete; a sample, at most 1000 a second and link.",
        labels=["upstream", "protocol"],
    )
    for upstream, protocol, durations in rows:
        sums = list(zip(_BUCKETS, accumulate(durations.counts), strict=True))
        family.add_metric([upstream, protocol], buckets=sums, sum_value=durations.total)
    yield family
