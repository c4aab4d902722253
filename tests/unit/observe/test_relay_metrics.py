"""Principals, durations and saturation as metrics: their names are what dashboards and alerts go by."""

import json
import subprocess
from collections.abc import Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from mcproxy.observe.durations import DurationsCollector
from mcproxy.observe.principals import PrincipalsCollector
from mcproxy.observe.saturation import Saturation, SaturationCollector
from mcproxy.observe.together import Together, families_of
from mcproxy.relay.durations import Durations
from mcproxy.relay.traffic import Traffic


def registry_of(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return registry


def samples(registry: CollectorRegistry) -> Mapping[tuple[str, ...], float]:
    """Once promtool has had nothing against them."""
    body = generate_latest(registry)
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def traffic() -> Traffic:
    traffic = Traffic()
    sammy = traffic.tally_of("user", "sammy")
    sammy.sessions, sammy.hits, sammy.misses = 2, 30, 4
    sammy.requests.update({"read": 34, "write": 5})
    sammy.denied.update({"write": 1, "flush": 2})
    return traffic


def test_principals() -> None:
    found = samples(registry_of(PrincipalsCollector(traffic().tallies)))
    who = ("kind=user", "principal=sammy")
    assert found == {
        ("mcproxy_principal_sessions", *who): 2,
        ("mcproxy_principal_requests_total", "class=read", *who): 34,
        ("mcproxy_principal_requests_total", "class=write", *who): 5,
        ("mcproxy_principal_hits_total", *who): 30,
        ("mcproxy_principal_misses_total", *who): 4,
        ("mcproxy_principal_denied_requests_total", *who): 3,
    }


def test_a_hostile_name_stays_a_name() -> None:
    hostile = 'x"} 1\nmcproxy_ready 0\n\\'
    known = Traffic()
    known.tally_of("user", hostile)
    registry = registry_of(PrincipalsCollector(known.tallies))
    assert samples(registry)["mcproxy_principal_sessions", "kind=user", f"principal={hostile}"] == 0
    assert b"\nmcproxy_ready" not in generate_latest(registry)


def durations() -> Durations:
    durations = Durations()
    for seconds in (0.00001, 0.0004, 0.0004, 30.0):
        durations.observe(seconds)
    return durations


def test_durations_are_a_histogram() -> None:
    found = samples(registry_of(DurationsCollector(lambda: [("cache", "text", durations())])))
    name, labels = "mcproxy_request_duration_seconds", ("protocol=text", "upstream=cache")
    assert found[f"{name}_bucket", "le=5e-05", *labels] == 1
    assert found[f"{name}_bucket", "le=0.00025", *labels] == 1
    assert found[f"{name}_bucket", "le=0.0005", *labels] == 3
    assert found[f"{name}_bucket", "le=10.0", *labels] == 3
    assert found[f"{name}_bucket", "le=+Inf", *labels] == found[f"{name}_count", *labels] == 4
    assert round(found[f"{name}_sum", *labels], 5) == 30.00081


def test_saturation() -> None:
    assert samples(registry_of(SaturationCollector(lambda: Saturation(3, 4096, 1 << 28, True)))) == {
        ("mcproxy_connections_open",): 3,
        ("mcproxy_connections_limit",): 4096,
        ("mcproxy_buffered_bytes_limit",): 1 << 28,
        ("mcproxy_draining",): 1,
    }


def test_workers_are_summed() -> None:
    together = Together()
    for worker in (1, 2):
        registry = registry_of(
            PrincipalsCollector(traffic().tallies), DurationsCollector(lambda: [("cache", "text", durations())])
        )
        together.update(worker, json.loads(json.dumps(families_of(registry))))
    together.ended(1)
    found = samples(registry_of(together))
    who = ("kind=user", "principal=sammy")
    assert found["mcproxy_principal_hits_total", *who] == 60
    assert found["mcproxy_principal_sessions", *who] == 2
    assert found["mcproxy_request_duration_seconds_count", "protocol=text", "upstream=cache"] == 8
