"""The section saslauthd: what it needs of the rest, and what `check` notes about it."""

import socket
from pathlib import Path
from typing import Any

import pytest

from mcproxy.config.saslauthd import saslauthd_notes

from .building import DELETE, changed, problems_after, settings_of

LOCAL = "listeners.local"


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ([], []),
        ([("saslauthd.timeout", "4500ms")], []),
        (
            [("saslauthd.timeout", "4501ms")],
            ["saslauthd.timeout: must leave 500ms or more of limits.login_timeout (5s) for the rest of the login"],
        ),
        ([("saslauthd.socket", "/" + "x" * 107)], ["saslauthd.socket: "]),
        ([("saslauthd.service", "x" * 257)], ["saslauthd.service: must have at most 256 bytes"]),
        ([("saslauthd.realm", "a\0b")], ["saslauthd.realm: can't hold a NUL"]),
        ([("saslauthd.realm", 7)], ["saslauthd.realm: must be text; put it in quotes"]),
        ([(f"{LOCAL}.authentication", ["token", "address"])], []),
    ],
)
def test_the_rules_of_its_section(changes: list[tuple[str, Any]], problems: list[str]) -> None:
    found = problems_after(("saslauthd", {}), *changes)
    assert len(found) == len(problems), found
    for got, expected in zip(found, problems, strict=True):
        assert got.startswith(expected)


PLAIN = ("listeners.local.mechanisms", ["PLAIN"])
SCRAM = ("listeners.local.mechanisms", ["SCRAM-SHA-256", "PLAIN"])
NOT_NEEDED = ("users_file", DELETE)


def test_a_users_file_is_needed_by_scram_alone() -> None:
    assert problems_after(("saslauthd", {}), NOT_NEEDED, PLAIN, ("listeners.private", DELETE)) == []
    (problem,) = problems_after(("saslauthd", {}), NOT_NEEDED, SCRAM, ("listeners.private", DELETE))
    assert problem.startswith("listeners.local.authentication: sasl needs users")
    assert problem.endswith(", or offer what saslauthd can check alone (mechanisms: [PLAIN])")


def test_somebody_must_send_passwords() -> None:
    only = [("listeners", {"one": {"bind": ["unix:/run/x"], "authentication": ["peer"]}}), ("grants", [])]
    assert problems_after(*only) == []
    (problem,) = problems_after(("saslauthd", {}), *only)
    assert problem.startswith("saslauthd: has nobody to ask about: it checks passwords")


def notes_with(*changes: tuple[str, Any]) -> list[str]:
    return [finding.message for finding in saslauthd_notes(settings_of(changed(*changes)), ("saslauthd",))]


def test_what_is_noted(tmp_path: Path) -> None:
    assert notes_with() == []
    path = tmp_path / "mux"
    given = [("saslauthd", {"socket": str(path)}), PLAIN, ("listeners.private", DELETE)]
    assert notes_with(*given) == [f"there is no socket {path}; until there is, nobody logs in by it"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert notes_with(*given) == []
        expected = "saslauthd's users can't log in with SCRAM-SHA-256: it has to be told the password itself"
        assert notes_with(*given, SCRAM) == [expected]
