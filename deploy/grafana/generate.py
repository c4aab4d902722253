#!/usr/bin/env python3
"""Writes mcproxy.json, Grafana's dashboard, beside this file: python3 deploy/grafana/generate.py

With --check it writes nothing and ends with status 1 if the file is not what would be written. traffic.py and state.py
say what is on the dashboard.
"""

import json
import sys
from pathlib import Path
from typing import Any

from panels import DATASOURCE, Panel
from queries import MINE
from state import FILES, LATENCY, MEMCACHED, SATURATION, UPSTREAM
from traffic import LOGINS, OVERVIEW, REFUSALS, REQUESTS

FILE = Path(__file__).with_name("mcproxy.json")

# Of Grafana 11.6; older ones take it too, newer ones bring it up to date when it is imported.
SCHEMA_VERSION = 41
WIDTH = 24
ROWS = (*OVERVIEW, *LOGINS, *REFUSALS, *REQUESTS, *LATENCY, *UPSTREAM, *MEMCACHED, *FILES, *SATURATION)


def dashboard() -> dict[str, Any]:
    """The whole of it."""
    return {
        "uid": "mcproxy",
        "title": "mcproxy",
        "description": "An authenticating proxy in front of memcached: who asks, who is refused, how it fares.",
        "tags": ["mcproxy", "memcached"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair for all panels
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timepicker": {},
        "links": [],
        "templating": {"list": _variables()},
        "annotations": {"list": [_reloads()]},
        "panels": _laid_out(),
    }


def _laid_out() -> list[Panel]:
    """Panels from left to right, in as many lines as it takes, with numbers of their own."""
    panels: list[Panel] = []
    x = y = line_height = 0
    for panel in ROWS:
        place = panel["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, line_height = 0, y + line_height, 0
        line_height = max(line_height, place["h"])
        panels.append({"id": len(panels) + 1, **panel, "gridPos": {**place, "x": x, "y": y}})
        x += place["w"]
    return panels


def _variables() -> list[dict[str, Any]]:
    here = 'job=~"$job",instance=~"$instance"'
    return [
        {
            "type": "datasource",
            "name": "datasource",
            "label": "Data source",
            "query": "prometheus",
            "regex": "",
            "hide": 0,
            "multi": False,
            "includeAll": False,
            "options": [],
            "refresh": 1,
        },
        _label_values("job", "Job", "label_values(mcproxy_build_info, job)"),
        _label_values("instance", "Instance", 'label_values(mcproxy_build_info{job=~"$job"}, instance)'),
        _label_values("listener", "Listener", f"label_values(mcproxy_sessions{{{here}}}, listener)"),
        _label_values("upstream", "Upstream", f"label_values(mcproxy_upstream_links{{{here}}}, upstream)"),
    ]


def _label_values(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "variable"},
        "refresh": 2,  # at each change of the time range: instances come and go
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
        "regex": "",
        "hide": 0,
    }


def _reloads() -> dict[str, Any]:
    """Lines on every graph where other files began to be served."""
    return {
        "name": "Reloads",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "purple",
        "expr": f"changes(mcproxy_generation{{{MINE}}}[1m]) > 0",
        "titleFormat": "reload",
        "textFormat": "{{instance}}",
        "step": "60s",
    }


def main() -> int:
    written = json.dumps(dashboard(), indent=2) + "\n"
    if "--check" in sys.argv[1:]:
        if FILE.exists() and FILE.read_text() == written:
            return 0
        print(f"{FILE.name} is not what generate.py writes; run: python3 deploy/grafana/generate.py", file=sys.stderr)
        return 1
    FILE.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
