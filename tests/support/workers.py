"""The program with several workers: which processes they are, and what they did."""

import contextlib
from pathlib import Path

from tests.support.proxy import Proxy
from tests.support.waiting import eventually


def worker_processes(program: Proxy) -> dict[int, int]:
    """Worker number to process id, as started last."""
    return {record["worker"]: record["process"] for record in program.events("worker_started")}


def sockets_of(process: int) -> int:
    """How many sockets a process holds."""
    count = 0
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += entry.readlink().name.startswith("socket:")
    return count


def is_running(process: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def restarted(program: Proxy, number: int, before: int) -> int:
    """Waits for another process to be the worker of that number, and returns its id."""

    def another() -> int:
        process = worker_processes(program)[number]
        return 0 if process == before else process

    return eventually(f"worker {number} is started anew", another)
