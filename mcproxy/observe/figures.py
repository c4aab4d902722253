"""Looking up figures among metrics, those of one process or the sums of several."""

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client.core import Metric

Sample = tuple[dict[str, str], float]


class Figures:
    """What `metrics` hold now, by the samples' names (`mcproxy_requests_total`)."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._samples: defaultdict[str, list[Sample]] = defaultdict(list)
        for metric in metrics:
            for sample in metric.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def samples(self, name: str) -> list[Sample]:
        """Labels and value of each."""
        return self._samples.get(name, [])

    def total(self, name: str, **labels: str) -> float:
        """The sum of those that have these labels; 0 if there are none."""
        return sum(
            value
            for found, value in self.samples(name)
            if all(found.get(label) == wanted for label, wanted in labels.items())
        )

    def count(self, name: str, **labels: str) -> int:
        """As total, of what is counted in whole numbers."""
        return int(self.total(name, **labels))
