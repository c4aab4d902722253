"""Every examination: its name, why it is made, and how. docs/doctor.md has the same list, which a test compares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from mcproxy.doctor import (
    admin_port,
    breadth,
    certificates,
    file_modes,
    logins,
    processes,
    served,
    strangers,
    upstream_holes,
    upstream_reach,
    upstream_sockets,
    upstream_udp,
)
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.verdicts import Result

Examine = Callable[[Deployment], Awaitable[list[Result]]]


@dataclass(frozen=True, slots=True)
class Examination:
    """`name` is what --json calls it and stays as it is; `reason` is why a finding of it matters."""

    name: str
    reason: str
    examine: Examine


def _in_thread(function: Callable[[Deployment], list[Result]]) -> Examine:
    """For what reads files, which may hang."""

    async def examine(deployment: Deployment) -> list[Result]:
        return await trio.to_thread.run_sync(function, deployment, abandon_on_cancel=True)

    return examine


_AROUND = "whoever reaches memcached around mcproxy reads and changes everything, without a login"

EXAMINATIONS = (
    Examination("around", _AROUND, upstream_reach.around),
    Examination(
        "udp", "over UDP there is no login, and one forged datagram calls a flood of answers", upstream_udp.over_udp
    ),
    Examination("upstream-socket", _AROUND, _in_thread(upstream_sockets.through_socket)),
    Examination(
        "other-memcacheds",
        "a cache that nobody thinks of is one that nobody guards",
        _in_thread(upstream_sockets.other_memcacheds),
    ),
    Examination("dump-commands", "who lists all keys knows what to ask for", _in_thread(upstream_holes.dump_commands)),
    Examination("version", "a known hole is one that somebody has a program for", _in_thread(upstream_holes.version)),
    Examination(
        "files",
        "who changes these files says who may do what; who reads the secret ones can be anybody",
        _in_thread(file_modes.files),
    ),
    Examination(
        "sockets", "who opens a socket is a client, and who replaces it is the server", _in_thread(file_modes.sockets)
    ),
    Examination("expiry", "when it ends, clients can't connect any more", _in_thread(certificates.ends)),
    Examination(
        "certificates", "a weak or incomplete certificate is forged, or refused", _in_thread(certificates.strength)
    ),
    Examination("tls", "what listens must be as safe as what is configured", served.tls),
    Examination("clear-passwords", "whoever sees a password on its way can log in with it", served.clear_passwords),
    Examination(
        "allowlist", "an address that need not be admitted is one to attack from", _in_thread(breadth.allowlists)
    ),
    Examination("ways-in", "who is not asked anything can't be told from others", _in_thread(breadth.ways_in)),
    Examination("passwords", "a password is worth what it takes to find it out", _in_thread(breadth.pass_words)),
    Examination("grants", "what somebody may do, whoever has his password may do", _in_thread(breadth.grants)),
    Examination("unauthenticated", "without a login nothing may be answered", strangers.unauthenticated),
    Examination("unlisted", "an allowlist is worth something only if it refuses", strangers.unlisted),
    Examination("login", "a login must work for whom it should, and for nobody else", logins.logins),
    Examination("admin-port", "it tells users' names, addresses and what they do", admin_port.reach),
    Examination("health-port", "it is open to all, so it must tell nothing", admin_port.health),
    Examination("process", "what the proxy may do, a hole in it may do", _in_thread(processes.process)),
    Examination(
        "same-as-disk", "what was mended on disk is not mended until it runs", _in_thread(processes.same_as_disk)
    ),
)
