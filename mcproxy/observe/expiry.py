"""When the files of the listeners' TLS expire, and of the upstreams', so that an alert can come before it."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NAME = "mcproxy_certificate_expiry_timestamp_seconds"
UPSTREAM_NAME = "mcproxy_upstream_certificate_expiry_timestamp_seconds"
Rows = Callable[[], Iterable[tuple[str, str, float]]]


class ExpiryCollector(Collector):
    """`rows` gives the listener, the key of the configuration (`certificate`, `client_ca`, `crl`) and Unix time in
    seconds."""

    name = NAME
    documentation = (
        "When the first certificate of a listener's file expires, or its revocation list has to be replaced."
    )
    whose = "listener"

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        return self._family(self._rows())

    def describe(self) -> Iterator[Metric]:
        return self._family(())

    def _family(self, rows: Iterable[tuple[str, str, float]]) -> Iterator[Metric]:
        family = GaugeMetricFamily(self.name, self.documentation, labels=[self.whose, "file"])
        for one, file, expires in rows:
            family.add_metric([one, file], expires)
        yield family


class UpstreamExpiryCollector(ExpiryCollector):
    """As ExpiryCollector, of upstreams and the keys `ca` and `certificate`."""

    name = UPSTREAM_NAME
    documentation = "When the first certificate of an upstream's file expires: authorities, or what it is shown of us."
    whose = "upstream"
