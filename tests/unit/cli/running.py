"""The real program, as a person would start it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "MCPROXY_CONFIG"}


FEW = "4096"
"""Iterations: the fewest allowed; what is tested is not how long hashing takes."""


def mcproxy(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `mcproxy ARGUMENTS` to its end, without a terminal."""
    options.setdefault("input", "")
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run(
        [sys.executable, "-m", "mcproxy", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
