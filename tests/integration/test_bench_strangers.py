"""The smallest possible runs of the benches of strangers: that they work, never what they measure."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run(program: str, directory: Path, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    """What it printed, and what it saved."""
    command = [sys.executable, str(ROOT / "bench" / program), "--output", str(directory), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    (saved,) = directory.glob("*.json")
    return ended.stdout, json.loads(saved.read_text())["suites"]


def test_enumeration(tmp_path: Path) -> None:
    """Every mechanism is answered alike for known and unknown users, or the bench would fail."""
    shown, suites = run("enumeration", tmp_path, "--logins", "10")
    assert [suite["what"] for suite in suites if "first" not in suite["what"]] == [
        "PLAIN",
        "token",
        "SCRAM-SHA-256",
        "SCRAM-SHA-512",
        "SCRAM-SHA-1",
    ]
    for suite in suites:
        assert len(suite["known"]) == len(suite["unknown"]) == 20
    assert "answers equal but for salt and nonce" in shown


def test_guessing(tmp_path: Path) -> None:
    shown, suites = run(
        "guessing", tmp_path, "--addresses", "1", "--seconds", "1.2", "--hour", "30", "--iterations", "4096"
    )
    assert len(suites) == 2
    for suite in suites:
        assert suite["program"]["guesses"] > 0
        home = suite["program"]["honest"][0]
        assert home["waits"], shown
        assert not home["refused"], shown
