"""Who besides its owner can change a file, or put another one in its place."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple


class Who(Enum):
    """Who could do something that is not his to do."""

    EVERYBODY = auto()
    GROUP = auto()
    OWNER = auto()
    """A user who is neither root nor trusted, as far as those are known."""


class Lapse(NamedTuple):
    """One reason why a file is not safe: `path` is what to mend, the file or a directory."""

    who: Who
    path: Path
    words: str


def directories_above(path: Path) -> list[Path]:
    """Every directory that a path goes through, and those of what it really is (Kubernetes mounts symbolic links)."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow the links, which count themselves
    real = Path(os.path.realpath(path))
    return list(dict.fromkeys((*absolute.parents, *real.parents)))


def replaceable(path: Path, trusted: frozenset[int] = frozenset()) -> Iterator[Lapse]:
    """Why somebody else could put another file in a path's place: one line for each directory that lets them.

    `trusted` are user ids beside root's and the file's own owner. Raises OSError.
    """
    owners = trusted | {0, path.lstat().st_uid, path.stat().st_uid}
    for directory in directories_above(path):
        status = directory.stat()
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        sticky = bool(status.st_mode & stat.S_ISVTX)  # nobody removes what is somebody else's there
        if status.st_mode & stat.S_IWOTH and not sticky:
            yield Lapse(Who.EVERYBODY, directory, f"every user can change the directory {directory} ({mode})")
        elif status.st_mode & stat.S_IWGRP and not sticky and not lone_group(status.st_gid, owners):
            words = f"group {group_name(status.st_gid)} can change the directory {directory} ({mode})"
            yield Lapse(Who.GROUP, directory, words)
        elif status.st_uid not in owners:
            yield Lapse(Who.OWNER, directory, f"the directory {directory} belongs to {user_name(status.st_uid)}")


def changeable(path: Path, trusted: frozenset[int]) -> Iterator[Lapse]:
    """Why somebody who is neither root nor `trusted` could change a file itself. Raises OSError."""
    status = path.stat()
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    if status.st_mode & stat.S_IWOTH:
        yield Lapse(Who.EVERYBODY, path, f"every user can change {path} ({mode})")
    elif status.st_mode & stat.S_IWGRP and not lone_group(status.st_gid, trusted | {0}):
        yield Lapse(Who.GROUP, path, f"group {group_name(status.st_gid)} can change {path} ({mode})")
    if status.st_uid not in trusted | {0}:
        yield Lapse(Who.OWNER, path, f"{path} belongs to {user_name(status.st_uid)}")


def lone_group(gid: int, owners: frozenset[int]) -> bool:
    """Whether nobody is in a group but these users, as far as this machine knows. A group without a name may be
    anybody's, in another container."""
    if gid == 0:
        return True
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return False
    names = {user.pw_name for user in pwd.getpwall() if user.pw_uid in owners}
    of_primary = {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    return {*group.gr_mem, *of_primary} <= names


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user_name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"
