"""When the files of the listeners' TLS expire, so that an alert can come before it."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NAME = "mcproxy_certificate_expiry_timestamp_seconds"


class ExpiryCollector(Collector):
    """`rows` gives the listener, the key of the configuration (`certificate`, `client_ca`, `crl`) and Unix time in
    seconds."""

    def __init__(self, rows: Callable[[], Iterable[tuple[str, str, float]]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        return _family(self._rows())

    def describe(self) -> Iterator[Metric]:
        return _family(())


def _family(rows: Iterable[tuple[str, str, float]]) -> Iterator[Metric]:
    documentation = (
        "When the first certificate of a listener's file expires, or its revocation list has to be replaced."
    )
    family = GaugeMetricFamily(NAME, documentation, labels=["listener", "file"])
    for listener, file, expires in rows:
        family.add_metric([listener, file], expires)
    yield family
