"""Who besides its owner can change a file, or put another one in its place."""

from __future__ import annotations

import contextlib
import errno
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
    """One reason why a file is not safe: `path` is what to mend, the file, a link or a directory, and `remedy` how."""

    who: Who
    path: Path
    words: str
    remedy: str


_SHOWN = 5
_MOST_LINKS = 40
"""As many as Linux follows on one way: path_resolution(7)."""


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every directory and symbolic link that the kernel goes through to a file, and the file at last.

    A link's own target comes after it, as it is walked; no name has a link above it. Raises OSError.
    """
    ahead = [*reversed(path.absolute().parts)]
    at = Path(ahead.pop())
    links = 0
    yield at, at.lstat()
    while ahead:
        name = ahead.pop()
        if name == os.pardir:
            at = at.parent
            continue
        step = at / name
        status = step.lstat()
        yield step, status
        if not stat.S_ISLNK(status.st_mode):
            at = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = step.readlink()
        if target.is_absolute():
            at = Path(target.anchor)
        ahead += [part for part in reversed(target.parts) if part != target.anchor]


def directories_above(path: Path) -> list[Path]:
    """Every directory that the kernel goes through to a path, those of links' targets too. Raises OSError."""
    *above, _ = _way(path)
    return list(dict.fromkeys(step for step, status in above if stat.S_ISDIR(status.st_mode)))


def replaceable(path: Path, trusted: frozenset[int] = frozenset()) -> Iterator[Lapse]:
    """Why somebody else could put another file in a path's place: one line for each directory or link that lets them.

    `trusted` are user ids beside root's and the file's own owner. Raises OSError.
    """
    owners = trusted | {0, path.stat().st_uid}
    for step, status in dict(_way(path)).items():
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        sticky = bool(status.st_mode & stat.S_ISVTX)  # nobody removes what is somebody else's there
        if stat.S_ISLNK(status.st_mode):
            # Whoever owns a link may put another in its place, in a sticky directory too.
            if status.st_uid not in owners:
                words = f"the symbolic link {step} belongs to {user_name(status.st_uid)}"
                yield Lapse(Who.OWNER, step, words, _give(step, "chown -h"))
        elif not stat.S_ISDIR(status.st_mode):
            continue
        elif status.st_mode & stat.S_IWOTH and not sticky:
            words = f"every user can change the directory {step} ({mode})"
            yield Lapse(Who.EVERYBODY, step, words, f"run: chmod go-w {step}")
        elif status.st_mode & stat.S_IWGRP and not sticky and not lone_group(status.st_gid, owners):
            words = f"group {group_name(status.st_gid)} can change the directory {step} ({mode})"
            yield Lapse(Who.GROUP, step, words, f"run: chmod go-w {step}")
        elif status.st_uid not in owners:
            words = f"the directory {step} belongs to {user_name(status.st_uid)}"
            yield Lapse(Who.OWNER, step, words, _give(step))


def unclaimed(path: Path, trusted: frozenset[int]) -> Iterator[Lapse]:
    """Where whoever was first may have made what stands there: a stranger's own, among what others can make too, though
    nobody removes what is somebody else's (a sticky directory). Raises OSError.
    """
    trusted |= {0}
    owners = trusted | {path.stat().st_uid}
    for step, status in _way(path):
        if status.st_uid in trusted:
            continue
        above = step.parent.stat()
        in_group = above.st_mode & stat.S_IWGRP and not lone_group(above.st_gid, owners)
        if above.st_mode & stat.S_IWOTH or in_group:
            others = f"others can make files in {step.parent} as well"
            words = f"{step} belongs to {user_name(status.st_uid)}, and {others}"
            yield Lapse(Who.OWNER, step, words, "keep it in a directory where its owner alone can make files")


def changeable(path: Path, trusted: frozenset[int]) -> Iterator[Lapse]:
    """Why somebody who is neither root nor `trusted` could change a file itself. Raises OSError."""
    status = path.stat()
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    if status.st_mode & stat.S_IWOTH:
        yield Lapse(Who.EVERYBODY, path, f"every user can change {path} ({mode})", f"run: chmod o= {path}")
    elif status.st_mode & stat.S_IWGRP and not lone_group(status.st_gid, trusted | {0}):
        words = f"group {group_name(status.st_gid)} can change {path} ({mode})"
        yield Lapse(Who.GROUP, path, words, f"run: chmod go-w {path}")
    if status.st_uid not in trusted | {0}:
        yield Lapse(Who.OWNER, path, f"{path} belongs to {user_name(status.st_uid)}", _give(path))


def readable(path: Path, trusted: frozenset[int]) -> Iterator[Lapse]:
    """Who besides root, its owner and `trusted` could read a secret file. Raises OSError.

    Its group may, where nobody else is in it: that is how packages give a file to the proxy. A group that has no name
    here has no members here; Kubernetes gives files by such.
    """
    status = path.stat()
    mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
    if status.st_mode & stat.S_IROTH:
        yield Lapse(Who.EVERYBODY, path, f"every user can read {path} ({mode})", f"run: chmod o= {path}")
    if status.st_mode & stat.S_IRGRP:
        members = sorted(_others_in(status.st_gid, trusted | {0, status.st_uid}))
        if members and status.st_gid != 0:
            group = group_name(status.st_gid)
            shown = ", ".join(members[:_SHOWN]) + (", ..." if len(members) > _SHOWN else "")
            words = f"group {group} can read {path} ({mode}), and has other members: {shown}"
            remedy = f"give the file to a group in which only the proxy's user is, or take them out of {group}"
            yield Lapse(Who.GROUP, path, words, remedy)


def _give(path: Path, command: str = "chown") -> str:
    return f"give it to root or the proxy's user: {command} root {path}"


def lone_group(gid: int, owners: frozenset[int]) -> bool:
    """Whether nobody is in a group but these users, as far as this machine knows. A group without a name may be
    anybody's, in another container."""
    if gid == 0:
        return True
    try:
        grp.getgrgid(gid)
    except KeyError:
        return False
    return not _others_in(gid, owners)


def _others_in(gid: int, besides: frozenset[int]) -> set[str]:
    """The names of a group's users but for some, as far as this machine knows them."""
    users = pwd.getpwall()
    members = {user.pw_name for user in users if user.pw_gid == gid}
    with contextlib.suppress(KeyError):
        members |= {*grp.getgrgid(gid).gr_mem}
    return members - {user.pw_name for user in users if user.pw_uid in besides}


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
