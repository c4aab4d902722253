"""What happens to somebody who has not logged in, or does not come from a listed address. Nothing is stored, and no
password is tried."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import trio

from mcproxy.config.addresses import UnixAddress
from mcproxy.doctor.asking import Answer, Outcome, ask, probing_context
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.doors import Door, doors, other_doors
from mcproxy.doctor.gets import BINARY_GET, TEXT_GET
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.wire import binary_operations as operations

_KNOWN_BY_NATURE = frozenset({"none", "address", "peer"})
"""Ways in without a byte: there is no unauthenticated command to refuse."""
_AT_ONCE = 8
"""Connections: the proxy has 64 places before login for one address."""


class _Probe(NamedTuple):
    protocol: str
    what: str
    question: bytes


_TEXT = _Probe("text", "a get", TEXT_GET)
_FOREIGN = _Probe("text", "a request of HTTP", b"GET / HTTP/1.1\r\nHost: mcproxy-doctor\r\n\r\n")
_BINARY = _Probe("binary", "a get", BINARY_GET)


async def unauthenticated(deployment: Deployment) -> list[Result]:
    """A command without a login on every address of every listener, in both protocols, and one that is no command."""
    results: list[Result] = []
    places = trio.CapacityLimiter(_AT_ONCE)

    async def look(door: Door) -> None:
        async with places:
            results.extend(await _look(door))

    async with trio.open_nursery() as nursery:
        for door in doors(deployment):
            if door.open_to_us:
                nursery.start_soon(look, door)
            else:
                seen = f"{door.address} admits nobody from {door.comes_from}, so no command was tried"
                results.append(note(door.subject, seen, "run this from an address of allow, or see --from-address"))
    found = {door.name for door in doors(deployment)}
    for name in deployment.settings.listeners.keys() - found:
        results.append(
            could_not_tell(f"listener {name}", "which port it has: the kernel chose it", "is mcproxy running?")
        )
    return sorted(results, key=lambda result: result.subject)


async def _look(door: Door) -> list[Result]:
    known = _KNOWN_BY_NATURE.intersection(door.listener.authentication)
    if known:
        return [
            note(door.subject, f"{door.address} knows clients by {', '.join(sorted(known))}: no login to go without")
        ]
    results = []
    for probe in (_TEXT, _BINARY, _FOREIGN):
        if probe.protocol in door.listener.protocols:
            tls = probing_context() if door.listener.tls is not None else None
            answer = await ask(
                door.address,
                probe.question,
                tls=tls,
                source=door.source,
                preamble=door.preamble,
                enough=(lambda data: len(data) >= operations.HEADER_LENGTH)
                if probe is _BINARY
                else (lambda data: b"\n" in data),
            )
            results.append(_judged(door, probe, answer))
    return results


def _judged(door: Door, probe: _Probe, answer: Answer) -> Result:
    what = f"{door.address}: {probe.what} without a login, in {probe.protocol}"
    if answer.outcome is Outcome.UNREACHABLE:
        return could_not_tell(door.subject, f"{what}: {answer.detail}", "is mcproxy running?")
    if answer.outcome is Outcome.SILENT:
        return could_not_tell(door.subject, f"{what}: {answer.detail}")
    if answer.outcome in (Outcome.CLOSED, Outcome.TLS_FAILED):
        return ok(
            door.subject,
            f"{what}: refused ({'the connection is closed' if answer.outcome is Outcome.CLOSED else answer.detail})",
        )
    if _is_refusal(probe, answer.data):
        return ok(door.subject, f"{what}: refused ({answer.line})" if probe.protocol == "text" else f"{what}: refused")
    said = repr(answer.line) if probe.protocol == "text" else "the cache's own answer"
    seen = f"{what}: answered with {said}"
    return finding(door.subject, seen, "see what listens there (ss -ltnp), and restart mcproxy")


def _is_refusal(probe: _Probe, data: bytes) -> bool:
    if probe.protocol == "text":
        return data.startswith((b"ERROR", b"CLIENT_ERROR"))
    if len(data) < operations.HEADER_LENGTH:
        return data.startswith((b"ERROR", b"CLIENT_ERROR"))
    magic, _, _, _, _, status, _, _, _ = operations.HEADER.unpack_from(data)
    return bool(magic == operations.RESPONSE_MAGIC and status == operations.AUTHENTICATION_ERROR)


async def unlisted(deployment: Deployment) -> list[Result]:
    """Whether an address that is not listed is refused, as far as that can be tried from this machine."""
    results: list[Result] = []
    places = trio.CapacityLimiter(_AT_ONCE)

    async def knock(door: Door) -> None:
        async with places:
            results.append(await _knock(door))

    tried = [
        door for door in (*doors(deployment), *other_doors(deployment)) if not isinstance(door.address, UnixAddress)
    ]
    async with trio.open_nursery() as nursery:
        for door in tried:
            if door.source is not None or not door.open_to_us:
                nursery.start_soon(partial(knock, door))
    for name in {door.name for door in tried} - {result.subject.removeprefix("listener ") for result in results}:
        seen = "that an unlisted address is refused was not tried: all of this machine's that were tried are listed"
        results.append(note(f"listener {name}", seen, "try it from another machine, or give --from-address ADDRESS"))
    return sorted(results, key=lambda result: result.subject) or [ok("listeners", "none is on the network")]


async def _knock(door: Door) -> Result:
    """With a question in clear text: a listener with TLS refuses it as well, so that one gets a handshake."""
    tls = probing_context() if door.listener.tls is not None else None
    answer = await ask(door.address, b"version\r\n", tls=tls, source=door.source, preamble=door.preamble)
    let_in = answer.certificate is not None or answer.outcome is Outcome.ANSWERED
    what = f"{door.address}, from {door.comes_from}"
    if answer.outcome is Outcome.UNREACHABLE and not door.open_to_us and not let_in:
        return could_not_tell(
            door.subject, f"{what}: {answer.detail}", "is mcproxy running, and is that address this machine's?"
        )
    if door.open_to_us:
        if let_in or (answer.outcome is Outcome.TLS_FAILED and "CERTIFICATE" in answer.detail.upper()):
            return ok(door.subject, f"{what}: let in, as it is listed")
        return could_not_tell(door.subject, f"{what}: not let in ({answer.detail}), though it is listed")
    if let_in:
        return finding(
            door.subject, f"{what}: let in, though it is not in allow", "reload mcproxy, or see what listens there"
        )
    return ok(door.subject, f"{what}: refused, as it is not in allow")
