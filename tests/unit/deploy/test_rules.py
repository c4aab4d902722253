"""The alerts and recording rules of deploy/prometheus: what promtool says, and what somebody on call needs of each."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DIRECTORY = Path(__file__).parents[3] / "deploy/prometheus"
TESTS = sorted(DIRECTORY.glob("tests/*.yaml"))
RULES = [
    rule
    for name in ("recording.yaml", "alerts.yaml")
    for group in yaml.safe_load((DIRECTORY / name).read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]


def promtool(*arguments: str | Path) -> None:
    checked = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_promtool_accepts_rules_and_configuration() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", DIRECTORY / "recording.yaml", DIRECTORY / "alerts.yaml")
    # Its files (a token, a certificate) are on another machine.
    promtool("check", "config", "--syntax-only", DIRECTORY / "prometheus.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_tests_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_there_are_as_many_names_as_rules() -> None:
    names = [rule.get("alert") or rule["record"] for rule in RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_how_bad_what_it_means_and_where_to_read_on(alert: dict[str, Any]) -> None:
    name, notes = alert["alert"], alert["annotations"]
    assert re.fullmatch(r"Mcproxy[A-Z][A-Za-z]+", name)
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"docs/troubleshoot.md#{name.lower()}"
    assert notes["description"].endswith(".")
    assert not notes["summary"].endswith(".")


@pytest.mark.parametrize("alert", [alert["alert"] for alert in ALERTS])
def test_an_alert_fires_in_one_of_the_tests_and_not_just_before(alert: str) -> None:
    """That it doesn't fire elsewhere is told by the tests themselves: they ask for all that fire."""
    assert any(_first_seen_after_silence(path, alert) for path in TESTS)


def _first_seen_after_silence(path: Path, alert: str) -> bool:
    for test in yaml.safe_load(path.read_text())["tests"]:
        questions = sorted(test["promql_expr_test"], key=lambda question: _minutes(question["eval_time"]))
        seen = [f'alertname="{alert}"' in str(question["exp_samples"]) for question in questions]
        if True in seen and seen.index(True) > 0:
            return True
    return False


def _minutes(duration: str) -> int:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", duration)
    assert found is not None, duration
    hours, minutes = found.groups(default="0")
    return 60 * int(hours) + int(minutes)


@pytest.mark.parametrize("rule", [rule["record"] for rule in RULES if "record" in rule])
def test_a_recording_rule_has_a_test_of_its_value(rule: str) -> None:
    questions = [
        question["expr"]
        for test in yaml.safe_load((DIRECTORY / "tests/recording.yaml").read_text())["tests"]
        for question in test["promql_expr_test"]
    ]
    assert rule in questions


def test_the_page_about_monitoring_has_every_alert_with_its_severity_and_wait() -> None:
    page = (DIRECTORY.parents[1] / "docs/monitor.md").read_text()
    rows = re.findall(r"^\| (Mcproxy\w+) \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert rows == [(alert["alert"], alert["labels"]["severity"], alert.get("for", "no")) for alert in ALERTS]
