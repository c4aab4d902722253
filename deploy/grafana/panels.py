"""The shapes that generate.py is written in: panels of Grafana's dashboard JSON, as plain dictionaries.

Source: Grafana's own schema of dashboards (the packages @grafana/schema and grafana-foundation-sdk), against which
tests/unit/deploy/test_dashboard.py holds the result.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Panel = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

GREEN, ORANGE, RED, BLUE, PURPLE, GREY = "green", "orange", "red", "blue", "purple", "text"

# What means the same has one colour on all panels. Every other name has one too, by Grafana's palette by name.
RESULTS = {"success": GREEN, "failure": RED, "throttled": ORANGE, "unavailable": PURPLE}
HITS = {"hits": GREEN, "misses": ORANGE}
STATES = {"alive": GREEN, "silent": RED, "configured": GREY}


class Query(NamedTuple):
    """PromQL with the dashboard's variables in it, and what each series is called."""

    expression: str
    legend: str = "__auto"


Steps = Sequence[tuple[float | None, str]]
"""From a value on (None: from the lowest), that colour."""

NEUTRAL: Steps = ((None, BLUE),)
SHARE_USED: Steps = ((None, GREEN), (0.8, ORANGE), (0.95, RED))
"""The alerts begin at 0.8."""


def _targets(queries: Sequence[Query], *, instant: bool = False, format: str = "time_series") -> list[dict[str, Any]]:
    return [
        {
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend,
            "refId": chr(ord("A") + number),
            "format": format,
            "instant": instant,
            "range": not instant,
        }
        for number, query in enumerate(queries)
    ]


def _thresholds(steps: Steps) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]}


def _panel(kind: str, title: str, description: str, size: tuple[int, int]) -> Panel:
    width, height = size
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
    }


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    width: int = 8,
    stacked: bool = False,
    most: float | None = None,
    steps: Steps | None = None,
    colours: Mapping[str, str] | None = None,
) -> Panel:
    """Lines over time from zero on.

    `most` is the axis's end, `steps` are drawn as lines where they begin, `colours` are those of series by name.
    """
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }
    defaults = {
        "unit": unit,
        "min": 0,
        "color": {"mode": "palette-classic-by-name"},
        "custom": custom,
        "thresholds": _thresholds(steps or ((None, GREEN),)),
    }
    if most is not None:
        defaults["max"] = most
    return {
        **_panel("timeseries", title, description, (width, 8)),
        "targets": _targets(queries),
        "fieldConfig": {"defaults": defaults, "overrides": _fixed(colours or {})},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def number(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "short",
    steps: Steps = NEUTRAL,
    words: Mapping[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
    width: int = 3,
) -> Panel:
    """The present value, large; `words` are shown in the place of values, with their colour."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": _thresholds(steps),
        "mappings": _mappings(words),
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        **_panel("stat", title, description, (width, 4)),
        "targets": _targets([query], instant=True),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def bars(title: str, description: str, query: Query, *, unit: str, steps: Steps, width: int = 12) -> Panel:
    """The present values of several series, one below the other."""
    return {
        **_panel("bargauge", title, description, (width, 8)),
        "targets": _targets([query], instant=True),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "decimals": 0,
                "color": {"mode": "thresholds"},
                "thresholds": _thresholds(steps),
            },
            "overrides": [],
        },
        "options": {
            "displayMode": "basic",
            "orientation": "horizontal",
            "showUnfilled": True,
            "valueMode": "color",
            "namePlacement": "auto",
            "sizing": "auto",
            "minVizWidth": 8,
            "minVizHeight": 16,
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def heat(title: str, description: str, query: Query, *, unit: str, width: int = 8) -> Panel:
    """A histogram's buckets over time."""
    return {
        **_panel("heatmap", title, description, (width, 8)),
        "targets": _targets([query], format="heatmap"),
        "fieldConfig": {
            "defaults": {"custom": {"hideFrom": {"legend": False, "tooltip": False, "viz": False}}},
            "overrides": [],
        },
        "options": {
            "calculate": False,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Oranges",
                "fill": "dark-orange",
                "exponent": 0.5,
                "steps": 64,
                "reverse": False,
            },
            "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": False},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": True},
            "legend": {"show": True},
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
        },
    }


def row(title: str) -> Panel:
    """A heading; the panels that follow belong to it."""
    return {
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"w": 24, "h": 1, "x": 0, "y": 0},
    }


def _mappings(words: Mapping[str, tuple[str, str]] | None) -> list[dict[str, Any]]:
    if words is None:
        return []
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def _fixed(colours: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for name, colour in colours.items()
    ]
