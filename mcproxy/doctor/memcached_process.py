"""The process of an upstream's memcached, where it is one of this machine's and may be looked into."""

from __future__ import annotations

from enum import Enum, auto
from pathlib import Path

from mcproxy.doctor.addresses_here import PROC
from mcproxy.doctor.package_fixes import DELETED, Program, program_of
from mcproxy.doctor.upstream_facts import UpstreamFacts

_NAME = "memcached"


class NoProgram(Enum):
    """Why it isn't known what an upstream runs."""

    ELSEWHERE = auto()
    """On another machine, or in a container, which counts processes anew."""
    CLOSED = auto()
    """It may be here, and this user may not look into it."""


def program_run(facts: UpstreamFacts, is_root: bool, proc: Path = PROC) -> Program | NoProgram:
    """What an upstream on this machine runs, by the number of its process that it tells."""
    if facts.pid is None:
        return NoProgram.ELSEWHERE
    try:
        if _is_memcached(facts.pid, proc):
            return program_of(facts.pid, proc)
    except PermissionError:
        return NoProgram.CLOSED
    except OSError:
        pass  # there is no such process, or not for this user to see: proc(5), hidepid
    return NoProgram.ELSEWHERE if is_root else NoProgram.CLOSED


def user_of(facts: UpstreamFacts, proc: Path = PROC) -> int | None:
    """Its effective user id; None where that can't be seen."""
    try:
        if facts.pid is None or not _is_memcached(facts.pid, proc):
            return None
        rows = (proc / str(facts.pid) / "status").read_text().splitlines()
        return next(int(row.split()[2]) for row in rows if row.startswith("Uid:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _is_memcached(pid: int, proc: Path) -> bool:
    """By its own name or its program's: what is started by a descriptor is called by that. Raises OSError."""
    directory = proc / str(pid)
    if (directory / "comm").read_text() == f"{_NAME}\n":
        return True
    return (directory / "exe").readlink().name.removesuffix(DELETED) == _NAME
