"""Does memcached answer over UDP? Whoever forges a datagram's source address makes it flood somebody else."""

from __future__ import annotations

from functools import partial

import trio

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.doctor.asking import ask_datagram
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.upstream_facts import engine_of
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok

PATIENCE = 0.7
"""Seconds for an answer. That nobody is there is told at once on this machine."""
DEFAULT_PORT = 11211
_DATAGRAM = b"\x00\x01\x00\x00\x00\x01\x00\x00version\r\n"  # protocol.txt: request 1, datagram 0 of 1
_MOST_ADDRESSES = 64
_SHOWN = 20


async def over_udp(deployment: Deployment) -> list[Result]:
    """One `version` datagram to every address of this machine, and what upstream's own settings say."""
    results = []
    for name, upstream in deployment.settings.all_upstreams.items():
        subject, facts = f"upstream {name}", deployment.upstreams[name]
        told, port = facts.settings.get("udpport", ""), facts.udp_port
        ports = {port} if port else set()
        here = deployment.is_here(upstream)
        hosts = deployment.addresses[:_MOST_ADDRESSES] if here else _hosts(deployment, upstream.address)
        ports.add(upstream.address.port if isinstance(upstream.address, TcpAddress) else DEFAULT_PORT)
        answered = await _datagrams(hosts, sorted(ports))
        if answered:
            results.append(finding(subject, f"UDP is on: {', '.join(answered)}", "start memcached with -U 0"))
        elif told and port != 0:
            seen = f"UDP is on (port {told[:_SHOWN]} in its settings), though no datagram was answered from here"
            results.append(finding(subject, seen, "start memcached with -U 0"))
        elif (engine := engine_of(upstream, facts)) != "memcached":
            results.append(note(subject, f"its engine is {engine}, and no datagram was answered"))
        elif port == 0:
            results.append(ok(subject, "UDP is off in its settings, and no datagram was answered"))
        elif hosts:
            seen = f"no datagram was answered, and it does not tell its settings: {facts.why_silent}"
            results.append(could_not_tell(subject, seen))
        else:
            results.append(could_not_tell(subject, f"it does not tell its settings: {facts.why_silent}"))
    return results


def _hosts(deployment: Deployment, address: TcpAddress | UnixAddress) -> tuple[str, ...]:
    return deployment.hosts.get(address.host, ())[:_MOST_ADDRESSES] if isinstance(address, TcpAddress) else ()


async def _datagrams(hosts: tuple[str, ...], ports: list[int]) -> list[str]:
    answered: list[str] = []

    async def send_one(host: str, port: int) -> None:
        said = await ask_datagram(host, port, _DATAGRAM, PATIENCE)
        if said is not None and b"VERSION" in said:
            answered.append(str(TcpAddress(host, port)))

    async with trio.open_nursery() as nursery:
        for host in hosts:
            for port in ports:
                nursery.start_soon(partial(send_one, host, port))
    return sorted(answered)
