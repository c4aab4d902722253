"""The smallest possible runs of the bench, with memcached itself as the only peer: no other has to be installed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.alone
ROOT = Path(__file__).resolve().parents[2]
SHORT = ["--plain-python", "--rounds", "1", "--seconds", "0.2", "--warm-up", "0.05", "--repeats", "0"]


def run(directory: Path, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    """What it printed, and the suites of its JSON."""
    command = [sys.executable, str(ROOT / "bench/run"), *SHORT, "--output", str(directory), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (saved,) = directory.glob("*.json")
    return ended.stdout, json.loads(saved.read_text())["suites"]


def test_all_protocols_plain_and_tls(tmp_path: Path) -> None:
    shown, (suite,) = run(tmp_path, "--only", "direct,mcproxy", "--protocol", "all", "--connections", "4")
    results = suite["results"]
    assert [(result["scenario"]["protocol"], result["transport"]) for result in results] == [
        (protocol, transport) for protocol in ("text", "meta", "binary") for transport in ("plain", "tls")
    ]
    for result in results:
        assert set(result["peers"]) == {"direct", "mcproxy"}
        for peer in result["peers"].values():
            assert peer["rounds"][0]["requests"] > 0
    assert "mcproxy form: plain Python" in shown
    assert len(list(tmp_path.glob("*.svg"))) == 1


def test_new_connections_with_a_login(tmp_path: Path) -> None:
    shown, (suite,) = run(tmp_path, "--suite", "logins", "--only", "direct,mcproxy")
    (result,) = suite["results"]
    assert set(result["peers"]) == {"direct", "mcproxy"}
    assert result["peers"]["mcproxy"]["rounds"][0]["login_p50_us"] > 0
    assert [finding["what"] for finding in suite["findings"]] == [
        "a first login, from its send to its answer",
        "a first login by a remembered one",
    ]
    assert "at least 20 times" in shown
