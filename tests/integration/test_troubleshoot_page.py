"""docs/troubleshoot.md has whatever the program can say of what is wrong, and each alert. What it can say is taken from
the sources, so that nothing new goes without an explanation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mcproxy.observe.recent import EVENTS
from mcproxy.relay import link_ends, obstacle
from mcproxy.relay.obstacle import Obstacle
from mcproxy.server import arrival, authenticator, crowd
from mcproxy.wire import gathered
from tests.support.pages import ROOT, anchors, code, prose

PAGE = Path("docs/troubleshoot.md")
WORDS = " ".join(prose(PAGE).split())
CODE = set(code(PAGE))
SOURCES = sorted((ROOT / "mcproxy").rglob("*.py"))
ALERTS = [
    rule["alert"]
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
SECTION = re.compile(r"^## What the log says\n(.*?)^## ", re.MULTILINE | re.DOTALL)


def constants(tree: ast.AST, kind: type) -> Iterator[object]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, kind):
            yield node.value


def logged(path: Path) -> Iterator[str]:
    """Events that a module logs at warning or error."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            event = node.args[0].value
            # `write` is how the log's own handler calls whichever of the two it has chosen.
            if (
                name in ("warning", "error", "write")
                and isinstance(event, str)
                and re.fullmatch(r"[a-z]+(_[a-z]+)+", event)
            ):
                yield event


LOGGED = {event for path in SOURCES for event in logged(path)} | EVENTS | {"log_lines_dropped"}


def test_events_are_found() -> None:
    assert {"connection_refused", "internal_error", "reload_failed", "worker_ended", "library_message"} <= LOGGED
    assert len(LOGGED) > 30


def events_explained() -> set[str]:
    found = SECTION.search(prose(PAGE))
    assert found is not None
    return {
        event for row in re.findall(r"^\| (`[^|]+) \|", found[1], re.MULTILINE) for event in re.findall(r"`(\w+)`", row)
    }


def test_every_event_at_warning_and_error_is_explained_and_no_other() -> None:
    assert events_explained() == LOGGED


def error_lines() -> set[str]:
    """What clients of the text protocol may be told: whole lines in the grammar and in logins."""
    found = set()
    for directory in ("wire", "auth"):
        for path in sorted((ROOT / "mcproxy" / directory).glob("*.py")):
            for value in constants(ast.parse(path.read_text()), bytes):
                assert isinstance(value, bytes)
                line = re.fullmatch(rb"((?:CLIENT_|SERVER_|AUTH_)?ERROR[\x20-\x7e]*)\r\n", value)
                if line is not None:
                    found.add(line[1].decode())
    return found


ERROR_LINES = error_lines()


def test_error_lines_are_found() -> None:
    assert {"CLIENT_ERROR access denied", "AUTH_ERROR", "CLIENT_ERROR unauthenticated"} <= ERROR_LINES
    assert len(ERROR_LINES) > 25


@pytest.mark.parametrize("line", sorted(ERROR_LINES))
def test_every_error_line_is_explained(line: str) -> None:
    line = " ".join(line.split())
    # What ends in a flag is told without it; the page has `... upstream is a twemproxy` after the line before.
    for short in (line, line.partition(", without flag")[0], line.replace("CLIENT_ERROR not available:", "...")):
        if short in CODE:
            return
    raise AssertionError(f"{line} is not explained")


OBSTACLES = [value for value in vars(obstacle).values() if isinstance(value, Obstacle)]


@pytest.mark.parametrize("one", OBSTACLES, ids=lambda one: str(one.words))
def test_every_reason_for_having_no_link_is_explained(one: Obstacle) -> None:
    assert one.words in CODE
    assert f"SERVER_ERROR {one.answer.decode()}" in CODE


@pytest.mark.parametrize("words", [link_ends.LOST, link_ends.TIMED_OUT])
def test_what_is_told_of_a_lost_link_is_explained(words: bytes) -> None:
    assert f"SERVER_ERROR {words.decode()}" in CODE
    assert "SERVER_ERROR upstream has grants of its own; ask again" in {
        value.decode().strip() for value in vars(gathered).values() if isinstance(value, bytes)
    }


REASONS = {
    *arrival._WORDS.values(),
    arrival.NOT_ALLOWED,
    crowd.CROWDED_OUT,
    *(getattr(authenticator, name) for name in ("WRONG", "THROTTLED", "BUSY", "TOO_LATE", "UNDECIDED", "SILENT")),
}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_reasons_of_refusals_are_explained(reason: str) -> None:
    assert reason in CODE


def conversation_reasons() -> set[str]:
    """Why a login's conversation closes: the words handed to _close and _refuse_and_close."""
    found = set()
    for name in ("conversation", "login_text", "login_binary", "exchange"):
        for node in ast.walk(ast.parse((ROOT / "mcproxy/auth" / f"{name}.py").read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in ("_close", "_refuse_and_close") and isinstance(node.args[-1], ast.Constant):
                found.add(str(node.args[-1].value))
    return found


@pytest.mark.parametrize("reason", sorted(conversation_reasons()))
def test_reasons_of_closed_logins_are_explained(reason: str) -> None:
    assert reason in CODE


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_its_place(alert: str) -> None:
    assert alert.lower() in anchors(PAGE)


def test_no_alert_is_explained_that_is_not_there() -> None:
    assert {anchor for anchor in anchors(PAGE) if anchor.startswith("mcproxy")} == {alert.lower() for alert in ALERTS}
