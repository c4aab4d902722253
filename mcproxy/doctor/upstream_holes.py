"""What of memcached itself is a way in: its version, and the commands that print what is stored."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.known_holes import HOLES, Hole, Release
from mcproxy.doctor.memcached_process import NoProgram, program_run
from mcproxy.doctor.package_fixes import Package, Program, package_of
from mcproxy.doctor.upstream_facts import UpstreamFacts, engine_of
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.doctor.who_may import who_may

_RELEASE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6}){1,3})(?![0-9])")
_MOST_NAMED = 6


def version(deployment: Deployment) -> list[Result]:
    """Known holes of the memcached that runs, those aside that its distribution has mended."""
    results: list[Result] = []
    for name, upstream in deployment.settings.all_upstreams.items():
        subject, facts = f"upstream {name}", deployment.upstreams[name]
        if (engine := engine_of(upstream, facts)) != "memcached":
            results.append(note(subject, f"its engine is {engine}", "run this where its memcached is"))
            continue
        found = _RELEASE.match(facts.version)
        if found is None:
            why = facts.problem or "it has no version among its statistics"
            results.append(could_not_tell(subject, f"which memcached it is: {why}"))
            continue
        here = deployment.is_here(upstream)
        program = program_run(facts, is_root=os.geteuid() == 0) if here else NoProgram.ELSEWHERE
        results += _judged(subject, facts, found[1], program)
    return results


def _judged(subject: str, facts: UpstreamFacts, release: str, program: Program | NoProgram) -> Iterator[Result]:
    if isinstance(program, Program) and program.replaced:
        seen = f"memcached runs a program that has been replaced since it started ({program.path})"
        yield finding(subject, seen, "restart memcached", "an update mends what runs only once it is restarted")
    package = _package(program, release)
    numbers: Release = tuple(int(part) for part in release.split("."))
    holes = [hole for hole in HOLES if hole.affects(numbers) and hole.is_open(facts.settings)]
    left = [hole for hole in holes if package is None or hole.name not in package.fixes]
    told = f"memcached {release}" if package is None else f"memcached {package.version}"
    if left and program is NoProgram.CLOSED:
        seen = (
            f"{told} has {len(left)} known holes, unless its package has mended them: its process can't be looked into"
        )
        yield could_not_tell(subject, seen, "run this as root")
        return
    open_ones = [hole for hole in left if not hole.shielded]
    if open_ones:
        yield finding(subject, f"{told}: {_names(open_ones)}", f"update memcached; {open_ones[-1].source}")
    shielded = [hole for hole in left if hole.shielded]
    if shielded:
        what = "; ".join(dict.fromkeys(hole.shielded for hole in shielded))
        remedy = f"update memcached when you can; {shielded[-1].source}"
        seen = f"{told} has {len(shielded)} known holes that nobody reaches through mcproxy: {_names(shielded)}"
        yield note(subject, seen, remedy, f"{what}; whoever gets around mcproxy reaches them")
    mended = len(holes) - len(left)
    if not left:
        yield ok(subject, f"{told}: no known hole" + (f" ({mended} mended by its package)" if mended else ""))


def _package(program: Program | NoProgram, release: str) -> Package | None:
    if isinstance(program, NoProgram) or program.replaced:
        return None
    try:
        return package_of(program, release)
    except OSError:
        return None


def _names(holes: list[Hole]) -> str:
    named = [f"{hole.name} ({hole.what})" for hole in holes[-_MOST_NAMED:]]
    return ", ".join(named) + (f" and {len(holes) - _MOST_NAMED} older" if len(holes) > _MOST_NAMED else "")


def dump_commands(deployment: Deployment) -> list[Result]:
    """Who may have all keys listed, through the proxy, and whether memcached would do it."""
    settings = deployment.settings
    inspecting = who_may(settings, "inspect")
    results: list[Result] = []
    for name in settings.all_upstreams:
        subject, enabled = f"upstream {name}", deployment.upstreams[name].settings.get("dump_enabled")
        if inspecting and enabled != "no":
            seen = (
                f"{', '.join(inspecting)} may list every key through the proxy (class inspect), and memcached does it"
            )
            results.append(finding(subject, seen, "take inspect out of their roles, or start memcached with -X"))
        elif enabled == "no":
            results.append(ok(subject, "memcached lists no keys (-X)"))
        elif enabled is None:
            why = deployment.upstreams[name].problem or "it does not say whether it was started with -X"
            results.append(note(subject, f"nobody may list keys through the proxy; {why}"))
        else:
            seen = "memcached lists keys for whoever reaches it; through the proxy nobody may ask (class inspect)"
            results.append(note(subject, seen, "start memcached with -X, if you never list keys"))
    return results
