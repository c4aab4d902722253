"""Several processes' metrics as those of one: sums, and counters that never fall."""

import json
import subprocess

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mcproxy.observe.metrics import LoginResult, Metrics, TrafficSnapshot, ready_gauge
from mcproxy.observe.together import SLICE, Together, WorkerCollector, WorkerCount, families_of


def report(metrics_or_registry):
    """As it comes over the channel."""
    return json.loads(json.dumps(families_of(getattr(metrics_or_registry, "registry", metrics_or_registry))))


def exposed(together):
    registry = CollectorRegistry()
    registry.register(together)
    return registry, generate_latest(registry)


def samples(together):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposed(together)[1].decode())
        for sample in family.samples
    }


def worker(hits, sessions, logins):
    metrics = Metrics(["a"], ["b"], lambda: TrafficSnapshot(hits=hits, requests={"read": hits}), lambda: True)
    for _ in range(sessions):
        metrics.session_opened("a")
    for _ in range(logins):
        metrics.login("a", "PLAIN", LoginResult.SUCCESS)
    return metrics


SESSIONS = ("mcproxy_sessions", ("listener", "a"))
LOGINS = ("mcproxy_logins_total", ("listener", "a"), ("mechanism", "PLAIN"), ("result", "success"))


def test_counters_and_gauges_are_summed():
    together = Together()
    together.update(1, report(worker(hits=3, sessions=1, logins=2)))
    together.update(2, report(worker(hits=4, sessions=2, logins=5)))
    found = samples(together)
    assert found["mcproxy_hits_total",] == 7
    assert found["mcproxy_requests_total", ("class", "read")] == 7
    assert (found[SESSIONS], found[LOGINS]) == (3, 7)


def test_counters_stay_when_a_process_has_ended_and_gauges_go():
    together = Together()
    together.update(1, report(worker(hits=3, sessions=1, logins=2)))
    together.update(2, report(worker(hits=4, sessions=2, logins=5)))
    together.ended(1)
    found = samples(together)
    assert (found["mcproxy_hits_total",], found[LOGINS], found[SESSIONS]) == (7, 7, 2)
    together.update(3, report(worker(hits=1, sessions=0, logins=0)))
    together.ended(3)
    together.ended(2)
    together.ended(99)
    found = samples(together)
    assert (found["mcproxy_hits_total",], found[LOGINS]) == (8, 7)
    assert SESSIONS not in found


def test_what_is_not_summed():
    together = Together()
    for process in (1, 2):
        together.update(process, report(worker(hits=0, sessions=0, logins=0)))
    found = samples(together)
    [build] = [value for key, value in found.items() if key[0] == "mcproxy_build_info"]
    assert build == 1
    assert ("mcproxy_ready",) not in found, "a process that is missing would not be in it"
    own = samples_of_one()
    assert found["process_start_time_seconds",] == own["process_start_time_seconds",]
    assert found["process_open_fds",] > own["process_open_fds",]


def samples_of_one():
    together = Together()
    together.update(1, report(worker(hits=0, sessions=0, logins=0)))
    return samples(together)


def test_histograms_are_summed_bucket_by_bucket():
    together = Together()
    for process, values in ((1, (0.1, 5)), (2, (0.1,))):
        registry = CollectorRegistry()
        histogram = Histogram("seconds", "How long.", buckets=(1, 10), registry=registry)
        for value in values:
            histogram.observe(value)
        together.update(process, report(registry))
    together.ended(1)
    found = samples(together)
    assert found["seconds_bucket", ("le", "1.0")] == 2
    assert found["seconds_bucket", ("le", "10.0")] == 3
    assert found["seconds_bucket", ("le", "+Inf")] == 3
    assert found["seconds_count",] == 3


def test_series_that_only_one_has_are_there():
    together = Together()
    for process, label in ((1, "x"), (2, "y")):
        registry = CollectorRegistry()
        Counter("things", "Things.", ["kind"], registry=registry).labels(label).inc()
        Gauge("level", "A level.", registry=registry).set(2)
        together.update(process, report(registry))
    found = samples(together)
    assert (found["things_total", ("kind", "x")], found["things_total", ("kind", "y")], found["level",]) == (1, 1, 4)


def test_a_family_may_come_in_pieces_and_one_that_does_not_come_stays():
    disable_created_metrics()
    registry = CollectorRegistry()
    things = Counter("things", "Things.", ["kind"], registry=registry)
    level = Gauge("level", "A level.", registry=registry)
    for number in range(SLICE + 1):
        things.labels(str(number)).inc()
    level.set(2)
    together = Together()
    pieces = report(registry)
    assert [(name, len(samples)) for name, _, _, samples in pieces] == [("things", SLICE), ("things", 1), ("level", 1)]
    together.update(1, pieces)
    level.set(3)
    together.update(1, [piece for piece in report(registry) if piece[0] == "level"])
    found = samples(together)
    assert sum(value for (name, *_), value in found.items() if name == "things_total") == SLICE + 1
    assert found["level",] == 3


def test_who_sums_goes_on_with_what_he_began_with():
    together = Together()
    together.update(1, report(worker(hits=3, sessions=1, logins=2)))
    metrics = together.collect()
    first = next(metrics)
    together.ended(1)
    together.update(2, report(worker(hits=9, sessions=9, logins=9)))
    found = {sample.name: sample.value for metric in (first, *metrics) for sample in metric.samples}
    assert found["mcproxy_hits_total"] == 3


def test_some_alone():
    together = Together()
    for process in (1, 2):
        together.update(process, report(worker(hits=3, sessions=1, logins=2)))
    together.ended(1)
    metrics = list(together.collect_only(["mcproxy_hits_total", "mcproxy_requests_total", "mcproxy_none_total"]))
    sums = {metric.name: sum(sample.value for sample in metric.samples) for metric in metrics}
    assert sums == {"mcproxy_requests": 6, "mcproxy_hits": 6}


@pytest.mark.parametrize("value", ["1", None, [1]])
def test_what_is_no_figure_changes_nothing(value):
    together = Together()
    together.update(1, [["a", "A.", "gauge", [["a", {}, 1]]]])
    with pytest.raises(TypeError):
        together.update(1, [["a", "A.", "gauge", [["a", {}, value]]]])
    assert samples(together) == {("a",): 1}


def test_promtool_accepts_it():
    together = Together()
    for process in (1, 2):
        together.update(process, report(worker(hits=1, sessions=1, logins=1)))
    together.ended(1)
    registry, _ = exposed(together)
    registry.register(WorkerCollector(lambda: WorkerCount(2, 1, 1, 5)))
    ready_gauge(registry, lambda: False)
    body = generate_latest(registry)
    assert b'mcproxy_workers{state="silent"} 1.0\n' in body
    assert b"mcproxy_worker_restarts_total 5.0\n" in body
    assert b"mcproxy_ready 0.0\n" in body
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
