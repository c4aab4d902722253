"""Notes about what lets in more, or fewer, than is meant: lists of addresses, names of certificates, mechanisms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from mcproxy.auth.users import Users
from mcproxy.config.problems import Finding, Place
from mcproxy.config.saslauthd import asks_passwords
from mcproxy.config.schema import Listener, Settings
from mcproxy.policy.allowlist import Network, canonical_network
from mcproxy.policy.certificates import CertificateName

_HOST = re.compile(r"[^:/]*://(?:[^/?#]*@)?([^/?#:]*)")


def allow_notes(listener: Listener, place: Place) -> Iterator[Finding]:
    """About an allowlist that is empty, or that leaves nobody out."""
    if not listener.is_unix and not listener.allow:
        yield Finding(place, "is empty, so nobody may connect")
    whole = [network for network in listener.allow if network.prefixlen == 0]
    for index, network in enumerate(listener.allow):
        if network.prefixlen == 0:
            every = f"every address of IPv{network.version}"
            yield Finding((*place, index), f"{network} is {every}; list the networks that clients are in")
    for version in (4, 6):
        all_of_it = any(network.prefixlen == 0 for network in _collapsed(listener.allow, version))
        if all_of_it and not any(network.version == version for network in whole):
            message = f"is every address of IPv{version}, in parts; list the networks that clients are in"
            yield Finding(place, message)


def grant_notes(settings: Settings) -> Iterator[Finding]:
    """About grants that are for more than somebody, or for nobody who may connect."""
    for index, grant in enumerate(settings.grants):
        place = ("grants", index)
        if grant.address is not None:
            yield from _address_notes(grant.address, settings, (*place, "address"))
        elif grant.certificate is not None:
            yield from _certificate_notes(grant.certificate, (*place, "certificate"))


def login_notes(listener: Listener, settings: Settings, users: Users, place: Place) -> Iterator[Finding]:
    """About a listener whose every mechanism is for nobody, though there are users, and one behind a balancer."""
    methods = listener.authentication
    certificates = any(grant.kind == "certificate" for grant in settings.grants)
    offered = listener.mechanisms
    only_known = methods == ["sasl"] and len(users) > 0 and settings.saslauthd is None
    if only_known and not any(_is_for_somebody(name, certificates, users) for name in offered):
        message = f'nobody can log in here by {", ".join(offered)}; "mcproxy check" says why'
        yield Finding((*place, "mechanisms"), message)
    balancer_here = listener.proxy_protocol and any(address.is_loopback for address in listener.bind)
    clear = listener.tls is None and not listener.plaintext_passwords and asks_passwords(listener)
    if balancer_here and clear:
        message = (
            "clients elsewhere may send passwords, since the balancer is on this machine: in clear text unless it "
            "speaks TLS with them; see that it does, or offer SCRAM alone"
        )
        yield Finding((*place, "proxy_protocol"), message)


def _is_for_somebody(mechanism: str, certificates: bool, users: Users) -> bool:
    if mechanism == "EXTERNAL":
        return certificates
    if mechanism == "PLAIN":
        return True
    return any(users.verifiers(name, mechanism.removesuffix("-PLUS")) for name in users.names())


def _address_notes(address: Network, settings: Settings, place: Place) -> Iterator[Finding]:
    listeners = [one for one in settings.listeners.values() if "address" in one.authentication]
    allowed = [network for one in listeners for network in one.allow]
    if address.prefixlen == 0:
        yield Finding(
            place, f"{address} is every address of IPv{address.version}: whoever may connect is that somebody"
        )
    elif listeners and not any(_overlap(address, network) for network in allowed):
        yield Finding(place, f"{address} is in no allow list of a listener with address: nobody can come from there")


def _certificate_notes(name: CertificateName, place: Place) -> Iterator[Finding]:
    if "*" in _domain(name).split(".")[-2:]:
        yield Finding(place, f"{name} is for names in anybody's domain; write out the last two labels of the domain")


def _domain(name: CertificateName) -> str:
    """Of a DNS name, an email or a URI with an authority; empty without one."""
    if name.kind == "uri":
        found = _HOST.match(name.value)
        return "" if found is None else found[1]
    return "" if name.kind == "subject" else name.value.rpartition("@")[2]


def _overlap(one: Network, other: Network) -> bool:
    one, other = canonical_network(one), canonical_network(other)
    return one.version == other.version and one.overlaps(other)


def _collapsed(networks: list[Network], version: int) -> list[Network]:
    canonical = [canonical_network(network) for network in networks]
    if version == 4:
        return list(collapse_addresses([one for one in canonical if isinstance(one, IPv4Network)]))
    return list(collapse_addresses([one for one in canonical if isinstance(one, IPv6Network)]))
