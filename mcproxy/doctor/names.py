"""The addresses that upstreams' hosts have. Each name is asked for once, all at once, and a name server that is silent
holds up nobody for long."""

from __future__ import annotations

import socket

import trio

from mcproxy.config.addresses import TcpAddress, parse_ip
from mcproxy.config.schema import Settings

PATIENCE = 2.0
"""Seconds for all names."""

Hosts = dict[str, tuple[str, ...]]
"""Addresses by host, none for a name that could not be resolved."""


async def resolved(settings: Settings) -> Hosts:
    """Of every upstream that isn't reached by a unix socket."""
    addresses = [one.address for one in settings.all_upstreams.values() if isinstance(one.address, TcpAddress)]
    hosts: Hosts = {one.host: (one.host,) if parse_ip(one.host) is not None else () for one in addresses}

    async def resolve(host: str) -> None:
        try:
            found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        hosts[host] = tuple(dict.fromkeys(str(target[0]) for _, _, _, _, target in found))

    with trio.move_on_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for host in [host for host, known in hosts.items() if not known]:
                nursery.start_soon(resolve, host)
    return hosts
