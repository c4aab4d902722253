"""The metrics: closed label sets, nothing shared between servers, and the real promtool's opinion."""

import subprocess

from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from mcproxy.observe.metrics import ConnectionRefusal, LoginResult, Metrics, TrafficSnapshot, UpstreamFailure

TRAFFIC = TrafficSnapshot(
    requests={"read": 10, "write": 2},
    denied_requests={"flush": 1},
    refused_requests={"denied": 1, "value too large": 4},
    hits=9,
    misses=1,
    downstream_received_bytes=100,
    downstream_sent_bytes=200,
    upstream_received_bytes=300,
    upstream_sent_bytes=400,
    buffered_bytes=500,
)


def make(snapshot=lambda: TRAFFIC, ready=lambda: True):
    return Metrics(["private", "sidecar"], ["cache", "other"], snapshot, ready)


def samples(metrics):
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def exercise(metrics):
    metrics.connection_accepted("private")
    metrics.connection_refused("private", ConnectionRefusal.NOT_ALLOWED)
    metrics.login("private", "PLAIN", LoginResult.FAILURE)
    metrics.session_opened("sidecar")
    metrics.link_opened("cache", "text")
    metrics.links_outdated("cache", "text", 2)
    metrics.links_outdated("cache", "text", -1)
    metrics.upstream_failed("cache", UpstreamFailure.TIMEOUT)


def test_promtool_accepts_the_text_format_and_openmetrics_takes_it_too():
    metrics = make()
    exercise(metrics)
    assert generate_openmetrics(metrics.registry).endswith(b"# EOF\n")
    body = generate_latest(metrics.registry)
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_every_metric_of_the_contract_is_there():
    metrics = make()
    exercise(metrics)
    found = samples(metrics)
    expected = {
        ("mcproxy_connections_total", ("listener", "private")): 1,
        ("mcproxy_connections_refused_total", ("listener", "private"), ("reason", "not_allowed")): 1,
        ("mcproxy_logins_total", ("listener", "private"), ("mechanism", "PLAIN"), ("result", "failure")): 1,
        ("mcproxy_refused_requests_total", ("reason", "denied")): 1,
        ("mcproxy_refused_requests_total", ("reason", "value too large")): 4,
        ("mcproxy_upstream_failures_total", ("reason", "timeout"), ("upstream", "cache")): 1,
        ("mcproxy_sessions", ("listener", "sidecar")): 1,
        ("mcproxy_upstream_links", ("protocol", "text"), ("upstream", "cache")): 1,
        ("mcproxy_upstream_links_outdated", ("protocol", "text"), ("upstream", "cache")): 1,
        ("mcproxy_ready",): 1,
        ("mcproxy_requests_total", ("class", "read")): 10,
        ("mcproxy_requests_total", ("class", "write")): 2,
        ("mcproxy_denied_requests_total", ("class", "flush")): 1,
        ("mcproxy_hits_total",): 9,
        ("mcproxy_misses_total",): 1,
        ("mcproxy_downstream_received_bytes_total",): 100,
        ("mcproxy_downstream_sent_bytes_total",): 200,
        ("mcproxy_upstream_received_bytes_total",): 300,
        ("mcproxy_upstream_sent_bytes_total",): 400,
        ("mcproxy_buffered_bytes",): 500,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert any(key[0] == "mcproxy_build_info" for key in found)
    assert ("process_resident_memory_bytes",) in found
    assert not any(key[0].endswith("_created") for key in found)


def test_what_may_happen_is_there_as_zero_before_it_does():
    found = samples(make())
    assert found["mcproxy_connections_refused_total", ("listener", "sidecar"), ("reason", "tls")] == 0
    assert found["mcproxy_requests_total", ("class", "other")] == 0
    assert found["mcproxy_denied_requests_total", ("class", "read")] == 0
    assert found["mcproxy_refused_requests_total", ("reason", "bad key")] == 0
    assert found["mcproxy_refused_requests_total", ("reason", "upstream timed out")] == 0


def test_links_are_there_as_zero_once_they_are_wanted_and_only_those():
    metrics = make()
    metrics.links_wanted("other", "binary")
    found = {key: value for key, value in samples(metrics).items() if key[0].startswith("mcproxy_upstream_links")}
    labels = (("protocol", "binary"), ("upstream", "other"))
    assert found == {("mcproxy_upstream_links", *labels): 0, ("mcproxy_upstream_links_outdated", *labels): 0}


def test_links_that_nobody_wants_any_more_are_not_there_until_they_are_wanted_again():
    metrics = make()
    metrics.links_wanted("other", "binary")
    metrics.links_wanted("other", "text")
    for _ in range(2):
        metrics.links_unwanted("other", "binary")
        spoken = {dict(key[1:])["protocol"] for key in samples(metrics) if key[0].startswith("mcproxy_upstream_links")}
        assert spoken == {"text"}
    metrics.links_wanted("other", "binary")
    assert samples(metrics)["mcproxy_upstream_links", ("protocol", "binary"), ("upstream", "other")] == 0


def test_gauges_go_down_again():
    metrics = make()
    metrics.session_opened("private")
    metrics.session_closed("private")
    metrics.link_opened("other", "binary")
    metrics.link_closed("other", "binary")
    found = samples(metrics)
    assert found["mcproxy_sessions", ("listener", "private")] == 0
    assert found["mcproxy_upstream_links", ("protocol", "binary"), ("upstream", "other")] == 0


def test_readiness_and_traffic_are_asked_for_at_each_scrape():
    ready, hits = False, 0
    metrics = make(lambda: TrafficSnapshot(hits=hits), lambda: ready)
    assert samples(metrics)["mcproxy_ready",] == 0
    ready, hits = True, 5
    found = samples(metrics)
    assert (found["mcproxy_ready",], found["mcproxy_hits_total",]) == (1, 5)


def test_making_the_metrics_asks_for_no_snapshot():
    def not_yet():
        raise AssertionError("asked before the relay is there")

    make(not_yet, not_yet)


def test_a_client_cannot_add_a_series():
    metrics = make()
    before = len(samples(metrics))
    for number in range(1000):
        metrics.login("private", f"X-{number}\n", LoginResult.FAILURE)
    found = samples(metrics)
    assert found["mcproxy_logins_total", ("listener", "private"), ("mechanism", "other"), ("result", "failure")] == 1000
    assert len(found) == before + 1


def test_two_servers_in_one_process_share_nothing():
    one, other = make(), make()
    one.connection_accepted("private")
    assert samples(other)["mcproxy_connections_total", ("listener", "private")] == 0
