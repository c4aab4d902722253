"""What a process uses: memory, processor time, descriptors, as the kernel counts them."""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def resident_bytes(process: int) -> int:
    """Resident memory now."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {process} has no memory: it has ended")


def processor_seconds(process: int) -> float:
    """User and system time so far, of all of its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def processor_share(process: int, interval: float) -> float:
    """The part of one processor that it uses over `interval` seconds from now (0.01 is one percent)."""
    before, start = processor_seconds(process), time.monotonic()
    time.sleep(interval)  # an interval to measure over, not a wait for something
    return (processor_seconds(process) - before) / (time.monotonic() - start)


def open_descriptors(process: int) -> int:
    """How many file descriptors it holds."""
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
