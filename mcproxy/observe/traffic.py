"""What the relay counts in plain integers, turned into metrics only when somebody asks.

A prometheus-client counter costs a lock and a dictionary look-up at each step: too much for every request of the hot
path. So the relay adds to its own integers, and at a scrape hands over a TrafficSnapshot.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcproxy.policy.grants import CLASSES
from mcproxy.relay.traffic import FAILURES
from mcproxy.wire.outcome import Reason

DENIABLE: Final = tuple(sorted(CLASSES))
COUNTED: Final = (*DENIABLE, "other")
"""Command classes; "other" is for what everybody may, such as `version`."""

BEFORE_LOGIN: Final = "before login"
REFUSALS: Final = (
    BEFORE_LOGIN,
    *(reason for reason in get_args(Reason) if reason),
    *(answer.decode() for answer in FAILURES),
)
"""Why requests are answered by the proxy: what those who aren't logged in ask, what is refused, what fails upstream."""


@dataclass(frozen=True, slots=True)
class TrafficSnapshot:
    """Totals since the start, but for `buffered_bytes`, which is what is held right now.

    The keys of `requests` are among COUNTED, those of `denied_requests` among DENIABLE, those of `refused_requests`
    among REFUSALS; none is ever a client's word.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    denied_requests: Mapping[str, int] = field(default_factory=dict)
    refused_requests: Mapping[str, int] = field(default_factory=dict)
    hits: int = 0
    misses: int = 0
    downstream_received_bytes: int = 0
    downstream_sent_bytes: int = 0
    upstream_received_bytes: int = 0
    upstream_sent_bytes: int = 0
    busy_seconds: float = 0.0
    buffered_bytes: int = 0


class TrafficCollector(Collector):
    """Asks `snapshot` once for each scrape."""

    def __init__(self, snapshot: Callable[[], TrafficSnapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        return _families(self._snapshot())

    def describe(self) -> Iterator[Metric]:
        """The names alone, so that registering asks for no snapshot: the relay may not be there yet."""
        return _families(TrafficSnapshot())


def _families(traffic: TrafficSnapshot) -> Iterator[Metric]:
    yield _by_label(
        "mcproxy_requests", "Requests passed on to memcached, by command class.", "class", COUNTED, traffic.requests
    )
    yield _by_label(
        "mcproxy_denied_requests",
        "Requests that no grant allows, by command class.",
        "class",
        DENIABLE,
        traffic.denied_requests,
    )
    yield _by_label(
        "mcproxy_refused_requests",
        "Requests that the proxy answered with an error of its own, by reason.",
        "reason",
        REFUSALS,
        traffic.refused_requests,
    )
    for name, documentation, value in (
        ("mcproxy_hits", "Keys that a retrieval asked for and got.", traffic.hits),
        ("mcproxy_misses", "Keys that a retrieval asked for and didn't get.", traffic.misses),
        (
            "mcproxy_downstream_received_bytes",
            "Bytes received from clients after login, without TLS's own.",
            traffic.downstream_received_bytes,
        ),
        (
            "mcproxy_downstream_sent_bytes",
            "Bytes sent to clients after login, without TLS's own.",
            traffic.downstream_sent_bytes,
        ),
        ("mcproxy_upstream_received_bytes", "Bytes received from memcached.", traffic.upstream_received_bytes),
        ("mcproxy_upstream_sent_bytes", "Bytes sent to memcached.", traffic.upstream_sent_bytes),
        (
            "mcproxy_relay_busy_seconds",
            "Time that the relays were at work, without waits: a worker can do one second's in a second.",
            traffic.busy_seconds,
        ),
    ):
        yield CounterMetricFamily(name, documentation, value=value)
    yield GaugeMetricFamily(
        "mcproxy_buffered_bytes",
        "Bytes that wait in the proxy now, of requests and of replies.",
        value=traffic.buffered_bytes,
    )


def _by_label(name: str, documentation: str, label: str, values: Sequence[str], counts: Mapping[str, int]) -> Metric:
    """All `values` are there from the start, so that a first one shows as a rise."""
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in {**dict.fromkeys(values, 0), **counts}.items():
        family.add_metric([value], count)
    return family
