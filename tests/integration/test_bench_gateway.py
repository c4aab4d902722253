"""The smallest possible run of the suite that measures gateways."""

from pathlib import Path

import pytest

from bench.gateway import LONE, MIXED, SHAPES
from tests.integration.test_bench import run

pytestmark = pytest.mark.alone


def test_what_a_gateway_adds_and_what_translating_costs(tmp_path: Path) -> None:
    shown, (suite,) = run(tmp_path, "--suite", "gateway", "--only", "direct,mcproxy", "--seconds", "0.05")
    assert [set(result["peers"]) for result in suite["results"]] == [
        *[{"direct", "guard", "gateway to direct", "gateway to guard"}] * len([LONE, *MIXED]),
        *[{"text to text", "text to binary"}] * 2 * len(SHAPES),
    ]
    for result in suite["results"]:
        assert all(peer["rounds"][0]["requests"] > 0 for peer in result["peers"].values())
    of_both_behind = 2 * (1 + 2 * len(MIXED))
    assert len(suite["findings"]) == of_both_behind + 2 * 2 * len(SHAPES)
    assert "8 connections, 1 in flight: requests/s through a gateway by guard's without" in shown
