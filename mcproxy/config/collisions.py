"""Addresses that two parts of a configuration would use at once."""

from __future__ import annotations

from collections.abc import Iterator

from mcproxy.config.addresses import TcpAddress, UnixAddress, overlap
from mcproxy.config.problems import Finding, Place, dotted
from mcproxy.config.schema import Settings
from mcproxy.config.upstream_rules import upstream_place


def address_rules(settings: Settings) -> Iterator[Finding]:
    """Every address is listened on once, and never is one that an upstream is reached at: that would be a loop.

    Several upstreams may have one address, to log in there as different users.
    """
    upstreams = [
        ((*upstream_place(settings, name), "address"), upstream.address)
        for name, upstream in settings.all_upstreams.items()
    ]
    bound: list[tuple[Place, TcpAddress | UnixAddress]] = [
        (("listeners", name, "bind", index), address)
        for name, listener in settings.listeners.items()
        for index, address in enumerate(listener.bind)
    ]
    bound.append((("admin", "bind"), settings.admin.bind))
    if settings.admin.health_bind is not None:
        bound.append((("admin", "health_bind"), settings.admin.health_bind))
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


def _meant(address: TcpAddress | UnixAddress) -> list[TcpAddress | UnixAddress]:
    """The address, or those that its name stands for whatever a resolver says (RFC 6761, 6.3)."""
    if isinstance(address, TcpAddress) and address.host.lower() == "localhost":
        return [TcpAddress(host, address.port) for host in ("127.0.0.1", "::1")]
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
