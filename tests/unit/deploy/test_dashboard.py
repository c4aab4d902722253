"""The dashboard of deploy/grafana: it is what its script writes, has Grafana's own shape, and can be read."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

DIRECTORY = Path(__file__).parents[3] / "deploy/grafana"
DASHBOARD: dict[str, Any] = json.loads((DIRECTORY / "mcproxy.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]

# Grafana's Prometheus data source reads these of an annotation; the schema of all data sources hasn't got them.
OF_PROMETHEUS_ALONE = {f".annotations.list[0].{key}" for key in ("titleFormat", "textFormat", "step")}


def test_it_is_what_the_script_writes() -> None:
    command = [sys.executable, "-B", str(DIRECTORY / "generate.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_grafanas_own_types_read_all_of_it() -> None:
    """A key that Grafana doesn't know, or a value of another type, would be lost or changed on the way."""
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert set(_lost(DASHBOARD, read)) == OF_PROMETHEUS_ALONE
    assert DASHBOARD["schemaVersion"] == Dashboard().schema_version


def _lost(written: object, read: object, where: str = "") -> Iterator[str]:
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            yield from _lost(value, read[key], f"{where}.{key}") if key in read else [f"{where}.{key}"]
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, (one, other) in enumerate(zip(written, read, strict=True)):
            yield from _lost(one, other, f"{where}[{index}]")
    elif written != read:
        yield where


def test_numbers_of_panels_are_unique() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert len(numbers) == len(set(numbers))


def test_no_panels_overlap_and_none_leaves_the_grid() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]


def test_every_row_has_panels_and_no_gaps() -> None:
    lines: dict[int, int] = {}
    for panel in PANELS:
        lines[panel["gridPos"]["y"]] = lines.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(lines.values()) == {24}


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: str(panel["title"]))
def test_a_panel_has_what_its_reader_needs(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    defaults = panel["fieldConfig"]["defaults"]
    unit = panel["options"]["yAxis"]["unit"] if panel["type"] == "heatmap" else defaults["unit"]
    assert unit in {value for name, value in vars(units).items() if not name.startswith("_")}
    if panel["type"] != "heatmap":
        steps = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(steps[1:])
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: str(panel["title"]))
def test_a_query_heeds_the_choices_at_the_top(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        names = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
        assert set(re.findall(r"\$(\w+)", target["expr"])) <= names
        if "ALERTS" not in target["expr"]:
            for selector in re.findall(r"\{([^{}]*)\}", target["expr"]):
                assert 'job=~"$job",instance=~"$instance"' in selector


def test_one_meaning_has_one_colour() -> None:
    colours: dict[str, set[str]] = {}
    for panel in SHOWN:
        for override in panel["fieldConfig"]["overrides"]:
            name = override["matcher"]["options"]
            colours.setdefault(name, set()).add(override["properties"][0]["value"]["fixedColor"])
    assert all(len(found) == 1 for found in colours.values())
    assert {"success", "failure", "hits", "misses", "alive", "silent"} <= set(colours)
