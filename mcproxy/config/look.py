"""How files are now, by what stat(2) says: the same for writes in place, renames and swaps of symbolic links."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Seen(NamedTuple):
    """The real name of a file, and what changes with content or permissions. Times are in nanoseconds."""

    real_name: str
    device: int
    inode: int
    size: int
    modified: int
    changed: int
    """Who writes in place may set the time of that back; nobody sets this one."""
    mode: int
    owner: int
    group: int


Look = dict[Path, Seen | None]
"""By name. None for a file that isn't there."""


def look(paths: Iterable[Path]) -> Look:
    """How the files are now."""
    return {path: _look(path) for path in paths}


def _look(path: Path) -> Seen | None:
    try:
        status = path.stat()
        return Seen(
            os.path.realpath(path),
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_mode,
            status.st_uid,
            status.st_gid,
        )
    except OSError:
        return None
