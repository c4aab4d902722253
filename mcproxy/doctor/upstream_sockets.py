"""Upstreams' unix sockets, and memcacheds of this machine that nobody thinks of."""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from itertools import chain
from pathlib import Path

from mcproxy.config.addresses import UnixAddress
from mcproxy.config.schema import Upstream
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.path_modes import directories_above, replaceable, unclaimed
from mcproxy.doctor.running import trusted_users
from mcproxy.doctor.sockets_here import Bound, BoundPath, Process
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok

_MOST_NAMED = 8


def through_socket(deployment: Deployment) -> list[Result]:
    """Who can open upstream's unix socket, or put another in its place."""
    results = []
    for name, upstream in deployment.settings.all_upstreams.items():
        if isinstance(upstream.address, UnixAddress):
            results.append(_socket(f"upstream {name}", Path(upstream.address.path), trusted_users(deployment)))
    return results


def _socket(subject: str, path: Path, trusted: frozenset[int]) -> Result:
    try:
        status = path.stat()
        enterable = [bool(directory.stat().st_mode & stat.S_IXOTH) for directory in directories_above(path)]
        problem = next(chain(replaceable(path, trusted), unclaimed(path, trusted)), None)
    except OSError as error:
        return could_not_tell(subject, f"{path}: {error.strerror}", "run this as root, or as the proxy's user")
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if problem is not None:
        return finding(
            subject,
            f"{problem.words}: somebody else's socket can be put in its place",
            problem.remedy,
        )
    if status.st_mode & stat.S_IWOTH and all(enterable):
        return finding(
            subject,
            f"every user of this machine can open {path} (mode {mode})",
            f"start memcached with -a 0700 (now: chmod o= {path})",
        )
    if status.st_mode & stat.S_IWGRP:
        members = _members(status.st_gid)
        return note(
            subject,
            f"{path} (mode {mode}) can be opened by its owner and group {members}",
            "see that only the proxy is in that group",
        )
    return ok(subject, f"{path} can be opened by its owner alone (mode {mode}, {_owner(status.st_uid)})")


def _members(gid: int) -> str:
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(gid)
        return f"{group.gr_name} ({', '.join(group.gr_mem) or 'nobody but whose own group it is'})"
    return str(gid)


def _owner(uid: int) -> str:
    return "root" if uid == 0 else "this user" if uid == os.geteuid() else f"user id {uid}"


def other_memcacheds(deployment: Deployment) -> list[Result]:
    """memcacheds of this machine that no upstream is, by TCP, UDP or a unix socket."""
    strangers = [
        f"{', '.join(where)} (process {process.pid})"
        for process in deployment.processes
        if process.name == "memcached"
        and not _is_upstream(deployment, process)
        and (where := _where(deployment, process))
    ]
    if strangers:
        more = f" and {len(strangers) - _MOST_NAMED} more" if len(strangers) > _MOST_NAMED else ""
        seen = f"another memcached listens, which no upstream is: {'; '.join(strangers[:_MOST_NAMED])}{more}"
        return [note("this machine", seen, "if nobody needs it, stop it; else protect it as well")]
    if os.geteuid() != 0:
        return [
            note("this machine", "only processes of this user were looked at", "run this as root to see all of them")
        ]
    return [ok("this machine", "no memcached listens that is no upstream")]


def _is_upstream(deployment: Deployment, process: Process) -> bool:
    """By the number that an upstream here has told as its own; else by where it listens."""
    for name, upstream in deployment.settings.all_upstreams.items():
        pid = deployment.upstreams[name].pid
        known = any(one.pid == pid and one.name == "memcached" for one in deployment.processes)
        if deployment.is_here(upstream) and (
            pid == process.pid if known else _listens_at(deployment, process, upstream)
        ):
            return True
    return False


def _listens_at(deployment: Deployment, process: Process, upstream: Upstream) -> bool:
    address = upstream.address
    if isinstance(address, UnixAddress):
        return any(one.path == address.path and one.inode in process.inodes for one in deployment.paths)
    ports = {one.port for one in deployment.bound if one.inode in process.inodes and one.kind == "tcp"}
    return address.port in ports


def _where(deployment: Deployment, process: Process) -> list[str]:
    found: list[Bound | BoundPath] = [*deployment.bound, *deployment.paths]
    return [str(one) for one in found if one.inode in process.inodes]
