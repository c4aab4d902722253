"""When the two secrets of users who have two were last used, so that one can tell when the old one may go."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

NAME = "mcproxy_user_secret_last_used_timestamp_seconds"


class LastUsedCollector(Collector):
    """`rows` gives user, `newer` or `older`, and Unix time in seconds (0: never). Users are the users file's: no
    client can add one."""

    def __init__(self, rows: Callable[[], Iterable[tuple[str, str, float]]]) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        return _family(self._rows())

    def describe(self) -> Iterator[Metric]:
        return _family(())


def _family(rows: Iterable[tuple[str, str, float]]) -> Iterator[Metric]:
    documentation = "When a user's secret was last used, for users who have two of them; 0 for never."
    family = GaugeMetricFamily(NAME, documentation, labels=["user", "secret"])
    for user, secret, used in rows:
        family.add_metric([user, secret], used)
    yield family
