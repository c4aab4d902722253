"""docs/metrics.md, made of what a running program tells: scripts/generate-metrics-page writes it.

What a metric's labels may be, and queries, are in metrics_about.py.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from mcproxy.observe.memcached import COMMANDS_TOTAL, LRU_HITS_TOTAL, SLAB_COMMANDS_TOTAL, UP, VERSION
from mcproxy.observe.memcached_names import ITEMS, SERVER, SETTINGS, SLABS
from tests.support.certificates import Certificates
from tests.support.configuration import configuration
from tests.support.memcached import Memcached
from tests.support.metrics_about import COMMON, GROUPS, Group
from tests.support.proxy import Proxy

START = """\
# Metrics

What `/metrics` on the admin port tells ([admin.bind](configuration.md#adminbind)), in Prometheus's text format or as
OpenMetrics, whichever is asked for. Of several workers it is the sum. No label is ever a client's word, and none can
be made to grow: names come from the configuration and the users file, everything else is one of a few words.

This page is generated from a running mcproxy: `scripts/generate-metrics-page`.

| label | values |
|---|---|
"""

MEMCACHED = """\

## memcached itself

With [admin.upstream_statistics](configuration.md#adminupstream_statistics), which is on by default, `/metrics` also has
what each upstream says of itself, under the names of
[memcached_exporter](https://github.com/prometheus/memcached_exporter) 0.15: its dashboards and alerts will do, and no
exporter needs a login. Everything has the label `upstream`. Where the exporter has a counter whose name doesn't end in
`_total`, this is a gauge: OpenMetrics has no such counters. What an upstream doesn't tell isn't there: that of extstore
without it, or all of it where an mcproxy (`engine: mcproxy`) doesn't grant us `stats` and `inspect`.

`memcached_up` is 0 if the upstream has not answered within a second, or not as a memcached does; at `level: debug` the
log says why. It is asked over a connection of its own, so `mcproxy_ready` and `mcproxy_upstream_links` are what tells
whether requests are served.

```promql
memcached_up == 0
rate(memcached_items_evicted_total[5m]) > 0
memcached_current_bytes / memcached_limit_bytes
memcached_current_connections / memcached_max_connections
```
"""


@dataclass(frozen=True)
class Exposed:
    """One metric as the program tells it."""

    kind: str
    documentation: str
    labels: frozenset[str]


def exposed(program: Proxy) -> dict[str, Exposed]:
    """All of them, by the names that queries have."""
    found = {}
    for family in text_string_to_metric_families(program.http("/metrics")[1]):
        labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = Exposed(family.type, family.documentation, labels)
    return found


def page(found: dict[str, Exposed]) -> str:
    """The text of the page."""
    lines = [START + "\n".join(f"| `{label}` | {values} |" for label, values in COMMON.items())]
    for group in GROUPS:
        lines += _group(group, found)
    lines.append(MEMCACHED)
    lines += _memcached()
    return "\n".join(lines) + "\n"


def _group(group: Group, found: dict[str, Exposed]) -> Iterator[str]:
    yield f"\n## {group.title}\n"
    if group.text:
        yield f"{group.text}\n"
    yield "| metric | type | labels | what it tells |"
    yield "|---|---|---|---|"
    for name, about in group.metrics.items():
        one = found[name]
        labels = "; ".join(f"`{label}`: {values}" if values else f"`{label}`" for label, values in about.labels.items())
        yield f"| `{name}` | {one.kind} | {labels} | {one.documentation} |"
    queries = [about.query for about in group.metrics.values() if about.query]
    if queries:
        yield "\n```promql\n" + "\n".join(queries) + "\n```"


def _memcached() -> Iterator[str]:
    yield "| metric | type | further labels | from | what it tells |"
    yield "|---|---|---|---|---|"
    for name, labels, source in (
        (UP, "", "whether it answers"),
        (VERSION, "`version`", "`stats`"),
        (COMMANDS_TOTAL, "`command`, `status`", "`stats`"),
        (SLAB_COMMANDS_TOTAL, "`slab`, `command`, `status`", "`stats slabs`"),
        (LRU_HITS_TOTAL, "`slab`, `lru`: `hot`, `warm`, `cold`, `temporary`", "`stats items`: `hits_to_*`"),
    ):
        yield _row(name.name, labels, source, name.documentation)
    for names, labels, question in (
        (SERVER, "", "stats"),
        (SETTINGS, "", "stats settings"),
        (ITEMS, "`slab`", "stats items"),
        (SLABS, "`slab`", "stats slabs"),
    ):
        for key, name in names.items():
            yield _row(name.name, labels, f"`{question}`: `{key}`", name.documentation)


def _row(name: str, labels: str, source: str, documentation: str) -> str:
    kind = "counter" if name.endswith("_total") else "gauge"
    return f"| `memcached_{name}` | {kind} | {labels} | {source} | {documentation} |"


def queries() -> list[str]:
    """All queries of the page, as PromQL."""
    return [about.query for group in GROUPS for about in group.metrics.values() if about.query] + [
        line for line in MEMCACHED.split("```")[1].splitlines()[1:] if line
    ]


def main() -> None:
    """Print the page."""
    with tempfile.TemporaryDirectory(prefix="mcproxy-") as name:
        directory = Path(name)
        with Memcached(directory) as memcached:
            certificates = Certificates(directory)
            program = Proxy(directory, configuration(directory, memcached.address, certificates), certificates)
            try:
                found = exposed(program.start())
            finally:
                program.stop()
    sys.stdout.write(page(found))


if __name__ == "__main__":
    main()
