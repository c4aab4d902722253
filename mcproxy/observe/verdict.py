"""Is it well? One sentence for the person on call, and what to look at, out of what /status.json holds.

The status page and `mcproxy top` say the same, since both show this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

Level = Literal["good", "warning", "critical"]

EXPIRES_SOON = 30 * 86400.0
EXPIRES_VERY_SOON = 7 * 86400.0
"""Seconds before a certificate's end."""
NEARLY_FULL = 0.8
FULL = 0.95
"""Parts of a limit."""
BUSY = 0.9
"""Part of its time that the relay works: from here on requests wait for each other."""
MOST_REASONS = 12
"""More are only counted: what is at fault is often the same for all of them."""

Status = Mapping[str, Any]


class Reason(NamedTuple):
    level: Level
    words: str


def verdict(status: Status) -> dict[str, Any]:
    """`{"level", "sentence", "detail", "reasons": [{"level", "words"}]}`, the most serious reasons first.

    `status` is /status.json without its verdict. Raises KeyError or TypeError for anything else.
    """
    reasons = sorted(_reasons(status), key=lambda reason: reason.level != "critical")
    level: Level = "good"
    if status["ready"] is not None and not status["draining"]:
        requests = "all requests" if _some_serve(status["workers"]) else "requests"
        level, sentence = "critical", f"It can't serve {requests}: {status['ready']}."
    elif any(reason.level == "critical" for reason in reasons):
        level, sentence = "critical", "It serves requests, but something is seriously wrong."
    elif status["draining"]:
        level, sentence = "warning", "It is draining: sessions end, and then it stops."
    elif reasons:
        level, sentence = "warning", f"It serves requests, but {_things(len(reasons))} attention."
    else:
        sentence = "All is well."
    if len(reasons) > MOST_REASONS:
        left_out = f"and {len(reasons) - MOST_REASONS + 1} more, shown further down"
        reasons = [*reasons[: MOST_REASONS - 1], Reason("warning", left_out)]
    return {
        "level": level,
        "sentence": sentence,
        "detail": _detail(status),
        "reasons": [reason._asdict() for reason in reasons],
    }


def _detail(status: Status) -> str:
    sessions = sum(listener["sessions"] for listener in status["listeners"])
    links = sum(pool["links"] for upstream in status["upstreams"] for pool in upstream["pools"])
    return (
        f"{_many(sessions, 'session')} on {_many(len(status['listeners']), 'listener')}, "
        f"{_many(links, 'link')} to {_many(len(status['upstreams']), 'upstream')}."
    )


def _reasons(status: Status) -> Iterator[Reason]:
    yield from _about_upstreams(status)
    yield from _about_workers(status["workers"])
    yield from _about_certificates(status)
    yield from _about_saturation(status["saturation"])
    reload = status["last_reload"]
    if reload is not None and reload["result"] != "success":
        problem = reload["problem"] or "the log says why"
        yield Reason("warning", f"The last reload failed, and what was read before serves on: {problem}")


def _about_upstreams(status: Status) -> Iterator[Reason]:
    for upstream in status["upstreams"]:
        for pool in upstream["pools"]:
            where = f"Upstream {upstream['name']}, {pool['protocol']} protocol"
            links, wanted, outdated = pool["links"], pool["wanted"], pool["outdated"]
            if pool["obstacle"] is not None and links < wanted:
                yield Reason(
                    "warning" if links else "critical",
                    f"{where}: {links or 'none'} of {_many(wanted, 'link')}: {pool['obstacle']}",
                )
            if outdated:
                words = "serves on by settings" if outdated == 1 else "serve on by settings"
                yield Reason("warning", f"{where}: {_many(outdated, 'link')} {words} that a reload has replaced")


def _some_serve(workers: Mapping[str, int]) -> bool:
    """And others don't."""
    return 0 < workers["alive"] - workers["silent"] < workers["configured"]


def _about_workers(workers: Mapping[str, int]) -> Iterator[Reason]:
    """One of several is as bad as all: its part of the new connections waits for it, and /readyz says no."""
    missing = workers["configured"] - workers["alive"]
    if missing > 0:
        are = "is" if missing == 1 else "are"
        yield Reason("critical", f"{missing} of {_many(workers['configured'], 'worker')} {are} not running")
    if workers["silent"]:
        yield Reason("critical", f"{_many(workers['silent'], 'worker')} did not answer; their figures are old")


def _about_certificates(status: Status) -> Iterator[Reason]:
    holders = [(f"Listener {listener['name']}", listener) for listener in status["listeners"]]
    holders += [(f"Upstream {upstream['name']}", upstream) for upstream in status["upstreams"]]
    for name, holder in [*holders, ("Admin port", status["admin"])]:
        for certificate in holder["certificates"]:
            left = certificate["expires"] - status["now"]
            what = f"{name}: {certificate['key']}"
            if left < 0:
                yield Reason("critical", f"{what} has expired")
            elif left < EXPIRES_SOON:
                days = int(left // 86400)
                level: Level = "critical" if left < EXPIRES_VERY_SOON else "warning"
                yield Reason(level, f"{what} expires " + (f"in {_many(days, 'day')}" if days else "within a day"))


def _about_saturation(saturation: Mapping[str, Any]) -> Iterator[Reason]:
    for key, what in (
        ("connections", "Connections"),
        ("buffered_bytes", "Buffers"),
        ("descriptors", "File descriptors"),
    ):
        used, limit = saturation[key], saturation[f"{key}_limit"]
        if used is not None and limit and used >= NEARLY_FULL * limit:
            level: Level = "critical" if used >= FULL * limit else "warning"
            yield Reason(level, f"{what}: {used / limit:.0%} of the limit is used")
    busy = saturation["busy"]
    if busy is not None and busy >= BUSY:
        yield Reason("warning", f"The processor is busy {busy:.0%} of the time: requests wait for each other")


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _things(number: int) -> str:
    return "one thing needs" if number == 1 else f"{number} things need"
