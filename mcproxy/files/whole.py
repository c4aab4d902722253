"""Files that others see whole: written beside their place and moved there in one step, under the directory's lock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEW_FILE_MODE = 0o600
RETRY_SECONDS = 0.02


class OwnerError(OSError):
    """A file belongs to somebody else, and only root could give the new one to him."""


class LockedError(OSError):
    """Somebody else has held the directory's lock for too long."""


@contextmanager
def locked(directory: Path, patience: float) -> Iterator[None]:
    """Hold the directory's lock: unlike a file's, it stays the same one across a rename, and it leaves no litter.

    Waits at most `patience` seconds, since whoever can read the directory can hold its lock too. Raises LockedError,
    or OSError for a directory that can't be opened.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory, time.monotonic() + patience)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError(f"another process holds the lock of {directory}") from None
        time.sleep(RETRY_SECONDS)


def replace_file(path: Path, content: bytes) -> None:
    """Make `content` the file's, on the disk too when this returns; others see the old file or the new one.

    A new file gets mode 0600; an existing one keeps mode, owner and group. Raises OwnerError where that can't be, and
    OSError; the old file is untouched then.
    """
    try:
        before: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before = None
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                _keep_owner(file.fileno(), before)
            os.fchmod(file.fileno(), NEW_FILE_MODE if before is None else stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
    _sync(path.parent)


def make_file(path: Path, content: bytes, like: Path) -> None:
    """Make a file that isn't there, for whoever may read the file `like` (its group at most), whole from the start.

    Owner and group are those of `like` where this process may give them. Raises FileExistsError, and OSError.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            mode = NEW_FILE_MODE
            with contextlib.suppress(FileNotFoundError):
                model = like.stat()
                mode = _given(file.fileno(), model)
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike a rename, never over a file that somebody else has made meanwhile
    finally:
        Path(temporary).unlink()
    _sync(path.parent)


def _keep_owner(descriptor: int, before: os.stat_result) -> None:
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        owner = f"{before.st_uid}:{before.st_gid}"
        raise OwnerError(f"belongs to {owner}, which only root can keep so; run this as root") from None


def _given(descriptor: int, model: os.stat_result) -> int:
    """Give the file to the model's owner and group, or to its group alone, or leave it; returns the mode to set."""
    try:
        os.fchown(descriptor, model.st_uid, model.st_gid)
    except PermissionError:
        try:
            os.fchown(descriptor, -1, model.st_gid)
        except PermissionError:
            return NEW_FILE_MODE  # the group would be this process's own, which the model doesn't name
    return NEW_FILE_MODE | stat.S_IMODE(model.st_mode) & stat.S_IRGRP


def _sync(directory: Path) -> None:
    """So that the new name outlives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
