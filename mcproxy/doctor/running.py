"""The process that runs the deployment, as far as this user may look into it."""

from __future__ import annotations

import os
from pathlib import Path

from mcproxy.config.addresses import UnixAddress
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.sockets_here import Process


def running_process(deployment: Deployment) -> Process | None:
    """Whoever listens on the first of the proxy's addresses at which somebody does, the admin port's before others."""
    settings = deployment.settings
    listeners = [address for listener in settings.listeners.values() for address in listener.bind]
    for address in (settings.admin.bind, *listeners):
        if isinstance(address, UnixAddress) or address.port:
            holder = deployment.holder(address)
            if holder is not None:
                return holder
    return None


def running_user(deployment: Deployment) -> int | None:
    """Its effective user id; None if it can't be seen."""
    process = running_process(deployment)
    if process is None:
        return None
    try:
        return int(status_of(process.pid)["Uid"].split()[1])
    except (OSError, KeyError, ValueError, IndexError):
        return None


def trusted_users(deployment: Deployment) -> frozenset[int]:
    """root, the proxy's user, and whoever runs this, since he has to be one of them."""
    running = running_user(deployment)
    return frozenset({0, os.geteuid(), *([running] if running is not None else [])})


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status. Raises OSError."""
    rows = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: value.strip() for key, _, value in rows}


def limits_of(pid: int) -> dict[str, tuple[str, str]]:
    """/proc/PID/limits: soft and hard limit by name. Raises OSError."""
    found = {}
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]:
        name, (soft, hard) = line[:26].strip(), line[26:].split()[:2]
        found[name] = (soft, hard)
    return found
