"""What the bench calls met and missed, and the picture that it draws of it."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import claims, picture
from bench.claims import ADDED, BUDGET, CPU, DEEP, FEW, LARGE, LONE, MANY, MEMORY, P99, RATE, USUAL, Claim
from bench.findings import Finding, findings_table, summary
from bench.measure import Sample
from bench.report import Result, Spread
from tests.unit.bench.test_bench_report import GOOD

ROOT = Path(__file__).resolve().parents[3]


def rounds(measure: str, *values: float) -> list[Sample]:
    return [replace(GOOD, **{measure: value}) for value in values]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "at_most", "verdict"),
    [
        (1.15, False, "met"),
        (1.05, False, "missed by 0.10 (8.7%)"),
        (1.15, True, "met"),
        (1.25, True, "missed by 0.10 (8.7%)"),
    ],
)
def test_the_median_decides(measured: float, at_most: bool, verdict: str) -> None:
    finding = Finding("speed", Spread(measured, 0.5, 2.0), 1.15, at_most=at_most)
    assert finding.verdict() == verdict
    assert finding.is_met == (verdict == "met")


def test_a_table_says_what_was_required_and_what_came_out() -> None:
    found = [
        Finding("speed", Spread(1.0, 0.9, 1.1), 1.15),
        Finding("memory", Spread(7.5, 7, 8), 8, at_most=True, form=".1f", unit=" KiB"),
        Finding("start-up", Spread(3, 3, 3), form=".0f", unit=" s"),
    ]
    lines = findings_table(found).splitlines()
    assert [" ".join(line.split()) for line in lines[1:]] == [
        "speed at least 1.15 1.00 (0.90-1.10) missed by 0.15 (13.0%)",
        "memory at most 8.0 KiB 7.5 (7.0-8.0) KiB met",
        "start-up stated 3 (3-3) s",
    ]
    assert summary(found) == "1 of 2 met, 1 missed"


def test_requests_are_compared_round_by_round() -> None:
    result = Result(USUAL, "plain", {"haproxy": rounds(RATE, 100, 50), "mcproxy": rounds(RATE, 120, 65)})
    finding = Claim(USUAL, "plain", RATE, "haproxy", 1.15).found_in([result])
    assert finding is not None
    assert finding.spread == Spread(1.25, 1.2, 1.3)
    assert finding.is_met


@pytest.mark.parametrize("measure", [CPU, P99])
def test_cost_and_latency_must_not_be_more(measure: str) -> None:
    result = Result(FEW, "tls", {"haproxy": rounds(measure, 10), "mcproxy": rounds(measure, 11)})
    finding = Claim(FEW, "tls", measure, "haproxy", 1.0).found_in([result])
    assert finding is not None
    assert not finding.is_met


def test_what_is_added_is_less_the_median_of_memcached_itself() -> None:
    medians = {"direct": 70, "haproxy": 100, "mcproxy": 130}
    samples = {name: rounds("p50_us", value) for name, value in medians.items()}
    finding = Claim(LONE, "plain", ADDED, "haproxy", 1.5).found_in([Result(LONE, "plain", samples)])
    assert finding is not None
    assert finding.spread.median == 2.0
    assert finding.verdict() == "missed by 0.50 (33.3%)"


def test_a_peer_that_adds_nothing_proves_nothing() -> None:
    medians = {"direct": 70, "haproxy": 60, "mcproxy": 65}
    samples = {name: rounds("p50_us", value) for name, value in medians.items()}
    finding = Claim(LONE, "plain", ADDED, "haproxy", 1.5).found_in([Result(LONE, "plain", samples)])
    assert finding is not None
    assert not finding.is_met


def test_memory_is_within_the_budget_of_all_buffers() -> None:
    samples = {"haproxy": rounds("peak_memory", 1), "mcproxy": rounds("peak_memory", BUDGET + (1 << 20))}
    finding = Claim(LARGE[2], "plain", MEMORY, "haproxy", BUDGET).found_in([Result(LARGE[2], "plain", samples)])
    assert finding is not None
    assert finding.verdict() == "missed by 1 MiB (0.4%)"


def test_what_was_not_measured_is_no_finding() -> None:
    result = Result(USUAL, "plain", {"mcproxy": [GOOD], "nutcracker": [GOOD]})
    names = [finding.what for finding in claims.findings([result])]
    assert names == [
        "50 connections, plain: requests/s by nutcracker's",
        "50 connections, plain: CPU per request by nutcracker's",
    ]


def test_every_claim_has_its_load_and_its_peers() -> None:
    cases = {case.scenario: case.names for case in claims.cases()}
    assert {FEW, USUAL, MANY, DEEP, LONE, *LARGE} == set(cases)
    for claim in claims.claims():
        names = cases[claim.scenario]
        assert names is None or {claim.peer, "mcproxy"} <= set(names)


def drawn(**rates: float) -> str:
    samples = {name: rounds(RATE, rate) for name, rate in rates.items()}
    environment = {"date": "2026-01-02 03:04:05", "versions": "direct 1.6, haproxy 2.6", "rounds": "5 of 3 s"}
    found = picture.draw([Result(USUAL, "plain", samples)], "mcproxy", environment)
    assert found is not None
    return found


def test_the_picture_has_bars_of_ratios_to_scale_and_says_when() -> None:
    text = drawn(direct=400, haproxy=100, nutcracker=50, mcproxy=150)
    bars = [element for element in ElementTree.fromstring(text).iter() if element.get("class") == "more"]
    shorter, longer = (float(bar.get("width", "0")) for bar in bars)
    assert longer == pytest.approx(2 * shorter, rel=0.01)
    assert all(words in text for words in ("1.50 times", "3.00 times", "2026-01-02", "HAProxy 2.6", "5 of 3 s"))
    assert "prefers-color-scheme: dark" in text


def test_there_is_no_picture_of_nothing() -> None:
    assert picture.draw([Result(LONE, "plain", {"haproxy": [GOOD], "mcproxy": [GOOD]})], "mcproxy", {}) is None


def test_readme_shows_the_picture() -> None:
    assert "](docs/speed.svg)" in (ROOT / "README.md").read_text()
    root = ElementTree.parse(ROOT / "docs/speed.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert any(element.tag.endswith("rect") for element in root.iter())
