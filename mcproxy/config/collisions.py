"""Addresses that two parts of a configuration would use at once."""

from __future__ import annotations

import os
from collections.abc import Iterator

from mcproxy.config.addresses import TcpAddress, UnixAddress, overlap
from mcproxy.config.problems import Finding, Place, dotted
from mcproxy.config.schema import Settings
from mcproxy.config.upstream_rules import upstream_place

_THIS_MACHINE = {"localhost": ("127.0.0.1", "::1"), "0.0.0.0": ("127.0.0.1",), "::": ("::1",)}  # noqa: S104
"""To connect to."""


def address_rules(settings: Settings) -> Iterator[Finding]:
    """Every address is listened on once, and never is one that an upstream is reached at: that would be a loop.

    Several upstreams may have one address, to log in there as different users.
    """
    upstreams = [
        ((*upstream_place(settings, name), "address"), upstream.address)
        for name, upstream in settings.all_upstreams.items()
    ]
    bound = _bound(settings)
    for index, (place, address) in enumerate(bound):
        # All addresses of this machine include an upstream's only if that is on this machine.
        loops = [
            (by, other)
            for by, named in upstreams
            for other in _meant(named)
            if address == other or (other.is_loopback and overlap(address, other))
        ]
        twice = [(by, other) for by, other in bound[:index] if overlap(address, other)]
        for by, other in (loops or twice)[:1]:
            yield _collision(place, address, by, other)


def socket_problems(settings: Settings) -> Iterator[Finding]:
    """As address_rules, of unix sockets that have one place under two names. Looks at directories and symbolic links.

    To bind makes a file in a directory, so the path's last part is taken as it is; to connect follows that too.
    """
    used: dict[str, tuple[Place, UnixAddress]] = {}
    for name, upstream in settings.all_upstreams.items():
        if isinstance(upstream.address, UnixAddress):
            place = (*upstream_place(settings, name), "address")
            used.setdefault(os.path.realpath(upstream.address.path), (place, upstream.address))
    for place, address in _bound(settings):
        if isinstance(address, UnixAddress):
            directory, file = os.path.split(address.path)
            by, other = used.setdefault(f"{os.path.realpath(directory)}/{file}", (place, address))
            if address != other:
                used_by = dotted(tuple(part for part in by if isinstance(part, str)))
                yield Finding(place, f"{address} is the same socket as {other} of {used_by}", about=(by,))


def _bound(settings: Settings) -> list[tuple[Place, TcpAddress | UnixAddress]]:
    """What is listened on, and where that is said."""
    bound: list[tuple[Place, TcpAddress | UnixAddress]] = [
        (("listeners", name, "bind", index), address)
        for name, listener in settings.listeners.items()
        for index, address in enumerate(listener.bind)
    ]
    bound.append((("admin", "bind"), settings.admin.bind))
    if settings.admin.health_bind is not None:
        bound.append((("admin", "health_bind"), settings.admin.health_bind))
    return bound


def _meant(address: TcpAddress | UnixAddress) -> list[TcpAddress | UnixAddress]:
    """The address, or those that its name stands for whatever a resolver says (RFC 6761, 6.3).

    Whoever connects to the address that means all of them to a listener is connected to this machine.
    """
    if isinstance(address, TcpAddress):
        hosts = _THIS_MACHINE.get(address.host.lower(), (address.host,))
        return [TcpAddress(host, address.port) for host in hosts]
    return [address]


def _collision(place: Place, address: TcpAddress | UnixAddress, by: Place, other: TcpAddress | UnixAddress) -> Finding:
    used_by = dotted(tuple(part for part in by if isinstance(part, str)))
    if address == other:
        return Finding(place, f"{address} is already used by {used_by}", about=(by,))
    if "[::]" in f"{address} {other}":
        why = "[::] is every address, IPv4 too; take one out, or choose another port"
    else:
        why = "0.0.0.0 is every IPv4 address; take one out, or choose another port"
    return Finding(place, f"{address} overlaps with {other} of {used_by}: {why}", about=(by,))
