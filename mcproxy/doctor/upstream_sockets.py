"""Upstreams' unix sockets, and memcacheds of this machine that nobody thinks of."""

from __future__ import annotations

import contextlib
import grp
import os
import stat
from pathlib import Path

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.path_modes import directories_above, replaceable
from mcproxy.doctor.running import trusted_users
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok


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
        problem = next(replaceable(path, trusted), None)
    except OSError as error:
        return could_not_tell(subject, f"{path}: {error.strerror}", "run this as root, or as the proxy's user")
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    if problem is not None:
        return finding(
            subject,
            f"{problem.words}: whoever does can put another socket in its place",
            f"run: chmod go-w {problem.path}",
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
    """memcacheds of this machine that no upstream is."""
    ports = {
        one.address.port for one in deployment.settings.all_upstreams.values() if isinstance(one.address, TcpAddress)
    }
    strangers = []
    for process in deployment.processes:
        if process.name == "memcached":
            bound = [one for one in deployment.bound if one.inode in process.inodes and one.kind == "tcp"]
            strangers += [f"{one} (process {process.pid})" for one in bound if one.port not in ports]
    if strangers:
        seen = f"another memcached listens, which no upstream is: {', '.join(strangers)}"
        return [note("this machine", seen, "if nobody needs it, stop it; else protect it as well")]
    if os.geteuid() != 0:
        return [
            note("this machine", "only processes of this user were looked at", "run this as root to see all of them")
        ]
    return [ok("this machine", "no memcached listens on a port that is no upstream's")]
