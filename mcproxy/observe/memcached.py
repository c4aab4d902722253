"""What memcached says of itself, under the names of prometheus/memcached_exporter: its dashboards and alerts will do.

As there, what memcached doesn't tell is left out, and `set` is counted without `cas`. Other than there, everything has
the label `upstream`, and counters whose names don't end in _total are gauges: OpenMetrics knows no such counters.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mcproxy.observe.memcached_names import COMMANDS, ITEMS, LRU_HITS, SERVER, SETTINGS, SLABS, Name

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Figures:
    """Numbers by memcached's own names: of the server, of each slab class, and of its settings.

    `version` is "" if that isn't known.
    """

    version: str = ""
    server: Numbers = field(default_factory=dict)
    items: Mapping[int, Numbers] = field(default_factory=dict)
    slabs: Mapping[int, Numbers] = field(default_factory=dict)
    settings: Numbers = field(default_factory=dict)


Rows = Callable[[], Iterable[tuple[str, Figures | None]]]

UP: Final = Name("up", "Whether memcached has answered when it was asked for its figures.")
VERSION: Final = Name("version", "Always 1; the label tells the version.")
COMMANDS_TOTAL: Final = Name("commands_total", "Requests by command (get, set, ...) and status (hit, miss, badval).")
SLAB_COMMANDS_TOTAL: Final = Name("slab_commands_total", "Requests by slab class, command and status.")
LRU_HITS_TOTAL: Final = Name("slab_lru_hits_total", "Hits by slab class and by the LRU that the item was in.")


class MemcachedCollector(Collector):
    """`rows` gives each upstream that was asked, and None in the place of figures if it didn't answer."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        families = _Families()
        for upstream, figures in self._rows():
            families.add(UP, float(figures is not None), upstream=upstream)
            if figures is not None:
                _add(families, upstream, figures)
        return iter(families.all.values())

    def describe(self) -> Iterable[Metric]:
        """Registering asks nobody."""
        return []


class _Families:
    def __init__(self) -> None:
        self.all: dict[str, Metric] = {}

    def add(self, name: Name, value: float, **labels: str) -> None:
        full = f"memcached_{name.name}"
        family = full.removesuffix("_total")
        if family not in self.all:
            kind = "gauge" if family == full else "counter"
            self.all[family] = Metric(family, name.documentation, kind)
        self.all[family].add_sample(full, labels, value)

    def add_all(self, names: Mapping[str, Name], numbers: Numbers, **labels: str) -> None:
        for key, name in names.items():
            if key in numbers:
                self.add(name, numbers[key], **labels)


def _add(families: _Families, upstream: str, figures: Figures) -> None:
    if figures.version:
        families.add(VERSION, 1.0, upstream=upstream, version=figures.version)
    families.add_all(SERVER, figures.server, upstream=upstream)
    families.add_all(SETTINGS, figures.settings, upstream=upstream)
    for (command, status), key in COMMANDS.items():
        if key in figures.server:
            families.add(COMMANDS_TOTAL, figures.server[key], upstream=upstream, command=command, status=status)
    others = ("cas_misses", "cas_hits", "cas_badval")
    if (stored := _less(figures.server, "cmd_set", others)) is not None:
        families.add(COMMANDS_TOTAL, stored, upstream=upstream, command="set", status="hit")
    for slab, numbers in figures.items.items():
        families.add_all(ITEMS, numbers, upstream=upstream, slab=str(slab))
        for key, lru in LRU_HITS.items():
            if key in numbers:
                families.add(LRU_HITS_TOTAL, numbers[key], upstream=upstream, slab=str(slab), lru=lru)
    for slab, numbers in figures.slabs.items():
        _add_slab(families, numbers, upstream, str(slab))


def _add_slab(families: _Families, numbers: Numbers, upstream: str, slab: str) -> None:
    families.add_all(SLABS, numbers, upstream=upstream, slab=slab)
    for (command, status), key in COMMANDS.items():
        if key in numbers:
            labels = {"slab": slab, "command": command, "status": status}
            families.add(SLAB_COMMANDS_TOTAL, numbers[key], upstream=upstream, **labels)
    if (stored := _less(numbers, "cmd_set", ("cas_hits", "cas_badval"))) is not None:
        families.add(SLAB_COMMANDS_TOTAL, stored, upstream=upstream, slab=slab, command="set", status="hit")


def _less(numbers: Numbers, all_of_them: str, others: tuple[str, ...]) -> float | None:
    if all_of_them not in numbers or not all(other in numbers for other in others):
        return None
    # They aren't read at one moment.
    return max(0.0, numbers[all_of_them] - sum(numbers[other] for other in others))
