"""How much of what is limited for the whole proxy is used, told by the one process that knows: the only one, or the
parent of the workers."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

DRAINING: Final = "draining"
"""Why a proxy that was told to stop isn't ready."""


class Saturation(NamedTuple):
    """Connections, logged in or not, and bytes. How many bytes are used is summed from the workers' own figures."""

    connections: int
    connections_limit: int
    buffered_bytes_limit: int
    draining: bool


class SaturationCollector(Collector):
    """Asks at each scrape."""

    def __init__(self, saturation: Callable[[], Saturation]) -> None:
        self._saturation = saturation

    def collect(self) -> Iterator[Metric]:
        return _families(self._saturation())

    def describe(self) -> Iterator[Metric]:
        return _families(Saturation(0, 0, 0, False))


def _families(saturation: Saturation) -> Iterator[Metric]:
    for name, documentation, value in (
        ("mcproxy_connections_open", "Connections now, logged in or not, of all workers.", saturation.connections),
        ("mcproxy_connections_limit", "How many there may be: limits.connections.", saturation.connections_limit),
        (
            "mcproxy_buffered_bytes_limit",
            "How many bytes may wait in all workers: limits.total_buffer.",
            saturation.buffered_bytes_limit,
        ),
        ("mcproxy_draining", "1 once the proxy was told to stop.", saturation.draining),
    ):
        yield GaugeMetricFamily(name, documentation, value=float(value))
