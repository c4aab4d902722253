"""What each principal's clients do, as metrics.

Principals come from the users file and the grants, so no client can add one; and only so many have a tally of their own
(relay/traffic.py).
"""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mcproxy.wire.tally import Tally

Tallies = Mapping[tuple[str, str], Tally]
"""By the principal's kind and name."""

_LABELS = ("kind", "principal")


class PrincipalsCollector(Collector):
    """`tallies` is looked at at each scrape."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        return _families(self._tallies)

    def describe(self) -> Iterator[Metric]:
        return _families({})


def _families(tallies: Tallies) -> Iterator[Metric]:
    """Each is made when it is asked for: all of them at once would take milliseconds."""
    sessions = GaugeMetricFamily(
        "mcproxy_principal_sessions", "Connections that are logged in now, by who they are.", labels=_LABELS
    )
    for principal, tally in tallies.items():
        sessions.add_metric(principal, tally.sessions)
    yield sessions
    requests = CounterMetricFamily(
        "mcproxy_principal_requests",
        "Requests passed on to memcached, by who asked and command class.",
        labels=(*_LABELS, "class"),
    )
    for principal, tally in tallies.items():
        for command_class, count in tally.requests.items():
            requests.add_metric((*principal, command_class), count)
    yield requests
    hits = CounterMetricFamily(
        "mcproxy_principal_hits", "Keys that a retrieval asked for and got, by who asked.", labels=_LABELS
    )
    for principal, tally in tallies.items():
        hits.add_metric(principal, tally.hits)
    yield hits
    misses = CounterMetricFamily(
        "mcproxy_principal_misses", "Keys that a retrieval asked for and didn't get, by who asked.", labels=_LABELS
    )
    for principal, tally in tallies.items():
        misses.add_metric(principal, tally.misses)
    yield misses
    denied = CounterMetricFamily(
        "mcproxy_principal_denied_requests", "Requests that no grant allows, by who asked.", labels=_LABELS
    )
    for principal, tally in tallies.items():
        denied.add_metric(principal, sum(tally.denied.values()))
    yield denied
