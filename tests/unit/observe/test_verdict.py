"""What the person on call is told, by what the proxy says of itself."""

import pytest

from mcproxy.observe.verdict import MOST_REASONS, verdict
from tests.support.status_samples import DAY, NOW, listener, pool, status, upstream


def reasons(**changes):
    return [(reason["level"], reason["words"]) for reason in verdict(status(**changes))["reasons"]]


def test_all_is_well():
    assert verdict(status()) == {
        "level": "good",
        "sentence": "All is well.",
        "detail": "0 sessions on 1 listener, 4 links to 1 upstream.",
        "reasons": [],
    }


def test_who_can_serve_nobody_says_so_first():
    said = verdict(status(ready="upstream cache: no connection"))
    assert (said["level"], said["sentence"]) == ("critical", "It can't serve requests: upstream cache: no connection.")


def test_draining_is_no_fault():
    said = verdict(status(ready="draining", draining=True))
    assert (said["level"], said["sentence"]) == ("warning", "It is draining: sessions end, and then it stops.")


def test_links_that_are_missing():
    pools = [pool(links=1, obstacle="no connection"), pool("binary", links=0, obstacle="login refused")]
    assert reasons(upstreams=[upstream(pools=pools)]) == [
        ("critical", "Upstream cache, binary protocol: none of 2 links: login refused"),
        ("warning", "Upstream cache, text protocol: 1 of 2 links: no connection"),
    ]


def test_a_link_that_is_just_being_opened_is_no_reason():
    assert reasons(upstreams=[upstream(pools=[pool(links=1)])]) == []


def test_an_obstacle_of_before_is_none_when_all_links_are_there():
    assert reasons(upstreams=[upstream(pools=[pool(obstacle="the last one was lost")])]) == []


def test_links_that_a_reload_left_behind():
    (reason,) = reasons(upstreams=[upstream(pools=[pool(outdated=1)])])
    assert reason == (
        "warning",
        "Upstream cache, text protocol: 1 link serves on by settings that a reload has replaced",
    )


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (-0.1, "critical", "has expired"),
        (0.5, "critical", "expires within a day"),
        (1.5, "critical", "expires in 1 day"),
        (6.9, "critical", "expires in 6 days"),
        (7.1, "warning", "expires in 7 days"),
        (29.9, "warning", "expires in 29 days"),
    ],
)
def test_certificates_near_their_end(days, level, words):
    certificates = [{"key": "client_ca", "expires": NOW + days * DAY}]
    assert reasons(listeners=[listener(certificates=certificates)]) == [(level, f"Listener private: client_ca {words}")]
    assert reasons(upstreams=[upstream(certificates=certificates)]) == [(level, f"Upstream cache: client_ca {words}")]
    admin = {"addresses": [], "access": "TLS", "certificates": certificates}
    assert reasons(admin=admin) == [(level, f"Admin port: client_ca {words}")]


def test_certificates_of_a_month_are_no_reason():
    assert reasons(listeners=[listener(certificates=[{"key": "certificate", "expires": NOW + 30.1 * DAY}])]) == []


def test_workers_that_are_missing_or_silent():
    assert reasons(workers={"configured": 4, "alive": 3, "silent": 1, "restarts": 2}) == [
        ("critical", "1 of 4 workers is not running"),
        ("critical", "1 worker did not answer; their figures are old"),
    ]
    assert reasons(workers={"configured": 2, "alive": 0, "silent": 0, "restarts": 2}) == [
        ("critical", "2 of 2 workers are not running")
    ]


@pytest.mark.parametrize(
    ("alive", "silent", "ready", "sentence"),
    [
        (1, 0, "worker 2 is not serving", "It can't serve all requests: worker 2 is not serving."),
        (2, 1, "worker 2 does not answer", "It can't serve all requests: worker 2 does not answer."),
        (1, 1, "worker 1 does not answer", "It can't serve requests: worker 1 does not answer."),
        (0, 0, "worker 1 is not serving", "It can't serve requests: worker 1 is not serving."),
        (1, 0, None, "It serves requests, but something is seriously wrong."),
    ],
)
def test_one_worker_that_does_not_serve_is_as_serious_in_the_sentence_as_in_the_reasons(alive, silent, ready, sentence):
    workers = {"configured": 2, "alive": alive, "silent": silent, "restarts": 0}
    said = verdict(status(ready=ready, workers=workers))
    assert (said["level"], said["sentence"]) == ("critical", sentence)
    assert {reason["level"] for reason in said["reasons"]} == {"critical"}


def test_limits_that_are_nearly_reached():
    nearly = {
        "connections": 80, "connections_limit": 100, "buffered_bytes": 95, "buffered_bytes_limit": 100,
        "descriptors": 79, "descriptors_limit": 100, "busy": 0.9,
    }  # fmt: skip
    assert reasons(saturation=nearly) == [
        ("critical", "Buffers: 95% of the limit is used"),
        ("warning", "Connections: 80% of the limit is used"),
        ("warning", "The processor is busy 90% of the time: requests wait for each other"),
    ]


def test_limits_that_nobody_knows():
    nothing = dict.fromkeys(status()["saturation"]) | {"connections_limit": 0}
    assert reasons(saturation=nothing) == []


def test_a_reload_that_failed():
    failed = {"time": NOW, "result": "failure", "problem": "mcproxy.yaml:3: unknown key"}
    (reason,) = reasons(last_reload=failed)
    assert reason == (
        "warning",
        "The last reload failed, and what was read before serves on: mcproxy.yaml:3: unknown key",
    )
    assert reasons(last_reload=failed | {"result": "success", "problem": None}) == []


def test_very_many_reasons_are_counted():
    broken = [upstream(f"cache{number}", pools=[pool(links=0, obstacle="x")]) for number in range(30)]
    said = verdict(status(upstreams=broken))
    assert said["sentence"] == "It serves requests, but something is seriously wrong."
    assert len(said["reasons"]) == MOST_REASONS
    assert said["reasons"][-1]["words"] == f"and {30 - MOST_REASONS + 1} more, shown further down"


@pytest.mark.parametrize(("count", "words"), [(1, "one thing needs"), (2, "2 things need")])
def test_how_many_things_there_are(count, words):
    certificates = [{"key": "certificate", "expires": NOW + 20 * DAY}]
    said = verdict(status(listeners=[listener(str(number), certificates=certificates) for number in range(count)]))
    assert (said["level"], said["sentence"]) == ("warning", f"It serves requests, but {words} attention.")
