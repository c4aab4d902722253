"""A file read whole. In the place of one that a configuration names there may be a pipe by now, which would be waited
for without end, or more than memory holds.

Imports next to nothing: `mcproxy health` runs every few seconds.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import NamedTuple

LARGEST = 64 * 2**20
"""Bytes of one file that a configuration names. 100,000 users take about 20 MiB."""


class File(NamedTuple):
    """What a file held, and its permission bits."""

    content: bytes
    mode: int


def read_regular_file(path: Path, most: int = LARGEST) -> File:
    """Raises OSError with the file's name, also for what is no regular file or has more than `most` bytes."""
    # Opening a pipe must not wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            content = opened.read(most + 1) if status.st_size <= most else b""
    finally:
        os.close(descriptor)
    if status.st_size > most or len(content) > most:
        raise OSError(errno.EFBIG, "is too large", str(path))
    return File(content, stat.S_IMODE(status.st_mode))


def explained(error: OSError) -> str:
    """The file, if it is about one, and what is wrong with it, without the number of the error."""
    reason = error.strerror or str(error) or type(error).__name__
    return reason if error.filename is None else f"{error.filename}: {reason}"
