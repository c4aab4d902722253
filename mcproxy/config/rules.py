"""Rules between the fields of a configuration, most of them about safety. Pure: no file, no network is looked at.

Each rule yields findings; none stops at the first. Loopback is judged by the addresses that are bound or connected
to. What a rule refuses can always be had by saying so in words (`plaintext: true`), or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.names import GRANT_KINDS, KEYLESS_CLASSES
from mcproxy.config.problems import Finding, Place, suggestion
from mcproxy.config.schema import Admin, Grant, Limits, Listener, Role, Settings, Upstream
from mcproxy.config.units import show_size


def check_rules(settings: Settings) -> Iterator[Finding]:
    """Everything that the settings contradict, in the order of the sections."""
    for name, listener in settings.listeners.items():
        place = ("listeners", name)
        yield from _listener_addresses(listener, place)
        yield from _listener_encryption(listener, place)
        yield from _listener_logins(listener, place)
        yield from _listener_users(listener, settings, place)
    yield from _upstream(settings.upstream, ("upstream",))
    for name, role in settings.roles.items():
        yield from _role(role, ("roles", name))
    for index, grant in enumerate(settings.grants):
        yield from _grant(grant, settings, ("grants", index))
    yield from _grants_that_disagree(settings.grants)
    yield from _unknown_roles(settings.default_roles, settings, ("default_roles",))
    yield from _limits(settings.limits, ("limits",))
    if settings.workers != 1:
        yield Finding(("workers",), "more than one is not available in this version; write 1 or take it out")
    yield from _admin(settings.admin, ("admin",))
    yield from _shared_addresses(settings)


def _listener_addresses(listener: Listener, place: Place) -> Iterator[Finding]:
    given = listener.model_fields_set
    kinds = {type(address) for address in listener.bind}
    if len(kinds) > 1:
        message = "mixes unix sockets and TCP addresses, whose rules differ; make a listener of each"
        yield Finding((*place, "bind"), message)
    elif listener.is_unix:
        if "allow" in given:
            yield Finding((*place, "allow"), "a unix socket has no source addresses; its mode and group guard it")
    else:
        if "allow" not in given:
            message = 'is required with TCP: who may connect, such as ["10.0.0.0/24"]; [] is nobody'
            yield Finding((*place, "allow"), message)
        for key in ("mode", "group"):
            if key in given:
                yield Finding((*place, key), "is for unix sockets; this listener has TCP addresses")


def _listener_encryption(listener: Listener, place: Place) -> Iterator[Finding]:
    if listener.tls is None:
        if not listener.plaintext:
            for index, address in enumerate(listener.bind):
                if not address.is_loopback:
                    message = (
                        f"{address} is not loopback and has no TLS: everything would cross the network in clear text; "
                        "add tls (certificate and key), or plaintext: true if that is really meant"
                    )
                    yield Finding((*place, "bind", index), message)
    elif "client_certificate" in listener.tls.model_fields_set and listener.tls.client_ca is None:
        message = "needs client_ca, the certificate authority that the certificates must come from"
        yield Finding((*place, "tls", "client_certificate"), message)


def _listener_logins(listener: Listener, place: Place) -> Iterator[Finding]:
    methods = listener.authentication
    at = (*place, "authentication")
    if "none" in methods:
        if len(methods) > 1:
            yield Finding(at, "none lets everybody in, so it stands alone; take out the others or none")
        if not listener.is_local:
            yield Finding(at, "none is for loopback addresses and unix sockets; elsewhere somebody must log in")
    if "peer" in methods and not all(isinstance(address, UnixAddress) for address in listener.bind):
        yield Finding(at, "peer needs a unix socket: over TCP the kernel doesn't know who is at the other end")
    if "address" in methods and listener.is_unix:
        yield Finding(at, "address needs TCP: a unix socket has no source address; peer is its counterpart")
    if "certificate" in methods and (listener.tls is None or listener.tls.client_ca is None):
        yield Finding(at, "certificate needs tls.client_ca, the authority that client certificates must come from")
    if "sasl" in methods and "binary" not in listener.protocols:
        yield Finding(at, "sasl needs the binary protocol; add binary to protocols, or use token for text")
    if "token" in methods and "text" not in listener.protocols:
        yield Finding(at, "token needs the text protocol; add text to protocols, or use sasl for binary")
    if "mechanisms" in listener.model_fields_set and "sasl" not in methods:
        yield Finding((*place, "mechanisms"), "are SASL's, and authentication doesn't list sasl")
    clear = [method for method in ("sasl", "token") if method in methods]
    if clear and listener.tls is None and not listener.is_local and not listener.plaintext_passwords:
        message = (
            f"{' and '.join(clear)} would send passwords over the network in clear text; "
            "add tls, or plaintext_passwords: true if that is really meant"
        )
        yield Finding(at, message)


def _listener_users(listener: Listener, settings: Settings, place: Place) -> Iterator[Finding]:
    if settings.users_file is None:
        for method in listener.authentication:
            if method in ("sasl", "token"):
                message = f'{method} needs users; name their file with a top-level "users_file: /etc/mcproxy/users"'
                yield Finding((*place, "authentication"), message)
                return


def _upstream(upstream: Upstream, place: Place) -> Iterator[Finding]:
    if not upstream.address.is_loopback and not upstream.plaintext:
        message = (
            f"{upstream.address} is not loopback and upstream TLS is not available in this version: everything would "
            "cross the network in clear text; run memcached on this machine, or add plaintext: true if that is meant"
        )
        yield Finding((*place, "address"), message)


def _role(role: Role, place: Place) -> Iterator[Finding]:
    keyless = sorted(role.commands & KEYLESS_CLASSES)
    if keyless and role.keys != ["*"]:
        verb = "work" if len(keyless) > 1 else "works"
        message = (
            f'{", ".join(keyless)} {verb} on all keys at once, so the role\'s keys must be ["*"]; '
            "put them into a role of their own"
        )
        yield Finding((*place, "commands"), message)


def _grant(grant: Grant, settings: Settings, place: Place) -> Iterator[Finding]:
    kinds = [kind for kind in GRANT_KINDS if getattr(grant, kind) is not None]
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds)}" if kinds else "names nobody"
        yield Finding(place, f"{what}; a grant is for exactly one of user, certificate, address, peer")
    elif kinds == ["user"] and grant.as_ is not None:
        yield Finding((*place, "as"), "a user keeps the name of the users file; take this out")
    elif kinds != ["user"] and grant.as_ is None:
        message = f'needs "as", the name that this {kinds[0]} goes by in logs and metrics'
        yield Finding(place, message)
    if grant.peer is not None and grant.peer.uid is None and grant.peer.gid is None:
        yield Finding((*place, "peer"), "names nobody; give it a uid, a gid or both, such as {uid: 1000}")
    yield from _unknown_roles(grant.roles, settings, (*place, "roles"))


def _grants_that_disagree(grants: list[Grant]) -> Iterator[Finding]:
    """The same certificate, network or peer under two names: which one it would be is nobody's guess."""
    named: dict[tuple[str, Any], str] = {}
    for index, grant in enumerate(grants):
        for kind in GRANT_KINDS[1:]:
            matched = getattr(grant, kind)
            if matched is None or grant.as_ is None:
                continue
            first = named.setdefault((kind, matched), grant.as_)
            if first != grant.as_:
                message = f'an earlier grant calls the same {kind} "{first}"; one {kind} has one name'
                yield Finding(("grants", index, "as"), message)


def _unknown_roles(roles: list[str], settings: Settings, place: Place) -> Iterator[Finding]:
    for index, name in enumerate(roles):
        if name not in settings.roles:
            message = f'there is no role "{name}"; {suggestion(name, settings.roles)}'
            yield Finding((*place, index), message, about=("roles",))


def _limits(limits: Limits, place: Place) -> Iterator[Finding]:
    if limits.total_buffer < 2 * limits.value:
        message = (
            f"must hold at least two values of the largest size; with value: {show_size(limits.value)} "
            f"write {show_size(2 * limits.value)} or more"
        )
        yield Finding((*place, "total_buffer"), message)


def _admin(admin: Admin, place: Place) -> Iterator[Finding]:
    if not admin.bind.is_loopback:
        message = (
            "may only be a loopback address or a unix socket in this version: whoever reaches it reads the metrics; "
            "for health checks from elsewhere use health_bind"
        )
        yield Finding((*place, "bind"), message)


def _shared_addresses(settings: Settings) -> Iterator[Finding]:
    """Every address once, and never the one that upstream is reached at: that would be a loop."""
    taken: dict[TcpAddress | UnixAddress, str] = {settings.upstream.address: "upstream.address"}
    bound: list[tuple[Place, TcpAddress | UnixAddress]] = [
        (("listeners", name, "bind", index), address)
        for name, listener in settings.listeners.items()
        for index, address in enumerate(listener.bind)
    ]
    bound.append((("admin", "bind"), settings.admin.bind))
    if settings.admin.health_bind is not None:
        bound.append((("admin", "health_bind"), settings.admin.health_bind))
    for place, address in bound:
        if isinstance(address, TcpAddress) and address.port == 0:
            continue  # the kernel picks a free one each time
        if address in taken:
            yield Finding(place, f"{address} is already used by {taken[address]}")
        else:
            taken[address] = ".".join(str(part) for part in place if isinstance(part, str))
