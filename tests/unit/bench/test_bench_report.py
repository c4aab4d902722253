"""The bench's figures: medians, ratios by round, and the doubts that a reader must see."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import chart, report
from bench.measure import Sample, Scenario
from bench.report import Result, Spread
from bench.suites import Outcome

GOOD = Sample(
    requests_per_second=60_000,
    cpu_us=15,
    p50_us=800,
    p90_us=1_000,
    p99_us=1_600,
    max_us=9_000,
    busy_proxy=0.95,
    busy_memcached=0.5,
    busy_generator=0.4,
    others=0.02,
    stolen=0.0,
    misses=0,
    requests=180_000,
    seconds=3,
    tls="",
)
DIRECT = replace(GOOD, requests_per_second=130_000, busy_proxy=0, busy_generator=0.98)


def result_of(**samples: list[Sample]) -> Result:
    return Result(Scenario(50, 1, 100), "plain", samples)


def rates(*values: float) -> list[Sample]:
    return [replace(GOOD, requests_per_second=value) for value in values]


def test_ratio_is_taken_round_by_round() -> None:
    # The second round was slow for both; a ratio of medians would say 60/50, the rounds say 1.5, 1.2 and 1.0.
    result = result_of(haproxy=rates(50, 10, 60), mcproxy=rates(75, 12, 60))
    assert result.ratio("mcproxy", "haproxy", "requests_per_second") == Spread(1.2, 1.0, 1.5)
    assert result.spread("mcproxy", "requests_per_second") == Spread(60, 12, 75)


def test_no_doubt_when_the_proxy_was_the_limit() -> None:
    result = result_of(direct=[DIRECT] * 3, haproxy=[GOOD] * 3, mcproxy=[GOOD] * 3)
    assert result.doubts() == []


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"busy_generator": 0.93}, "the generator used 93% of a core with haproxy"),
        ({"busy_memcached": 0.97}, "memcached used 97% of a core with haproxy"),
        ({"busy_proxy": 0.5}, "haproxy used only 50% of a core"),
        ({"requests_per_second": 120_000}, "direct memcached is only 1.08 times as fast as haproxy"),
        ({"others": 0.3}, "round 1: something else on the machine used up to 30% of a core"),
        ({"stolen": 0.2}, "round 1: something else on the machine used up to 22% of a core"),
    ],
)
def test_doubts(change: dict[str, float], doubt: str) -> None:
    result = result_of(direct=[DIRECT], haproxy=[replace(GOOD, **change)])  # type: ignore[arg-type]
    assert len(result.doubts()) == 1
    assert result.doubts()[0].startswith(doubt)


def test_an_idle_proxy_is_no_doubt_with_one_connection() -> None:
    waiting = replace(GOOD, busy_proxy=0.4, requests_per_second=120_000)
    lone = Result(Scenario(1, 1, 100), "plain", {"direct": [DIRECT], "haproxy": [waiting]})
    assert lone.doubts() == []


def test_tables_show_figures_ratios_and_doubts() -> None:
    result = result_of(haproxy=rates(50_000, 40_000, 60_000), mcproxy=rates(75_000, 40_000, 60_000))
    shown = report.text([result], "mcproxy").splitlines()
    assert any(line.split()[:2] == ["haproxy", "50,000"] and "(40,000-60,000)" in line for line in shown)
    assert any(line.split()[:3] == ["haproxy", "1.00", "(1.00-1.50)"] for line in shown)
    assert "75,000" not in next(line for line in shown if line.startswith("haproxy"))


def test_without_the_subject_there_are_no_ratios() -> None:
    result = result_of(haproxy=[GOOD])
    assert report.subject_of([result], "mcproxy") is None
    assert "mcproxy" not in report.text([result], None)


def test_saved_json_holds_every_round(tmp_path: Path) -> None:
    result = result_of(haproxy=rates(50, 40), mcproxy=rates(100, 40))
    path = tmp_path / "new" / "figures.json"
    report.save(path, [Outcome("Load", results=[result], subject="mcproxy").as_data()], {"kernel": "6"})
    saved = json.loads(path.read_text())
    peers = saved["suites"][0]["results"][0]["peers"]
    assert [sample["requests_per_second"] for sample in peers["mcproxy"]["rounds"]] == [100, 40]
    assert peers["haproxy"]["ratio"]["requests_per_second"] == {"median": 1.5, "least": 1.0, "most": 2.0}
    assert saved["environment"] == {"kernel": "6"}


def test_the_picture_is_well_formed_and_to_scale() -> None:
    result = result_of(direct=rates(100_000), mcproxy=rates(50_000))
    root = ElementTree.fromstring(chart.draw([result], "mcproxy"))
    bars = [element for element in root.iter() if element.tag.endswith("rect")]
    widths = {element.get("class"): float(element.get("width", "0")) for element in bars}
    assert widths["subject"] == pytest.approx(widths["bar"] / 2, rel=0.01)
