"""How many processors this process may use: what `workers: auto` stands for."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

_GROUPS = Path("/sys/fs/cgroup")


def parse_workers(value: Any) -> Any:
    """`auto`, or what is to be a number. Raises ValueError."""
    if value == "auto":
        return usable_processors()
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError('must be a whole number, or "auto" for one per usable core')
    return value


def usable_processors() -> int:
    """The processors that the scheduler may put this process on, or fewer if its control group has a smaller quota.

    A container with `--cpus 2` sees all of its machine's processors, and may use two.
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), quota(_GROUPS, Path("/proc/self/cgroup")))))


def quota(groups: Path, own: Path) -> float:
    """Processors that cpu.max of the control group and those above it leave (cgroup-v2.rst); infinite without any."""
    least = math.inf
    try:
        line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return least
    group = groups / line.removeprefix("0::").lstrip("/")
    for directory in (group, *group.parents):
        if not directory.is_relative_to(groups):
            break
        try:
            allowed, period = (directory / "cpu.max").read_text().split()
            if allowed != "max":
                least = min(least, int(allowed) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return least
