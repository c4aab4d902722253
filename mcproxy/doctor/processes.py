"""The running proxy: as whom it runs, what it may open, and whether it runs by what is on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mcproxy.config.addresses import TcpAddress
from mcproxy.config.fingerprints import CONFIGURATION, compared_files, fingerprints
from mcproxy.config.machine import RESERVED_DESCRIPTORS
from mcproxy.doctor.deployment import Deployment, status_remedy
from mcproxy.doctor.path_modes import user_name
from mcproxy.doctor.running import limits_of, running_process, running_user, status_of
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok

_SUBJECT = "the running proxy"
_READ_WITHIN = 30.0
"""Seconds that a proxy with `watch_files` may take to read a change; while more changes come it waits for ten."""


def process(deployment: Deployment) -> list[Result]:
    """Its user, its limits, and who can read its memory."""
    running = running_process(deployment)
    if running is None:
        seen = "no process that may be looked into listens on the configured addresses"
        return [could_not_tell(_SUBJECT, seen, "see that it runs, and run this as root or as its user")]
    try:
        status, limits = status_of(running.pid), limits_of(running.pid)
        user = int(status["Uid"].split()[1])
        capabilities = int(status.get("CapEff", "0"), 16)
    except (OSError, KeyError, ValueError, IndexError):
        return [could_not_tell(_SUBJECT, f"process {running.pid} can't be looked into", "run this as root")]
    return [
        _user(running.pid, user, capabilities, status.get("NoNewPrivs") == "1"),
        *_descriptors(limits, deployment),
        *_memory(limits),
    ]


def _user(pid: int, user: int, capabilities: int, no_new_privileges: bool) -> Result:
    if user == 0:
        remedy = "run it as a user of its own, as deploy/systemd does; it needs no right of root's"
        return finding(
            _SUBJECT, f"process {pid} runs as root", remedy, "a hole in it would be a hole in all of the machine"
        )
    if capabilities & ~(1 << 10):  # CAP_NET_BIND_SERVICE, for ports below 1024
        seen = f"process {pid} runs as {user_name(user)}, with capabilities {capabilities:#x}"
        return note(_SUBJECT, seen, "it needs none; CapabilityBoundingSet= takes them away")
    more = "" if no_new_privileges else "; it could gain rights by running others' programs (no NoNewPrivileges=)"
    return ok(_SUBJECT, f"process {pid} runs as {user_name(user)}{more}")


def _descriptors(limits: dict[str, tuple[str, str]], deployment: Deployment) -> Iterator[Result]:
    soft = limits.get("Max open files", ("", ""))[0]
    needed = deployment.settings.limits.connections + RESERVED_DESCRIPTORS
    if soft.isdecimal() and int(soft) < needed:
        seen = f"{soft} files may be open, and {deployment.settings.limits.connections} connections need {needed}"
        yield finding(_SUBJECT, seen, "raise it (LimitNOFILE= of systemd), or write fewer limits.connections")
    else:
        yield ok(_SUBJECT, f"{soft} files may be open, of which {needed} are needed")


def _memory(limits: dict[str, tuple[str, str]]) -> Iterator[Result]:
    if limits.get("Max core file size", ("0", ""))[0] != "0":
        seen = "a crash would write its memory to disk, with passwords and values in it"
        yield note(_SUBJECT, seen, "LimitCORE=0 of systemd, or ulimit -c 0")
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        return
    if scope == "0":
        seen = "processes of its own user can read its memory (kernel.yama.ptrace_scope is 0)"
        yield note(_SUBJECT, seen, "have nothing else run as its user, or: sysctl kernel.yama.ptrace_scope=1")


def same_as_disk(deployment: Deployment) -> list[Result]:
    """Whether what runs is what is on disk, by /status.json."""
    results = [*_refusals(deployment)]
    status = deployment.status
    if status is None:
        remedy = status_remedy(deployment)
        return [*results, could_not_tell(_SUBJECT, f"what it runs by: {deployment.silence}", remedy)]
    last = status.get("last_reload")
    if isinstance(last, dict) and last.get("result") == "failure":
        seen = f"the last reload failed, and it runs on by what was before: {last.get('problem') or 'see its log'}"
        results.append(finding(_SUBJECT, seen, 'run "mcproxy check", mend what it tells, and reload (SIGHUP)'))
    results += _differences(deployment, status)
    results += _changed_since(deployment, status)
    if (ready := status.get("ready")) is not None:
        results.append(finding(_SUBJECT, f"it is not ready: {ready}", "see docs/troubleshoot.md"))
    return results or [ok(_SUBJECT, "it runs by the configuration on disk, and by the files that this names")]


def _refusals(deployment: Deployment) -> Iterator[Result]:
    subject, ours = "the configuration on disk", running_user(deployment) == os.geteuid()
    for problem, unreadable in deployment.refusals:
        if unreadable and not ours:
            yield could_not_tell(subject, problem, "run this as root or as its user, who may be allowed to read it")
        else:
            yield finding(subject, problem, "mend it: the next start or reload refuses it")


def _differences(deployment: Deployment, status: dict[str, Any]) -> Iterator[Result]:
    remedy = "reload (SIGHUP), or restart for what a reload leaves (docs/configuration.md)"
    runs = {str(one.get("name")): one for one in status.get("listeners", []) if isinstance(one, dict)}
    for name in sorted(runs.keys() ^ deployment.settings.listeners.keys()):
        which = "is not in the configuration" if name in runs else "is in the configuration, and does not run"
        yield finding(f"listener {name}", which, remedy)
    for name, listener in deployment.settings.listeners.items():
        running = runs.get(name)
        if running is None:
            continue
        for what, has, should in (
            ("allow", running.get("allow"), [str(network) for network in listener.allow]),
            ("authentication", running.get("authentication"), listener.authentication),
        ):
            if isinstance(has, list) and sorted(map(str, has)) != sorted(should):
                seen = f"runs with {what} {_listed(map(str, has))}; on disk it is {_listed(should)}"
                yield finding(f"listener {name}", seen, remedy)
        fixed = {str(one) for one in listener.bind if not (isinstance(one, TcpAddress) and one.port == 0)}
        bound = running.get("addresses")
        if isinstance(bound, list) and (missing := fixed - set(map(str, bound))):
            yield finding(f"listener {name}", f"does not listen on {', '.join(sorted(missing))}", remedy)
        encryption = running.get("encryption")
        if isinstance(encryption, str) and encryption.startswith("no TLS") != (listener.tls is None):
            yield finding(f"listener {name}", f"runs with {encryption}, unlike the configuration", remedy)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "nobody"


def _changed_since(deployment: Deployment, status: dict[str, Any]) -> Iterator[Result]:
    """Which files are no longer those that were read, however old they say that they are."""
    rows = status.get("files")
    if not isinstance(rows, list):
        seen = "it does not tell which files it has read: it is of another release than this mcproxy"
        yield could_not_tell(_SUBJECT, seen, "restart it")
        return
    read = {str(row.get("key")): row for row in rows if isinstance(row, dict)}
    here = fingerprints(deployment.material)
    configuration = deployment.asked.config
    if read.get(CONFIGURATION, {}).get("fingerprint") != here[CONFIGURATION]:
        if not _is_read_soon(deployment, configuration):
            seen = f"it runs by another configuration than {configuration} holds now"
            yield finding(_SUBJECT, seen, "reload it (SIGHUP), or name the file that it runs by with --config")
        return  # files have other names in it, perhaps
    for key, path in compared_files(deployment.material).items():
        row = read.get(key, {})
        unchanged = row.get("unchanged")  # of secrets the proxy itself tells
        if "fingerprint" in row and path in deployment.material.files:
            unchanged = row["fingerprint"] == here.get(key)
        if unchanged is None:
            seen = f"whether {path} ({key}) is still what it has read"
            yield could_not_tell(_SUBJECT, seen, "see that it can be read, and run this again as root")
        elif unchanged is not True and not _is_read_soon(deployment, path):
            seen = f"{path} ({key}) has been changed or replaced since it was read"
            yield finding(_SUBJECT, seen, "reload it (SIGHUP)")


def _is_read_soon(deployment: Deployment, path: Path) -> bool:
    """Whether it was put there just now, and the proxy looks after changes itself."""
    if not deployment.settings.watch_files:
        return False
    try:
        status = path.stat()
    except OSError:
        return False
    return time.time() - max(status.st_mtime, status.st_ctime) < _READ_WITHIN
