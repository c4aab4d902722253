"""What a status document needs of each process that serves clients, beside its metrics. Plain data, for JSON."""

from collections.abc import Iterable
from typing import Any, Final

from mcproxy.observe import log
from mcproxy.observe.recent import Refusal, together
from mcproxy.server.state import PoolName, ServerState

Part = dict[str, Any]
"""`obstacles`: [[upstream, protocol, why there is no link, or not all of them], ...]; `refusals` as in recent.py."""
NO_PART: Final[Part] = {"obstacles": [], "refusals": []}
"""Of a process that hasn't told any yet."""


def part_of(state: ServerState) -> Part:
    """Of this process."""
    obstacles = []
    for name, pool in state.pools.items():
        words = None if pool.obstacle is None else pool.obstacle.words
        if words is None and not pool.links:
            words = "not opened yet"
        if words is not None:
            obstacles.append([name.upstream, name.protocol, words])
    return {"obstacles": obstacles, "refusals": log.recent.newest()}


def own_part() -> Part:
    """Of a process that serves no client, the workers' parent."""
    return NO_PART | {"refusals": log.recent.newest()}


def obstacles_of(parts: Iterable[Part]) -> dict[PoolName, str]:
    """By pool, the first process's."""
    found: dict[PoolName, str] = {}
    for part in parts:
        for upstream, protocol, words in part["obstacles"]:
            found.setdefault(PoolName(upstream, protocol), words)
    return found


def refusals_of(parts: Iterable[Part]) -> list[Refusal]:
    """Of all, the newest first."""
    return together(part["refusals"] for part in parts)
